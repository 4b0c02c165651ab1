"""Files that survive: atomic writing, safe loading, and the record of every run.

`srlit.checkpoint.io` is apart, as it imports lightning, which takes seconds.
"""

from srlit.checkpoint.loading import (
    CheckpointError,
    generator_weights,
    load_checkpoint,
    load_weights,
)
from srlit.checkpoint.runs import RunRecord, find_previous, resolve_checkpoint

__all__ = [
    "CheckpointError",
    "RunRecord",
    "find_previous",
    "generator_weights",
    "load_checkpoint",
    "load_weights",
    "resolve_checkpoint",
]
