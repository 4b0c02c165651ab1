"""What constructors' annotations say, and which values they take."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Interval
from pydantic import AllowInfNan
from torch import Tensor, nn

from srlit.config.annotations import Built, arguments_of, describe, fits
from srlit.types import Count, NonNegative


@pytest.mark.parametrize(
    ("annotation", "good", "bad", "said"),
    [
        (int, [0, -3], [2.5, 2.0, True, "3", None], "a whole number"),
        (float, [1, 0.5], [True, "1", float("nan"), float("inf")], "a number"),
        (bool, [True], ["no", "yes", 0, 1], "true or false"),
        (str, ["a"], [1, None, True], "text"),
        (Path, ["a", Path("a")], [1, None], "a path"),
        (Count, [1], [0, 1.5], "a whole number >= 1"),
        (NonNegative | None, [0, None], [-0.1], "a number >= 0 or null"),
        (Annotated[float, AllowInfNan(allow_inf_nan=True)], [float("inf")], ["inf"], "a number"),
        (Literal["a", "b"], ["a"], ["c", 1], "a or b"),
        (tuple[float, float], [[0, 1]], [[1], [1, 2, 3], [1, "2"], 1], "a list of 2: "),
        (Sequence[int], [[], [1]], ["12", [1.5], 1], "a list of a whole number"),
        (Mapping[str, float], [{"a": 1}], [{"a": "b"}, [1]], "a mapping from text to a number"),
        (Annotated[int, Ge(1), "the number of the month"], [1], [0], "the number of the month"),
        (Annotated[float, Interval(ge=0, lt=1)], [0], [1], "a number >= 0 < 1"),
        (nn.Module, [Built()], ["relu", 3, None], "a node with a _target_"),
        (float | Callable[[int], float], [1, Built()], ["a"], "a number or a node"),
        (Tensor, [Built()], [1], "a node with a _target_"),
        (Any, [1, None, "a"], [], "a node"),
    ],
)
def test_a_type_takes_its_own_values_only(annotation, good, bad, said):
    assert [value for value in good if not fits(annotation, value)] == []
    assert [value for value in bad if fits(annotation, value)] == []
    assert describe(annotation).startswith(said)


class Base:
    def __init__(self, *, shared: int, both: float) -> None: ...


class Derived(Base):
    def __init__(self, *, own: str, both: int, **shared: Any) -> None: ...


def test_shared_arguments_are_those_of_the_base():
    assert arguments_of(Derived) == {"own": str, "both": int, "shared": int}


def test_a_callable_that_takes_any_name_is_not_checked():
    assert arguments_of(lambda **anything: anything) is None
