"""Settings of the C library's allocator."""

import ctypes
import platform

# <malloc.h> of the GNU C library.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# Versions before 2.35 refuse to keep blocks of more than 32 MiB.
KEPT = 1 << 30, 1 << 25


def keep_freed_memory() -> None:
    """Have the C library keep freed blocks (up to 1 GiB each) instead of returning them at once.

    A training step frees and takes the same large blocks again and again. By default the GNU C
    library gives them back to the system, which hands out zeroed pages each time: a tenth of the
    time of a degradation. Does nothing where the C library is another one.
    """
    if platform.system() != "Linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for size in KEPT:
        if mallopt(M_MMAP_THRESHOLD, size):
            mallopt(M_TRIM_THRESHOLD, 2 * KEPT[0] - 1)
            return
