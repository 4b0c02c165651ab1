"""What an evaluation found on one data set: means, how sure they are, and what differs."""

import math
from functools import cached_property

from srlit.evaluation.measure import Measured
from srlit.evaluation.statistics import confidence_interval, holm, paired_p
from srlit.evaluation.tables import MARK, Row, latex_table, markdown_table

LABELS = ("data", "degradation")  # columns that tell sets apart
SIGNIFICANT = 0.05
NOTE = (
    f"{MARK}: differs from {{reference}} with p < {SIGNIFICANT:g} (Wilcoxon's signed-rank test "
    "over photos, Holm's correction for the methods of a column)."
)


class Summary:
    """The results on one set of photos under one degradation.

    Args:
        data: what the set is called.
        degraded: what the degradation is called; 'real' where LR images came with the photos.
        split: which of the set's photos.
        measured: what was measured.
        reference: name of the method that all others are tested against.
    """

    def __init__(
        self, data: str, degraded: str, split: str, measured: Measured, reference: str
    ) -> None:
        self.data, self.degraded, self.split = data, degraded, split
        self.measured = measured
        self.reference = reference

    @property
    def title(self) -> str:
        """Of its table."""
        count = len(self.measured.photos) // len(self.measured.means)
        how = "real pairs" if self.degraded == "real" else f"under {self.degraded}"
        return f"{self.data}, {count} {self.split} photos, {how}"

    def rows(self) -> list[Row]:
        """A row a method: data, degradation, name, and the mean of each metric."""
        return [self._labelled(row) for row in self.measured.means]

    def photo_rows(self) -> list[Row]:
        """A row a method and photo."""
        return [self._labelled(row) for row in self.measured.photos]

    def _labelled(self, row: Row) -> Row:
        return dict(zip(LABELS, (self.data, self.degraded), strict=True)) | row

    def markdown(self) -> str:
        """The table of means under its title, and what its stars mean."""
        table = markdown_table(self.measured.means, self.significant)
        return f"{self.title}\n\n{table}\n\n{self.note}\n"

    def latex(self) -> str:
        """The same for LaTeX."""
        table = latex_table(self.measured.means, self.significant)
        return f"% {self.title}; {self.note}\n{table}\n"

    @cached_property
    def statistics(self) -> list[Row]:
        """A row a method and metric.

        Its mean with the ends of the 95 % confidence interval, and, but for the reference, the mean
        difference from it with its interval and the p-value after Holm's correction. None stands
        for what too few photos cannot tell.
        """
        # Those of whole sets have no value a photo.
        metrics = [name for name in self.measured.photos[0] if name not in {"name", "photo"}]
        return [row for metric in metrics for row in self._of_metric(metric)]

    def _of_metric(self, metric: str) -> list[Row]:
        values: dict[str, list[float]] = {}
        for row in self.measured.photos:
            values.setdefault(row["name"], []).append(row[metric])
        standard = values[self.reference]
        others = {name: own for name, own in values.items() if name != self.reference}
        p_values = holm({name: paired_p(own, standard) for name, own in others.items()})
        found: list[Row] = []
        for mean in self.measured.means:
            name = mean["name"]
            low, high = confidence_interval(values[name])
            row = {"name": name, "metric": metric, "mean": mean[metric], "low": low, "high": high}
            if name in others:
                differences = [a - b for a, b in zip(others[name], standard, strict=True)]
                low, high = confidence_interval(differences)
                row |= {
                    "reference": self.reference,
                    "difference": math.fsum(differences) / len(differences),
                }
                row |= {"difference_low": low, "difference_high": high, "p": p_values[name]}
            known = {
                key: None if isinstance(value, float) and math.isnan(value) else value
                for key, value in row.items()
            }
            found.append(self._labelled(known))
        return found

    @property
    def significant(self) -> set[tuple[str, str]]:
        """Method and metric of what differs from the reference."""
        return {
            (row["name"], row["metric"])
            for row in self.statistics
            if row.get("p") is not None and row["p"] < SIGNIFICANT
        }

    @property
    def note(self) -> str:
        """What a star in its table means."""
        return NOTE.format(reference=self.reference)
