"""Which curves are shown together: validation, losses, discriminator, steps, everything else.

One run: related curves share a chart, one colour per curve. Several runs: one chart per column, one
colour per run. Likewise the metrics between two networks: `interpolation.json`, a list of
{weight, metrics}; the weight is that of the second network, 0 to 1, and metrics is an object of
numbers.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from annotated_types import Len
from pydantic import BaseModel

from srlit.reports.curves import Chart, Curve, Drawing, draw
from srlit.reports.evaluations import falls_or_rises
from srlit.reports.run_folders import Column, Run
from srlit.reports.warnings import read_typed_json

INTERPOLATION = "interpolation.json"
TONES = 8
PACE = "pace"  # the name of what `read_pace` found among the columns
REAL, FAKE = "train/logits/real", "train/logits/fake"


class Group(NamedTuple):
    """Charts under one heading.

    Attributes:
        title: the heading.
        note: how to read them.
        drawings: the charts.
        folded: whether they are shown at a click only.
    """

    title: str
    note: str
    drawings: list[Drawing]
    folded: bool = False


def curve_groups(runs: Sequence[Run], paces: Sequence[Column]) -> list[Group]:
    """All that was logged, each column once."""
    runs = [
        run._replace(columns=run.columns | ({PACE: pace} if pace.x else {}))
        for run, pace in zip(runs, paces, strict=True)
    ]
    left = list(dict.fromkeys(name for run in runs for name in run.columns))

    def take(pattern: str) -> list[str]:
        """Columns that no group has yet, whose names begin as the pattern says."""
        names = [name for name in left if re.match(pattern, name)]
        left[:] = [name for name in left if name not in names]
        return names

    # LPIPS, which selects, first; the loss last.
    validated = sorted(take("val/"), key=lambda n: (not n.startswith("val/lpips"), n == "val/loss"))
    # Fractions of the total explain one run; for several they would clutter.
    of_losses = take(f"train/(loss$|raw/|weighted/{'|loss_fraction/' if len(runs) == 1 else ''})")
    of_steps = take(f"{PACE}$|learning_rate$|.*gradient_norm")
    of_discriminator = take(".*(logits/|discriminator|penalty)")
    groups = [
        Group("Validation", "Circles mark the selected checkpoint.",
              drawn(across(runs, name, marked=True) for name in validated)),
        Group("Loss", "Raw: what a term measures. Weighted: its part of the total.",
              losses(runs, of_losses)),
        Group("Discriminator", "The closer its logits for real and restored images, the less it "
              "can tell them apart.", discriminator(runs, of_discriminator)),
        Group("Steps", "The pace includes validations.",
              drawn(across(runs, n, log=None if "gradient" in n else False) for n in of_steps)),
        Group("Everything else", "", drawn(across(runs, name) for name in left), folded=True),
    ]  # fmt: skip
    return [group for group in groups if group.drawings]


def losses(runs: Sequence[Run], names: Sequence[str]) -> list[Drawing]:
    """Each term raw and weighted; weighted terms of one run share their axes."""
    if len(runs) != 1:
        return drawn(across(runs, name, log=None) for name in names)
    kinds = ("weighted", "raw", "loss_fraction")
    weighted, raw, fractions = ([n for n in names if f"/{kind}/" in n] for kind in kinds)
    several = len(weighted) > 1  # the sum of a single term would hide the term
    total = [name for name in names if name == "train/loss" and several]
    tones = {_last(name): (i + 1) % TONES for i, name in enumerate(weighted)}

    def together(title: str, names: Sequence[str], *, log: bool | None = None) -> Chart:
        """Columns on common axes; each keeps its colour from chart to chart."""
        curves = [Curve(_last(n), runs[0].columns[n], tones.get(_last(n), 0)) for n in names]
        return Chart(title, curves, log=log, lines=_selected(runs))

    charts = [together("weighted, and their sum", [*total, *weighted])]
    charts += [together(f"{_last(name)}, raw", [name]) for name in raw]
    charts += [together("fraction of the sum", fractions, log=False)] if several else []
    return drawn(charts)


def discriminator(runs: Sequence[Run], names: Sequence[str]) -> list[Drawing]:
    """The discriminator's logits for both kinds on common axes, then what else is known of it."""
    several = len(runs) > 1
    logits = Chart(
        "logits, restored dashed" if several else "logits",
        [
            Curve(f"{run.name}, {word}" if several else word, run.column(name),
                  tone if several else number, dashed=several and name == FAKE)
            for tone, run in enumerate(runs)
            for number, (name, word) in enumerate(((REAL, "real"), (FAKE, "restored")))
        ],
        lines=_selected(runs),
    )  # fmt: skip
    return drawn([logits, *(across(runs, name) for name in names if name not in (REAL, FAKE))])


# -- charts -------------------------------------------------------------------------------------


def across(
    runs: Sequence[Run], name: str, *, marked: bool = False, log: bool | None = False
) -> Chart:
    """One column of every run that has it."""
    marks = [run.selected.iteration if marked and run.selected else None for run in runs]
    curves = [
        Curve(run.name if len(runs) > 1 else _last(name), run.columns[name], i % TONES, marks[i])
        for i, run in enumerate(runs)
        if name in run.columns
    ]
    return Chart(_title(name), curves, _better(name), log=log, lines=_selected(runs))


def drawn(charts: Iterable[Chart]) -> list[Drawing]:
    """Charts that have something to show."""
    return [drawing for chart in charts if (drawing := draw(chart)) is not None]


def _selected(runs: Sequence[Run]) -> list[float]:
    """Where the selected checkpoint was made; lines of several runs would say too much."""
    return [run.selected.iteration for run in runs if run.selected and len(runs) == 1]


class InterpolationStep(BaseModel):
    """Metrics of a network between two others."""

    weight: float
    metrics: dict[str, float]


def read_interpolation(path: Path) -> list[Chart]:
    """One chart per metric, over the weight.

    Raises:
        ValueError: the file does not hold what the module's docstring says.
    """
    steps: list[InterpolationStep] = read_typed_json(
        path, Annotated[list[InterpolationStep], Len(1)]
    )
    columns: dict[str, Column] = {}
    for step in sorted(steps, key=lambda step: step.weight):
        for name, value in step.metrics.items():
            x, y = columns.setdefault(name, Column([], []))
            x.append(step.weight)
            y.append(value)
    return [Chart(name, [Curve(name, c)], x_label="weight") for name, c in columns.items()]


# -- names --------------------------------------------------------------------------------------


def _title(name: str) -> str:
    """A column's name for people."""
    plain = name.removeprefix("train/").removeprefix("val/").replace("/", " · ")
    return "iterations a second" if name == PACE else plain


def _last(name: str) -> str:
    """The last part of a column's name."""
    return "sum" if name == "train/loss" else name.rsplit("/", 1)[-1]


def _better(name: str) -> str:
    """Which direction is better, for what was validated."""
    rises = falls_or_rises(name.removeprefix("val/")) if name.startswith("val/") else None
    return "" if rises is None else f"{'higher' if rises else 'lower'} is better"
