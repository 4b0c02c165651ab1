"""Photos from shards: few large files instead of many small ones, in a folder or in S3 storage.

Shards are chunks of Lightning's `litdata`, an optional extra, and hold the photos' files as they
are: `litdata.StreamingDataset` reads them too. Beside the chunks and litdata's `index.json` lies
`photos.json`, so that training knows names, sizes and digests without fetching a chunk.

The order of training stays the one of `PatchBatches`: a batch is a function of seed, iteration and
rank, over all photos. So ranks, workers and resuming need nothing here; but every batch asks for
photos of many chunks. `srlit.data.shards.cache` says how remote ones are kept.
"""

from srlit.data.shards.layout import ShardError
from srlit.data.shards.sets import StreamedPhotos
from srlit.data.shards.writing import write_shards

__all__ = ["ShardError", "StreamedPhotos", "write_shards"]
