from types import SimpleNamespace

import pytest

from tests.data.photos import folder_options, small_module


def module_of(folder, *overrides):
    data = small_module("folder", *folder_options(train_folder=folder, holdout=2), *overrides)
    data.check()
    return data


def test_what_a_resume_compares_are_the_photos_and_the_order_of_visits(photo_folder):
    one, other = module_of(photo_folder), module_of(photo_folder, "data.crops_per_photo=4")
    assert one.state_dict() == module_of(photo_folder).state_dict() != other.state_dict()
    assert one.photos_digest == other.photos_digest


def processes(world_size, rank=0):
    """A trainer of several processes."""
    return SimpleNamespace(world_size=world_size, num_devices=world_size, global_rank=rank)


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
