"""Pictures: taken apart to the bit, encoded within the budget."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from srlit.reports import image_viewer
from srlit.reports.image_viewer import Layer, embed, evaluation_shots, panel_shots, unrepeated
from srlit.reports.run_folders import find_subjects
from srlit.reports.warnings import Warnings
from tests.reports.samples import SELECTED, hr, lr, make_evaluation, make_run, sr


def read(*folders):
    return find_subjects(folders, Warnings())


def eight_bit(image):
    return (image * 255).round().byte()


def decoded(uri):
    data = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
    return torch.from_numpy(np.array(Image.open(io.BytesIO(data)))).permute(2, 0, 1)


def test_the_panel_of_the_selected_checkpoint_is_taken_apart_to_the_bit(tmp_path):
    found = read(make_run(tmp_path / "run"))
    warnings = Warnings()
    shots = panel_shots(found.runs, warnings)
    assert [shot.note for shot in shots] == [f"iteration {SELECTED}"] * 2
    for number, shot in enumerate(shots):
        assert [layer.label for layer in shot.layers] == ["LR", "SR", "HR"]
        small, *large = (layer.pixels for layer in shot.layers)
        assert torch.equal(unrepeated(small), eight_bit(lr(number)))
        for found, image in zip(large, (sr(number, SELECTED / 100), hr(number)), strict=True):
            assert (found.int() - eight_bit(image).int()).abs().max() <= 1
    assert warnings == []


def test_runs_that_validate_on_the_same_photos_share_a_viewer(tmp_path):
    runs = read(make_run(tmp_path / "a"), make_run(tmp_path / "b", photos=3)).runs
    shots = panel_shots(runs, Warnings())
    assert [[layer.label for layer in shot.layers] for shot in shots] == [
        ["LR", "a", "b", "HR"], ["LR", "a", "b", "HR"], ["LR", "b", "HR"],
    ]  # fmt: skip


def titles(shots):
    return [shot.title for shot in shots]


def test_the_worst_and_the_best_photos_are_shown_with_their_values(tmp_path):
    (evaluation,) = read(make_evaluation(tmp_path)).evaluations
    shots = evaluation_shots(evaluation, 2, Warnings())
    assert titles(shots) == [f"photo{i}.png" for i in (4, 3, 0, 1)]
    # No photo is shown twice.
    assert titles(evaluation_shots(evaluation, 3, Warnings())) == [
        f"photo{i}.png" for i in (4, 3, 2, 0, 1)
    ]
    worst = shots[0]
    assert worst.note == "worst · lpips_alex 0.38"
    assert (worst.left, worst.right) == ("bicubic", "run")
    assert [layer.label for layer in worst.layers] == ["LR", "bilinear", "bicubic", "run", "HR"]
    assert [layer.note for layer in worst.layers] == ["", "0.4", "0.39", "0.38", ""]
    assert torch.equal(worst.layers[3].pixels, eight_bit(sr(4, 2 / 9)))


def test_pictures_of_another_number_of_methods_are_noted(tmp_path):
    make_evaluation(tmp_path, photos=2)
    other = make_evaluation(tmp_path / "other", ("bicubic", "run"), photos=2)
    (other / "images" / "001_photo1.png").replace(tmp_path / "images" / "001_photo1.png")
    warnings = Warnings()
    assert titles(evaluation_shots(read(tmp_path).evaluations[0], 2, warnings)) == ["photo0.png"]
    (warning,) = warnings
    assert "001_photo1.png" in warning
    assert "268 pixels" in warning


def noise(side, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (3, side, side), dtype=torch.uint8, generator=generator)


def shots_of(count, side):
    layers = [Layer("LR", noise(side, 0)), Layer("HR", noise(side, 1))]
    return [image_viewer.Shot(str(i), "", layers, "LR", "HR") for i in range(count)]


def test_with_room_images_keep_every_bit():
    ((viewer,),), stored = embed([shots_of(1, 64)], 2**20, Warnings())
    assert torch.equal(decoded(viewer.uris[1]), noise(64, 1))
    assert "lossless" in stored


@pytest.mark.parametrize("budget", [200_000, 110_000, 50_000])
def test_the_budget_is_kept(budget):
    warnings = Warnings()
    groups, stored = embed([shots_of(4, 96), []], budget, warnings)
    assert 0 < image_viewer.size_of(groups) <= budget
    dropped = 4 - len(groups[0])
    assert bool(warnings) == bool(dropped)
    if dropped:
        assert str(dropped) in warnings[0]
    assert "lossless" not in stored


def test_only_repeated_pixels_are_folded():
    small = noise(8, 2)
    large = small.repeat_interleave(4, 1).repeat_interleave(4, 2)
    assert torch.equal(unrepeated(large), small)
    large[0, 3, 3] ^= 1
    assert unrepeated(large) is large
