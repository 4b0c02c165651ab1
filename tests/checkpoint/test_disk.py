"""Full disks, read-only folders and limits: the last good checkpoint stays; errors have numbers."""

import errno
import os
import re
import resource
import shutil
import signal
import subprocess

import pytest
import torch

from srlit.checkpoint import load_checkpoint
from srlit.checkpoint.file_format import save
from srlit.checkpoint.runs import checkpoint_name
from srlit.utils.atomic import DiskError
from tests.helpers import mounted

PAGE = 4096


def checkpoint(iteration, numbers=16_000):
    return {
        "iteration": iteration,
        "card": {"model": {}},
        "state_dict": {"generator.a": torch.full((numbers,), float(iteration))},
    }


def good_one(folder):
    path = folder / checkpoint_name(1)
    save(checkpoint(1), path)
    return path


def assert_not_replaced(path, match):
    """Saving over a checkpoint fails, and it is still there."""
    with pytest.raises(DiskError, match=match):
        save(checkpoint(2), path)
    assert load_checkpoint(path)["iteration"] == 1


# A checkpoint takes 16 pages: on the smaller disks the second one ends here or there.
@pytest.mark.parametrize("pages", range(18, 38))
def test_a_disk_that_fills_up_keeps_the_last_good_checkpoint(tmp_path, pages):
    with mounted(tmp_path / "disk", f"size={pages * PAGE}") as disk:
        path = good_one(disk)
        second = disk / checkpoint_name(2)
        try:
            save(checkpoint(2), second)
        except DiskError as error:
            assert error.errno == errno.ENOSPC
            assert re.match(rf"{second}: .* 64,[0-9]+ bytes needed, [0-9,]+ bytes free", str(error))
            assert not second.exists()
            assert not list(path.parent.glob(".*"))
        else:
            assert load_checkpoint(second)["iteration"] == 2
            assert pages > 31
        assert load_checkpoint(path)["iteration"] == 1


def test_a_disk_that_fills_up_under_a_replaced_checkpoint(tmp_path):
    with mounted(tmp_path / "disk", f"size={30 * PAGE}") as disk:
        path = good_one(disk)
        assert_not_replaced(path, "No space left")


def test_a_read_only_disk(tmp_path):
    with mounted(tmp_path / "disk", f"size={100 * PAGE}") as disk:
        path = good_one(disk)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert_not_replaced(path, "Read-only file system")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_one_may_not_write_to(tmp_path):
    path = good_one(tmp_path)
    path.parent.chmod(0o500)
    assert_not_replaced(path, "Permission denied")


def test_a_limit_on_file_sizes(tmp_path):
    """Stands in for a quota, which takes a file system that has them."""
    path = good_one(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (32_000, before[1]))
        assert_not_replaced(path, r"File too large\. 64,[0-9]+ bytes needed")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_training_on_a_disk_that_fills_up_says_so_and_goes_on_elsewhere(tmp_path):
    from tests.integration.survival import ADVERSARIAL, go

    plain = tmp_path / "plain"
    assert go(plain, *ADVERSARIAL) == 0
    size = max(p.stat().st_size for p in plain.rglob("*.safetensors"))
    with mounted(tmp_path / "disk", f"size={size + size // 2}") as disk:  # one, but not two
        assert go(disk, *ADVERSARIAL) == 1
        assert [load_checkpoint(path) for path in disk.rglob("iteration_*.safetensors")]
        shutil.copytree(disk, tmp_path / "rescued")
    assert go(tmp_path / "rescued", *ADVERSARIAL) == 0
