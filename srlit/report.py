"""Reports to look at: `python -m srlit.report runs/phase3`, or `degradation`, or `model`.

Folders: one HTML file, `report.html`, on runs, sweeps and evaluations; in the folder if there is
one, below paths.run if there are several. `degradation`: a contact sheet of one photo through every
preset, from mild to harsh, and histograms of each preset's parameters. `model`: the cost and the
receptive field of each network. Both are written below paths.run.
"""

import itertools
import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from srlit.config import ConfigError, build, entry_point
from srlit.config.composing import composed
from srlit.config.root import options

if TYPE_CHECKING:
    from torch import Tensor


log = logging.getLogger(__name__)


def report(cfg: DictConfig) -> Path:
    """Write the report on `subject`.

    Returns:
        Its folder.
    """
    folder = Path(cfg.paths.run)
    log.info("written to %s", SUBJECTS[cfg.subject](cfg, folder))
    return folder


def report_run(cfg: DictConfig, folder: Path) -> Path:
    """`report.html`: curves, images, tables and differences of runs, in one file.

    Raises:
        ConfigError: `folders` is empty.
        FileNotFoundError: a folder does not exist.
        ValueError: a folder holds neither runs nor evaluations.
    """
    from srlit.reports import report_page
    from srlit.utils.atomic import write_text

    if not cfg.folders:
        expected = "expected folders of runs: python -m srlit.report runs/phase3"
        raise ConfigError(f"folders=[]: {expected}")
    folders = [Path(name).expanduser() for name in cfg.folders]
    image_bytes = round(cfg.image_megabytes * 2**20)
    page = report_page(folders, image_bytes=image_bytes, extremes=cfg.extremes)
    write_text(path := folder / "report.html", page)
    return path


def report_degradation(cfg: DictConfig, folder: Path) -> Path:
    """`presets.png`, one row per preset, and `PRESET.png`, one histogram per parameter."""
    import torch
    from rich.progress import track

    from srlit.degradation.preview import figure_pixels, histograms, severity_row
    from srlit.inference.image_files import write_image
    from srlit.ops.image_grid import stacked
    from srlit.ops.rng import make_keys

    hr = photo(cfg)
    rows = []
    for name in track(cfg.presets or options("degradation"), "degrading", transient=True):
        degradation = build_option(cfg, "degradation", name)
        rows.append(severity_row(degradation, hr, columns=cfg.severities, seed=cfg.seed))
        draws = degradation.sample(make_keys(cfg.seed, (), torch.arange(cfg.draws)))
        write_image(folder / f"{name}.png", figure_pixels(histograms(degradation, draws))[None])
    write_image(folder / "presets.png", stacked(rows)[None])
    return folder


def report_model(cfg: DictConfig, folder: Path) -> Path:
    """`models.json` and `models.md`: one row per network, as in the headers of conf/model."""
    from rich.progress import track

    from srlit.evaluation.model_card import model_card
    from srlit.utils.atomic import write_json, write_text

    names = track(cfg.models or options("model"), "measuring", transient=True)
    cards = {name: model_card(build_option(cfg, "model", name)) for name in names}
    write_json(folder / "models.json", {name: card._asdict() for name, card in cards.items()})
    lines = [f"- `{name}` x{cfg.scale}: {card.text()}" for name, card in cards.items()]
    write_text(folder / "models.md", "\n".join([*lines, ""]))
    for line in lines:
        log.info(line)
    return folder


def build_option(cfg: DictConfig, group: str, name: str) -> Any:  # noqa: ANN401 - of the group
    """A network or degradation of conf/ or of the user's own folder, by its name.

    Raises:
        ConfigError: there is none of this name.
    """
    return build(composed("train", group, name, f"scale={cfg.scale}")[group])


def photo(cfg: DictConfig) -> "Tensor":
    """The central square of `photo`, or of the data's first test photo: (1, 3, h, w) in [0, 1]."""
    from srlit.data.audit import Photo
    from srlit.data.decode import read_photo

    if cfg.photo:
        pixels = read_photo(Path(cfg.photo).expanduser())
    else:
        sets = build(cfg.data.photos)
        pixels = sets.read(Photo(sets.split("test")[0], 0, 0))
    for axis in (1, 2):
        side = min(pixels.shape[axis], cfg.crop) // cfg.scale * cfg.scale
        pixels = pixels.narrow(axis, (pixels.shape[axis] - side) // 2, side)
    return pixels[None].float() / 255


SUBJECTS = {"run": report_run, "degradation": report_degradation, "model": report_model}


def main() -> None:
    """Command line: the subject, or folders of runs, come first and need no key."""
    sys.argv[1:] = overrides(sys.argv[1:])
    entry_point("report")(report)()


def overrides(arguments: list[str]) -> list[str]:
    """Arguments with keys: `model` is a subject, other words before the first key are folders.

    Folders are checked here, as Hydra would create the one that the report is written to.

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
            subjects = ", ".join(SUBJECTS)
            raise SystemExit(f"error: {folder}: no such folder, and no subject ({subjects})")
    quoted = list(map(_quoted, folders))
    there = [f"paths.run={quoted[0]}"] if len(folders) == 1 else []
    # The folder holds the log of the training, which is not to be continued.
    logged = "hydra/job_logging=stdout"
    return ["subject=run", f"folders=[{','.join(quoted)}]", *there, logged, *rest]


def _is_word(argument: str) -> bool:
    """Whether an argument is neither an option nor KEY=VALUE; folders of sweeps have an = too."""
    return Path(argument).is_dir() or not ("=" in argument or argument.startswith("-"))


def _quoted(text: str) -> str:
    """Text quoted for Hydra's grammar: backslashes escape only before a quote and at the end."""
    inside = re.sub(r'(\\*)("|$)', lambda end: 2 * end[1] + (r"\"" if end[2] else ""), text)
    return f'"{inside}"'


if __name__ == "__main__":
    main()
