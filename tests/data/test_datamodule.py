from types import SimpleNamespace

import pytest

from tests.data.photos import folder_options, small_module


def module_of(folder, *overrides):
    data = small_module("folder", *folder_options(train_folder=folder, holdout=2), *overrides)
    data.check()
    return data


def test_resume_refuses_another_order_of_visits(photo_folder):
    one, other = module_of(photo_folder), module_of(photo_folder, "data.crops_per_photo=4")
    one.load_state_dict(one.state_dict())
    with pytest.raises(ValueError, match="order they are visited in"):
        other.load_state_dict(one.state_dict())


def processes(world_size, rank=0):
    """A trainer of several processes."""
    return SimpleNamespace(world_size=world_size, num_devices=world_size, global_rank=rank)


def test_resume_refuses_another_number_of_processes(photo_folder):
    data = module_of(photo_folder)
    data.trainer = processes(2)
    state = data.state_dict()
    data.trainer = processes(4)
    with pytest.raises(ValueError, match="2 processes in the checkpoint, 4 now"):
        data.load_state_dict(state)
    data.trainer = None  # before there is a trainer, only the photos are compared
    data.load_state_dict(state)


def test_every_process_has_photos_to_validate_on(photo_folder):
    data = module_of(photo_folder, "data.eval_batch_size=4")
    counts = []
    for rank in (0, 1):
        data.trainer = processes(2, rank)
        counts.append(sum(len(batch.pixels) for batch in data.val_dataloader()))
    assert counts == [1, 1]
    data.trainer = processes(3)
    with pytest.raises(ValueError, match="2 photos to measure, 3 processes"):
        data.val_dataloader()


def test_a_missing_test_folder_does_not_stop_a_training(photo_folder):
    data = module_of(photo_folder, "data.photos.test_folder=nowhere")
    assert len(data._train_photos) == 10
