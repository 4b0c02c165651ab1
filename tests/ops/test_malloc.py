import platform
import subprocess
import sys

import pytest

# Counted by the C library itself: some kernels (gVisor's) count no page faults.
TAKE_AND_FREE = """
import ctypes, torch
from srlit.ops.malloc import keep_freed_memory
if {keep}:
    keep_freed_memory()
for _ in range(3):
    blocks = [torch.ones(12_000_000) for _ in range(6)]
    del blocks
FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
class Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS.split()]
mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Counts
print(mallinfo2().fordblks)
"""


def bytes_kept(keep):
    code = TAKE_AND_FREE.format(keep=keep)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return int(result.stdout)


@pytest.mark.skipif(
    platform.libc_ver() < ("glibc", "2.35"), reason="needs the GNU C library, 2.35 or later"
)
def test_freed_blocks_are_kept_for_the_next_step():
    one_step = 6 * 12_000_000 * 4  # blocks of 48 MB; smaller than 32 MiB some stay by default
    assert bytes_kept(keep=True) >= one_step
    assert bytes_kept(keep=False) < one_step / 2  # so that the test can fail
