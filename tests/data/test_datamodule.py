import pytest

from srlit.data.reader import PhotoReader
from tests.data.photos import batches_of, same, small_module


def module_of(folder, *overrides):
    options = [f"data.photos.train_folder={folder}", "data.photos.holdout=2"]
    data = small_module("folder", *options, *overrides)
    data.check()
    return data


def test_resume_refuses_another_order_of_visits(photo_folder):
    one, other = module_of(photo_folder), module_of(photo_folder, "data.crops_per_photo=4")
    one.load_state_dict(one.state_dict())
    with pytest.raises(ValueError, match="order they are visited in"):
        other.load_state_dict(one.state_dict())


class Processes:
    """A trainer of several processes."""

    def __init__(self, world_size, rank=0):
        self.world_size = self.num_devices = world_size
        self.global_rank = rank


def test_resume_refuses_another_number_of_processes(photo_folder):
    data = module_of(photo_folder)
    data.trainer = Processes(2)
    state = data.state_dict()
    data.trainer = Processes(4)
    with pytest.raises(ValueError, match="2 processes in the checkpoint, 4 now"):
        data.load_state_dict(state)
    data.trainer = None  # before there is a trainer, only the photos are compared
    data.load_state_dict(state)


def test_every_process_has_photos_to_validate_on(photo_folder):
    data = module_of(photo_folder, "data.eval_batch_size=4")
    counts = []
    for rank in (0, 1):
        data.trainer = Processes(2, rank)
        counts.append(sum(len(batch.pixels) for batch in data.val_dataloader()))
    assert counts == [1, 1]
    data.trainer = Processes(3)
    with pytest.raises(ValueError, match="2 photos to measure on for 3 processes"):
        data.val_dataloader()


def test_a_missing_test_folder_does_not_stop_a_training(photo_folder):
    data = module_of(photo_folder, "data.photos.test_folder=nowhere")
    assert len(data._train_photos) == 10


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_any_number_of_workers_gives_the_same_batches(photo_folder, workers):
    data = module_of(photo_folder, f"data.workers={workers}")
    loaded = list(data.train_dataloader())
    assert len(loaded) == 7
    reference = batches_of(PhotoReader(data._train_photos), seed=0, batch_size=3)
    assert all(same(batch, reference[i]) for i, batch in enumerate(loaded))
