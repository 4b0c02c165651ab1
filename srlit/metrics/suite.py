"""A set of metrics chosen by their protocol names."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from srlit.metrics.fid_kid import SetMeasures, set_metrics_named
from srlit.metrics.precision import exactly, to_8_bit
from srlit.metrics.ranking import measured_name
from srlit.metrics.registry import Backbones, Judge, Metric, Target, metric_named
from srlit.types import AnyImages, Images


class Targets:
    """Targets of which every metric has seen what it needs; call it with each restoration.

    Args:
        judges: a metric's name to what measures images against these targets.
    """

    def __init__(self, judges: Mapping[str, Judge]) -> None:
        self._judges = dict(judges)

    def __call__(self, sr: Images) -> dict[str, Float[Tensor, " n"]]:
        """Measure restored images, in the order of the targets.

        Args:
            sr: restored images; clamped and rounded to 8 bits first, as a file would keep them.

        Returns:
            A value an image by the names of the metrics.
        """
        with exactly(sr.device):
            kept = to_8_bit(sr)
            return {name: judge(kept) for name, judge in self._judges.items()}


class MetricSuite:
    """Metrics by name, each one value an image.

    Args:
        names: names that follow a protocol of `srlit.metrics.registry`; docs/metrics.md says
            what each means.
        set_names: names of metrics of all images together, `<kid|fid>_<net>_p<side>`; they are
            measured by `over_set` and are no part of `names`.
        own: metrics of the user's by their names, measured too.
        weights_dir: folder of pretrained weights; None looks further.
        allow_untrained: look through random networks where no weights can be had; the names of
            such metrics then end in `_untrained`.

    Raises:
        ValueError: a name that follows no protocol.
        MissingWeightsError: a metric without the weights of its network.
    """

    def __init__(
        self,
        *,
        names: Sequence[str],
        set_names: Sequence[str] = (),
        own: Mapping[str, Metric] = MappingProxyType({}),
        weights_dir: str | None = None,
        allow_untrained: bool = False,
    ) -> None:
        backbones = Backbones(weights_dir, allow_untrained)
        asked = {name: metric_named(name, backbones) for name in names}
        self._metrics: dict[str, Metric] = {
            name if metric.trained else f"{name}_untrained": metric
            for name, metric in asked.items()
        } | dict(own)
        self._set_metrics = set_metrics_named(set_names, backbones)

    @property
    def min_size(self) -> int:
        """Shortest side of an image that every metric can measure, in pixels."""
        sizes = [metric.min_size for metric in self._metrics.values()]
        sides = [named.view.side for named in self._set_metrics.values()]
        return max([1, *sizes, *sides])

    @property
    def names(self) -> list[str]:
        """The names as they are reported."""
        return list(self._metrics)

    def reported_name(self, name: str) -> str:
        """The reported name of a metric asked for: `lpips_alex` may be `lpips_alex_untrained`."""
        return measured_name(name, self._metrics)

    def against(self, hr: Images, lr: AnyImages | None = None) -> Targets:
        """Look at targets once, to measure any number of restorations of them.

        What metrics see in them, such as a network's features, stays in memory with the result.

        Args:
            hr: targets in [0, 1].
            lr: what is restored, in [0, 1], of any size; None where no metric needs it.

        Raises:
            ValueError: a metric needs lr, and there is none.
        """
        target = Target(hr.float(), None if lr is None else lr.float())
        for name, metric in self._metrics.items():
            if "lr" in metric.needs and lr is None:
                msg = f"metrics.names has {name!r}, which needs lr: expected suite(sr, hr, lr)"
                raise ValueError(msg)
        with exactly(hr.device):
            return Targets({name: m.against(target) for name, m in self._metrics.items()})

    def over_set(self) -> SetMeasures:
        """What gathers the set metrics of several methods, batch by batch; it has seen nothing."""
        return SetMeasures(self._set_metrics)

    def __call__(
        self, sr: Images, hr: Images, lr: AnyImages | None = None
    ) -> dict[str, Float[Tensor, " n"]]:
        """Measure restored images against their targets: `against(hr, lr)(sr)`.

        Args:
            sr: restored images; clamped and rounded to 8 bits first, as a file would keep them.
            hr: targets in [0, 1].
            lr: as in `against`.
        """
        return self.against(hr, lr)(sr)
