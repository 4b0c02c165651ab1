"""Which curves are shown together: validation, losses, discriminator, steps, everything else.

One run: related curves share a chart, one colour per curve. Several runs: one chart per column, one
colour per run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from srlit.reports.curves import Chart, Curve, Drawing, draw
from srlit.reports.evaluations import falls_or_rises
from srlit.reports.run_folders import Column, Run

TONES = 8
PACE = "pace"  # the name of what `read_pace` found among the columns
REAL, FAKE = "train/logits/real", "train/logits/fake"

Names = Sequence[str]


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
    left = dict.fromkeys(name for run in runs for name in run.columns)

    def take(wanted: Callable[[str], bool]) -> list[str]:
        """Columns that no group has yet."""
        names = [name for name in left if wanted(name)]
        for name in names:
            del left[name]
        return names

    validated = sorted(take(lambda n: n.startswith("val/")), key=_decisive_first)
    # Fractions of the total explain one run; for several they would clutter.
    of_losses = take(lambda n: _is_loss(n) or (_is_fraction(n) and len(runs) == 1))
    of_steps, of_discriminator = take(_is_step), take(_is_discriminator)
    groups = [
        Group("Validation", "Circles mark the selected checkpoint.",
              drawn(across(runs, name, marked=True) for name in validated)),
        Group("Loss", "Raw: what a term measures. Weighted: its part of the total.",
              losses(runs, of_losses)),
        Group("Discriminator", "The closer its logits for real and restored images, the less it "
              "can tell them apart.", discriminator(runs, of_discriminator)),
        Group("Steps", "The pace includes validations.",
              drawn(across(runs, n, log=None if "gradient" in n else False) for n in of_steps)),
        Group("Everything else", "",
              drawn(across(runs, name) for name in take(lambda _: True)), folded=True),
    ]  # fmt: skip
    return [group for group in groups if group.drawings]


def losses(runs: Sequence[Run], names: Names) -> list[Drawing]:
    """Each term raw and weighted; weighted terms of one run share their axes."""
    if len(runs) != 1:
        return drawn(across(runs, name, log=None) for name in names)
    (run,) = runs
    kinds = ("weighted", "raw", "loss_fraction")
    weighted, raw, fractions = ([n for n in names if f"/{kind}/" in n] for kind in kinds)
    tones = {_last(name): (i + 1) % TONES for i, name in enumerate(weighted)}
    charts = [
        together(run, "weighted, and their sum", [*_sums(names), *weighted], tones, log=None),
        *(together(run, f"{_last(name)}, raw", [name], tones, log=None) for name in raw),
    ]
    if len(weighted) > 1:
        charts.append(together(run, "fraction of the sum", fractions, tones))
    return drawn(charts)


def discriminator(runs: Sequence[Run], names: Names) -> list[Drawing]:
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
    curves = [
        Curve(
            run.name if len(runs) > 1 else _last(name),
            run.columns[name],
            i % TONES,
            run.selected.iteration if marked and run.selected else None,
        )
        for i, run in enumerate(runs)
        if name in run.columns
    ]
    return Chart(_title(name), curves, _better(name), log=log, lines=_selected(runs))


def together(
    run: Run, title: str, names: Names, tones: Mapping[str, int], *, log: bool | None = False
) -> Chart:
    """Several columns of one run; each keeps its colour from chart to chart."""
    curves = [Curve(_last(n), run.columns[n], tones.get(_last(n), 0)) for n in names]
    return Chart(title, curves, log=log, lines=_selected([run]))


def drawn(charts: Iterable[Chart]) -> list[Drawing]:
    """Charts that have something to show."""
    return [drawing for chart in charts if (drawing := draw(chart)) is not None]


def _selected(runs: Sequence[Run]) -> list[float]:
    """Where the selected checkpoint was made; lines of several runs would say too much."""
    return [run.selected.iteration for run in runs if run.selected and len(runs) == 1]


# -- names --------------------------------------------------------------------------------------


def _is_loss(name: str) -> bool:
    return name == "train/loss" or name.startswith(("train/raw/", "train/weighted/"))


def _is_fraction(name: str) -> bool:
    return name.startswith("train/loss_fraction/")


def _is_step(name: str) -> bool:
    return name in (PACE, "learning_rate") or "gradient_norm" in name


def _is_discriminator(name: str) -> bool:
    return any(word in name for word in ("logits/", "discriminator", "penalty"))


def _sums(names: Names) -> list[str]:
    """The sum, where it is one: of a single term it would hide the term."""
    weighted = [name for name in names if "/weighted/" in name]
    return [name for name in names if name == "train/loss" and len(weighted) > 1]


def _decisive_first(name: str) -> tuple[bool, bool]:
    """Sort key: LPIPS, which selects, first; the loss last."""
    return not name.startswith("val/lpips"), name == "val/loss"


def _title(name: str) -> str:
    """A column's name for people."""
    if name == PACE:
        return "iterations a second"
    return name.removeprefix("train/").removeprefix("val/").replace("/", " · ")


def _last(name: str) -> str:
    """The last part of a column's name."""
    return "sum" if name == "train/loss" else name.rsplit("/", 1)[-1]


def _better(name: str) -> str:
    """Which direction is better, for what was validated."""
    rises = falls_or_rises(name.removeprefix("val/")) if name.startswith("val/") else None
    return "" if rises is None else f"{'higher' if rises else 'lower'} is better"
