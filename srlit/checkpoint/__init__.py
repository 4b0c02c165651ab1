"""Files that survive: atomic writing, safe loading, and the record of every run.

`srlit.checkpoint.io` is apart, as it imports lightning, which takes seconds.
"""

from srlit.checkpoint.loading import CheckpointError, load_checkpoint, load_weights
from srlit.checkpoint.runs import resolve_checkpoint

__all__ = ["CheckpointError", "load_checkpoint", "load_weights", "resolve_checkpoint"]
