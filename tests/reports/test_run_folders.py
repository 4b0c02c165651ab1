import os

import pytest

from srlit.evaluation.measure import Results
from srlit.evaluation.summary import Protocol, Summary, write_results
from srlit.reports.evaluations import Evaluation, ranked, read_photos, row_of
from srlit.reports.run_folders import find_subjects
from srlit.reports.warnings import Warnings
from tests.reports.samples import make_evaluation, make_run


def names(found):
    return [run.name for run in found.runs], [e.folder.name for e in found.evaluations]


def subjects(*folders):
    warnings = Warnings()
    found = find_subjects(folders, warnings)
    assert warnings == []
    return found


def test_a_run_comes_with_the_evaluations_beside_it_that_measured_it(tmp_path):
    make_run(tmp_path / "phase3")
    make_evaluation(tmp_path / "evaluation", ("bicubic", "phase3"))
    make_evaluation(tmp_path / "of_others", ("bicubic", "another"))
    assert names(subjects(tmp_path / "phase3")) == (["phase3"], ["evaluation"])


def test_a_folder_means_all_runs_and_evaluations_in_it_the_oldest_run_first(tmp_path):
    for age, name in enumerate(("new", "old")):
        make_run(tmp_path / name)
        os.utime(tmp_path / name / "config.yaml", (1000 - age, 1000 - age))
    make_evaluation(tmp_path / "of_others", ("bicubic", "another"))
    make_evaluation(tmp_path)
    found = subjects(tmp_path)
    assert names(found) == (["old", "new"], [tmp_path.name, "of_others"])
    # However often and by whatever path a folder is named, it is there once.
    assert names(subjects(tmp_path, tmp_path / "old" / ".." / "old")) == names(found)


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for parent in ("a", "b"):
        make_run(tmp_path / parent / "phase3")
    found = subjects(tmp_path / "a" / "phase3", tmp_path / "b" / "phase3")
    assert [run.name for run in found.runs] == ["a/phase3", "b/phase3"]


def test_other_folders_are_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing: no such folder"):
        find_subjects([tmp_path / "nothing"], Warnings())
    with pytest.raises(ValueError, match=f"{tmp_path}: neither a run"):
        find_subjects([tmp_path], Warnings())


@pytest.mark.parametrize(
    ("run", "methods", "row"),
    [
        ("phase3", ("bicubic", "phase3"), "phase3"),
        ("demo_phase1", ("bicubic", "phase 1", "phase 2"), "phase 1"),
        ("demo_phase1", ("bicubic", "1", "phase 1"), None),  # either could be meant
        ("my_bicubic", ("bicubic",), None),
    ],
)
def test_the_row_of_a_run(tmp_path, run, methods, row):
    rows = [{"name": method} for method in methods]
    assert row_of(run, Evaluation(tmp_path, "", rows, [])) == row


def test_names_that_begin_like_formulas_are_read_as_they_were(tmp_path):
    rows = [{"name": "@m", "photo": "=1+1.png", "mae": -0.5}]
    results = Results(means=[{"name": "@m", "mae": -0.5}], photos=rows, unreadable=[])
    write_results(tmp_path, Summary(Protocol("=x", "-y", "test", 2, None, 9), results, "@m"))
    cells = (tmp_path / "photos.csv").read_text().splitlines()[1].split(",")
    named = ["'=x", "test", "1", "'-y", "2", "whole", "9"]
    assert cells == [*named, "'@m", "'=1+1.png", "-0.5"]
    [photo] = read_photos(tmp_path / "photos.csv")
    assert (photo.name, photo.values) == ("=1+1.png", {"@m": {"mae": -0.5}})


def test_photos_are_ranked_from_the_worst(tmp_path):
    folder = make_evaluation(tmp_path, photos=4)
    photos = read_photos(folder / "photos.csv")

    def numbers(metric):
        return [photo.number for photo in ranked(photos, "run", metric)]

    assert numbers("lpips_alex") == [3, 2, 1, 0]
    assert numbers("psnr_rgb_b0") == [0, 1, 2, 3]
    photos[2].values["run"]["lpips_alex"] = float("nan")
    assert numbers("lpips_alex") == [3, 1, 0]
