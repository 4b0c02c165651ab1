"""The root keys of each command with their types and ranges, and ranges of others' classes."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from annotated_types import Interval, Len, Predicate
from pydantic import StringConstraints

from srlit.types import Count, Fraction, NonNegative, NonNegativeInt


def _found(kind: Callable[[Path], bool]) -> Predicate:
    return Predicate(lambda path: kind(Path(path).expanduser()))


Folder = Annotated[str, _found(Path.is_dir), "an existing folder"]
File = Annotated[str, _found(Path.is_file), "an existing file"]
FileOrFolder = Annotated[str, _found(Path.exists), "an existing file or folder"]
Name = Annotated[str, Len(1), "text, not empty"]
Device = Annotated[
    str,
    StringConstraints(pattern=r"^(auto|cpu|mps|(cuda|xpu)(:\d+)?)$"),
    "auto, cpu, cuda, cuda:N, mps, xpu or xpu:N",
]
Split = Literal["train", "val", "test"]
BelowOne = Annotated[float, Interval(ge=0, lt=1)]


class Weights(TypedDict):
    """Where pretrained backbones are."""

    dir: Folder | None
    allow_untrained: bool


class Paths(TypedDict):
    """Where srlit reads and writes."""

    runs: Name
    run: Name
    data: Name
    cache: Name
    store: Name | None


class Command(TypedDict):
    """Root keys of every other command."""

    name: Name
    paths: Paths


class Restorer(Command):
    """Root keys of commands that restore photos by networks from files."""

    scale: Count
    device: Device
    trust: list[Name]


class Train(TypedDict):
    """Root keys of srlit.train."""

    label: Name  # checked before the name, which is made of it
    previous_phase: Name | None
    name: Name
    scale: Count
    seed: NonNegativeInt
    iterations: Count
    validate_every: Count
    compile: bool
    log_every: Count
    init_from: Name | None
    init_partial: bool
    init_discriminator: Name | None
    resume: Name | None
    resume_changes: Literal["any"] | list[Name]
    weights: Weights
    paths: Paths


class Evaluate(Restorer):
    """Root keys of srlit.evaluate."""

    checkpoints: Name | list[Name]
    names: list[Name] | None
    baselines: list[Literal["bilinear", "bicubic"]]
    reference: Name | None
    interpolate: Annotated[list[Name], Len(2, 2)] | None
    alphas: list[Fraction]
    soup: Name | list[Name] | None
    save_best: Name | None
    metric: Name
    tolerance: dict[str, NonNegative]
    grid: dict[str, Annotated[list[Any], Len(1)]] | None
    data_sets: list[Name] | None
    degradations: list[Name] | None
    split: Literal["test", "val"]
    tile: Count | None
    overlap: NonNegativeInt
    replay: File | None
    images: NonNegativeInt
    figures: dict[str, dict[str, Any]] | None
    weights: Weights


class Select(Restorer):
    """Root keys of srlit.select."""

    run: Name | list[Name]
    metric: Name | None
    minimum: dict[str, float] | None
    tolerance: dict[str, NonNegative] | None
    weights: Weights


class Upscale(Restorer):
    """Root keys of srlit.upscale."""

    input: FileOrFolder
    checkpoint: Name
    stage: Literal[1] | None
    output: Name
    format: Literal[".png", ".webp", ".jpg"]
    tile: Count | None
    overlap: NonNegativeInt
    overwrite: bool


class Prepare(Command):
    """Root keys of srlit.prepare."""

    scale: Count
    splits: list[Split]
    download: bool
    pack: bool
    verify: bool
    shards: Name | None


class NewWeights(TypedDict):
    """Where backbones are to be written."""

    dir: Name | None


class PrepareWeights(Command):
    """Root keys of srlit.prepare weights."""

    nets: list[Literal["alexnet", "squeezenet1_1", "vgg16", "vgg19"]]
    weights: NewWeights


class Report(Command):
    """Root keys of srlit.report."""

    subject: Literal["run", "degradation", "model"]
    folders: list[Name]
    image_megabytes: NonNegative
    extremes: NonNegativeInt
    models: list[Name] | None
    photo: File | None
    presets: list[Name] | None
    scale: Count
    crop: Count
    severities: Count
    draws: Count
    seed: NonNegativeInt


ROOTS: dict[str, type] = {
    "train": Train,
    "evaluate": Evaluate,
    "select": Select,
    "upscale": Upscale,
    "prepare": Prepare,
    "prepare_weights": PrepareWeights,
    "report": Report,
}

# Classes of the same arguments where importing the first one would take seconds.
LIGHT = {"srlit.data.datamodule.PhotoDataModule": "srlit.data.evaluation_data.TrainingData"}

# Ranges that classes of other packages check late or not at all, by the beginning of their names.
FOREIGN: dict[str, dict[str, Any]] = {
    "torch.optim.": {
        "lr": NonNegative,
        "betas": tuple[BelowOne, BelowOne],
        "eps": NonNegative,
        "weight_decay": NonNegative,
        "momentum": NonNegative,
    },
    "srlit.phases.trainer.Trainer": {
        "accelerator": Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"],
        "num_nodes": Count,
        "precision": Literal[
            "auto", "32-true", "bf16-mixed", "16-mixed", "32", "16", "bf16", 32, 16
        ],
        "val_check_interval": Count,
    },
}  # fmt: skip
