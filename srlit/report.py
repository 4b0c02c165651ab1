"""Reports to look at: `python -m srlit.report runs/phase3`, or `degradation`, or `model`.

Folders: one HTML file, `report.html`, on runs, sweeps and evaluations; in the folder if it is one,
below paths.run if there are several. `degradation`: a contact sheet of one photo through every
preset, from mild to harsh, and for each preset histograms of what it draws. `model`: what each
network costs and sees. Both are written below paths.run.
"""

import itertools
import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from srlit.config import ConfigError, build, entry_point
from srlit.config.composing import composed
from srlit.config.root import options

if TYPE_CHECKING:
    from torch import Tensor

    from srlit.degradation.pipeline import Degradation
    from srlit.evaluation.model_card import ModelCard

log = logging.getLogger(__name__)


def report(cfg: DictConfig) -> Path:
    """Write the report on `subject`.

    Returns:
        Its folder.

    Raises:
        ConfigError: there is no report on such a subject.
    """
    if cfg.subject not in SUBJECTS:
        msg = f"subject={cfg.subject}: expected one of {', '.join(SUBJECTS)}"
        raise ConfigError(msg)
    folder = Path(cfg.paths.run)
    SUBJECTS[cfg.subject](cfg, folder)
    log.info("written to %s", folder)
    return folder


def report_run(cfg: DictConfig, folder: Path) -> None:
    """`report.html`: curves, pictures, tables and differences of runs; it needs no other file.

    Raises:
        ConfigError: `folders` names none.
        FileNotFoundError: a folder is not there.
        ValueError: a folder holds neither runs nor evaluations.
    """
    from srlit.reports import report_page
    from srlit.utils.atomic import write_text

    if not cfg.folders:
        msg = "folders=[]: expected folders of runs: python -m srlit.report runs/phase3"
        raise ConfigError(msg)
    page = report_page(
        [Path(name).expanduser() for name in cfg.folders],
        image_bytes=round(cfg.image_megabytes * 2**20),
        extremes=cfg.extremes,
    )
    write_text(folder / "report.html", page)


def report_degradation(cfg: DictConfig, folder: Path) -> None:
    """`presets.png`, a row a preset, and `PRESET.png`, a plot for each parameter it draws."""
    import torch
    from rich.progress import track

    from srlit.degradation.preview import figure_pixels, histograms, severity_row
    from srlit.inference.image_files import write_image
    from srlit.ops.image_grid import stacked
    from srlit.ops.rng import make_keys

    names = list(cfg.presets) if cfg.presets else options("degradation")
    hr = photo(cfg)
    rows = []
    for name in track(names, "degrading", transient=True):
        degradation = compose_preset(name, cfg.scale)
        rows.append(severity_row(degradation, hr, columns=cfg.severities, seed=cfg.seed))
        draws = degradation.sample(make_keys(cfg.seed, (), torch.arange(cfg.draws)))
        plots = figure_pixels(histograms(degradation, draws))
        write_image(folder / f"{name}.png", plots[None])
    write_image(folder / "presets.png", stacked(rows)[None])


def report_model(cfg: DictConfig, folder: Path) -> None:
    """`models.json` and `models.md`: a row a network, as the files of conf/model carry it."""
    from rich.progress import track

    from srlit.utils.atomic import write_json, write_text

    names = list(cfg.models) if cfg.models else options("model")
    cards = {name: card_of(name, cfg.scale) for name in track(names, "measuring", transient=True)}
    write_json(folder / "models.json", {name: card._asdict() for name, card in cards.items()})
    lines = [f"- `{name}` x{cfg.scale}: {card.text()}" for name, card in cards.items()]
    write_text(folder / "models.md", "\n".join([*lines, ""]))
    for line in lines:
        log.info(line)


def card_of(name: str, scale: int) -> "ModelCard":
    """Measure a network of conf/model, or of the user's own folder, by its name.

    Raises:
        ConfigError: there is none of this name.
    """
    from srlit.evaluation.model_card import model_card

    return model_card(build(composed("train", "model", name, f"scale={scale}").model))


def compose_preset(name: str, scale: int) -> "Degradation":
    """A preset of conf/degradation, or of the user's own folder, by its name.

    Raises:
        ConfigError: there is none of this name.
    """
    degradation: Degradation = build(
        composed("train", "degradation", name, f"scale={scale}").degradation
    )
    return degradation


def photo(cfg: DictConfig) -> "Tensor":
    """The central square of `photo`, or of the data's first test photo: (1, 3, h, w) in [0, 1]."""
    from srlit.data import read_photo
    from srlit.data.audit import Photo

    if cfg.photo:
        pixels = read_photo(Path(cfg.photo).expanduser())
    else:
        sets = build(cfg.data.photos)
        pixels = sets.read(Photo(sets.test()[0], 0, 0))
    height, width = (min(side, cfg.crop) // cfg.scale * cfg.scale for side in pixels.shape[1:])
    top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
    return pixels[None, :, top : top + height, left : left + width].float() / 255


SUBJECTS = {"run": report_run, "degradation": report_degradation, "model": report_model}


@entry_point("report")
def _compose_and_report(cfg: DictConfig) -> None:
    report(cfg)


def main() -> None:
    """Command line: the subject, or folders of runs, come first and need no key."""
    sys.argv[1:] = overrides(sys.argv[1:])
    _compose_and_report()


def overrides(arguments: list[str]) -> list[str]:
    """Arguments with keys: `model` is a subject, other words are folders, before the first key.

    Folders are looked for here, as Hydra would make the one that the report is written to.

    Raises:
        SystemExit: a word is neither.
    """
    words = list(itertools.takewhile(_is_word, arguments))
    rest = arguments[len(words) :]
    if not words or words[0] in SUBJECTS:
        return [*(f"subject={word}" for word in words), *rest]
    folders = [str(Path(word).expanduser()) for word in words]
    for folder in folders:
        if not Path(folder).is_dir():
            msg = f"error: {folder}: no such folder, and no subject ({', '.join(SUBJECTS)})"
            raise SystemExit(msg)
    there = [f"paths.run={_quoted(folders[0])}"] if len(folders) == 1 else []
    # A run's folder holds the log of its training; "written to" shall not be appended to it.
    there += ["hydra/job_logging=stdout"]
    return ["subject=run", f"folders=[{','.join(map(_quoted, folders))}]", *there, *rest]


def _is_word(argument: str) -> bool:
    """Whether an argument is no option and no key with a value; folders of sweeps have an = too."""
    return Path(argument).is_dir() or not ("=" in argument or argument.startswith("-"))


def _quoted(text: str) -> str:
    """A text as Hydra's grammar takes it: backslashes count only before a quote and at the end."""
    inside = re.sub(r'(\\*)("|$)', lambda end: 2 * end[1] + (r"\"" if end[2] else ""), text)
    return f'"{inside}"'


if __name__ == "__main__":
    main()
