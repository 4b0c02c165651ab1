"""A set of metrics chosen by their names."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from srlit.metrics.fid_kid import SetMeasures, set_metrics_named
from srlit.metrics.planes import exactly, to_8_bit
from srlit.metrics.ranking import measured_name
from srlit.metrics.registry import Metric, PerImage, Target, declare_direction, metric_named
from srlit.types import AnyImages, Images

# Raised when a metric's values change: earlier ones are not compared with later ones.
METRICS_VERSION = 1

# A value per image by the names of the metrics.
PerMetric = dict[str, PerImage]


class MetricSuite:
    """Metrics by name, each with one value per image.

    Args:
        names: names of metrics of `srlit.metrics` (docs/metrics.md explains them).
        set_names: names of metrics of all images together, `<kid|fid>_<net>_p<side>`; they are
            measured by `over_set` and are not part of `names`.
        own: name to a metric of the user's own; all of them are measured too.
        weights_dir: folder of pretrained weights; None: the default search.
        allow_untrained: use random networks if no weights are found; the names of such metrics
            then end in `_untrained`.

    Raises:
        ValueError: an unknown name.
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
        for name, metric in own.items():
            declare_direction(name, higher_is_better=metric.higher_is_better)
        found = partial(metric_named, weights_dir=weights_dir, allow_untrained=allow_untrained)
        asked = {name: found(name) for name in names} | dict(own)
        self._metrics: dict[str, Metric] = {
            name if metric.trained else f"{name}_untrained": metric
            for name, metric in asked.items()
        }
        self._set_metrics = set_metrics_named(
            set_names, weights_dir, allow_untrained=allow_untrained
        )

    @property
    def min_size(self) -> int:
        """Shortest side of an image that every metric can measure, in pixels."""
        sides = [extract.side for _, extract in self._set_metrics.values()]
        return max([1, *sides, *(metric.min_size for metric in self._metrics.values())])

    @property
    def names(self) -> list[str]:
        """The names as they are reported."""
        return list(self._metrics)

    def reported_name(self, name: str) -> str:
        """The reported name of a metric: `lpips_alex` may be `lpips_alex_untrained`."""
        return measured_name(name, self._metrics)

    def against(self, hr: Images, lr: AnyImages | None = None) -> Callable[[Images], PerMetric]:
        """Compute the targets' features once, to measure any number of restorations.

        Args:
            hr: targets in [0, 1].
            lr: inputs in [0, 1], of any size; None if no metric needs them.

        Returns:
            A function of restored images in the order of the targets, which are clamped and rounded
            to 8 bits first, as in an image file. It keeps the features in memory.

        Raises:
            ValueError: a metric needs lr, which is None.
        """
        target = Target(hr.float(), None if lr is None else lr.float())
        for name, metric in self._metrics.items():
            if "lr" in metric.needs and lr is None:
                raise ValueError(f"metrics.names has {name!r}: it needs suite(sr, hr, lr)")
        with exactly(hr.device):
            measures = {name: m.against(target) for name, m in self._metrics.items()}

        def measure_all(sr: Images) -> PerMetric:
            with exactly(sr.device):
                rounded = to_8_bit(sr)
                return {name: measure(rounded) for name, measure in measures.items()}

        return measure_all

    def over_set(self) -> SetMeasures:
        """An empty accumulator of the set metrics of several methods."""
        return SetMeasures(self._set_metrics)

    def __call__(self, sr: Images, hr: Images, lr: AnyImages | None = None) -> PerMetric:
        """Measure restored images against their targets: `against(hr, lr)(sr)`."""
        return self.against(hr, lr)(sr)
