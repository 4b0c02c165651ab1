"""Metrics and the names that carry their protocol.

A module of this package gives its metric a name by the decorator `named`; `metric_named` finds it.
"""

import importlib
import pkgutil
import re
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeVar

from jaxtyping import Float
from torch import Tensor

from srlit.perceptual.dists import DISTSDistance
from srlit.perceptual.lpips import LPIPSDistance
from srlit.types import AnyImages, Images

PerImage = Float[Tensor, " n"]
# Measures restored images, (n, 3, h, w) in [0, 1], against targets that it already knows.
Measure = Callable[[Images], PerImage]
Kind = TypeVar("Kind", bound=type)
PARAMETER = re.compile(r"<(\w+)(?::([^>]+))?(\+)?>")


class Target(NamedTuple):
    """What restored images are compared with.

    Attributes:
        hr: the targets, in [0, 1].
        lr: the inputs, in [0, 1]; None if unknown.
    """

    hr: Images
    lr: AnyImages | None = None


class Metric:
    """One value per image; the default compares `view(sr)` with `view(hr)`.

    Attributes:
        needs: fields of `Target` that it reads.
        higher_is_better: its direction.
        ideal: its value for sr = hr; None: it does not look at hr.
        min_size: shortest side of an image that it can measure, in HR pixels.
        trained: whether its network, if any, has pretrained weights; if not, its name says so.
    """

    needs: tuple[str, ...] = ("hr",)
    higher_is_better: bool = False
    ideal: float | None = 0.0
    min_size: int = 1
    trained: bool = True

    def view(self, image: Images) -> Any:  # noqa: ANN401 - of any kind
        """The features of one image to compare, such as its luma."""
        return image

    def compare(self, sr: Any, hr: Any) -> PerImage:  # noqa: ANN401 - what `view` gives
        """A value per image from the views of restored images and targets."""
        raise NotImplementedError

    def against(self, target: Target) -> Measure:
        """Compute the targets' view once, to measure any number of restorations."""
        expected = self.view(target.hr)
        return lambda sr: self.compare(self.view(sr), expected)


class NetworkMetric(Metric):
    """A distance of a pretrained network's features."""

    def __init__(self, distance: LPIPSDistance | DISTSDistance) -> None:
        self.distance: Any = distance
        self.trained = distance.trained

    def view(self, image: Images) -> Any:  # noqa: ANN401
        """Features of images, on their device."""
        return self.distance.to(image.device).features(image)

    def compare(self, sr: Any, hr: Any) -> PerImage:  # noqa: ANN401
        """The distance of features."""
        return self.distance.between(sr, hr)


class Protocol(NamedTuple):
    """The names of one metric.

    Attributes:
        form: such as `psnr_<space:rgb|y>_b<border>`: `<key:a|b>` stands for one of several words,
            `<key>` for a number from 0, `<key+>` for one from 1.
        kind: the class, which takes the keys as arguments.
    """

    form: str
    kind: Any

    @property
    def family(self) -> str:
        """The part before the first parameter, such as `psnr`."""
        return re.split(r"_\w?<", self.form)[0]

    def parameters(self, name: str) -> dict[str, Any] | None:
        """The arguments that a name stands for; None: the name has another form."""
        numbers = {None: "0|[1-9][0-9]*", "+": "[1-9][0-9]*"}
        pattern = PARAMETER.sub(lambda m: f"(?P<{m[1]}>{m[2] or numbers[m[3]]})", self.form)
        match = re.fullmatch(pattern, name)
        return match and {k: int(v) if v.isdigit() else v for k, v in match.groupdict().items()}


_protocols: dict[str, Protocol] = {}
# Family or name to whether higher is better.
_directions: dict[str, bool] = {"loss": False}


def named(form: str) -> Callable[[Kind], Kind]:
    """Decorator: give a class the names of a form, as in `Protocol`."""

    def register(kind: Kind) -> Kind:
        protocol = Protocol(form, kind)
        _protocols[form] = protocol
        declare_direction(protocol.family, higher_is_better=kind.higher_is_better)  # type: ignore[attr-defined]
        return kind

    return register


def declare_direction(name: str, *, higher_is_better: bool) -> None:
    """Say in which direction a metric is better."""
    _directions[name] = higher_is_better


@cache
def protocols() -> dict[str, Protocol]:
    """Form to protocol of every metric of this package, whose modules are imported for it."""
    package = sys.modules[__name__.rpartition(".")[0]]
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return _protocols


def higher_is_better(name: str) -> bool:
    """Whether a higher value of a metric is better.

    Raises:
        ValueError: an unknown metric.
    """
    protocols()
    families = [known for known in _directions if f"{name}_".startswith(f"{known}_")]
    if not families:
        raise ValueError(f"metric {name!r}: expected one of {', '.join(_directions)}")
    return _directions[max(families, key=len)]


def parse(key: str, name: str, base: type) -> tuple[Any, dict[str, Any]]:
    """The class and the arguments that a name stands for.

    Args:
        key: of the configuration, for the error.
        name: of a metric.
        base: base class of the metrics that the key takes.

    Raises:
        ValueError: no such metric.
    """
    known = {form: each for form, each in protocols().items() if issubclass(each.kind, base)}
    for protocol in known.values():
        if (parameters := protocol.parameters(name)) is not None:
            return protocol.kind, parameters
    raise ValueError(f"{key} has {name!r}: expected one of {', '.join(sorted(known))}")


def metric_named(name: str, weights_dir: str | None, *, allow_untrained: bool) -> Metric:
    """The metric that a name stands for; the rest as in `srlit.perceptual.backbones`.

    Raises:
        ValueError: it stands for none.
        MissingWeightsError: it needs a network whose weights are not found.
    """
    kind, arguments = parse("metrics.names", name, Metric)
    if issubclass(kind, NetworkMetric):
        arguments |= {"weights_dir": weights_dir, "allow_untrained": allow_untrained}
    metric: Metric = kind(**arguments)
    return metric
