"""Series of comparison images that an evaluation draws besides its usual ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from annotated_types import MinLen
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from srlit.inference.upscalers import Upscaler
from srlit.types import Count


class Figure(BaseModel):
    """A series of comparison images.

    Attributes:
        methods: the columns between LR and HR, by their names in tables; None: all methods.
        photos: how many of the first photos.
        whole: whole photos instead of the data's crops.
        tile: side of the networks' tiles in LR pixels; None: the evaluation's.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    methods: Annotated[list[str], MinLen(1)] | None = None
    photos: Count = 6
    whole: bool = False
    tile: Count | None = None

    def columns(self, methods: Sequence[Upscaler]) -> list[Upscaler]:
        """The chosen methods in the figure's order, with its tiles.

        Raises:
            KeyError: an unknown method.
            ValueError: the tile is too small for the networks' overlap.
        """
        known = {method.name: method for method in methods}
        chosen = [known[name] for name in self.methods or known]
        return [method.tiled(self.tile) for method in chosen] if self.tile else chosen


def read_figures(nodes: Mapping[str, Any] | None, methods: Sequence[Upscaler]) -> dict[str, Figure]:
    """Folder name to figure.

    Args:
        nodes: name to settings, as configured.
        methods: what is measured.

    Raises:
        ValueError: an unknown setting, an unknown method, or a value out of range.
    """
    try:
        figures = TypeAdapter(dict[str, Figure]).validate_python(nodes or {})
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, ("figures", *problem["loc"])))
        expected = f"{problem['msg']} (a figure takes {', '.join(Figure.model_fields)})"
        raise ValueError(f"{key}={problem['input']}: {expected}") from error
    known = [method.name for method in methods]
    for name, figure in figures.items():
        if name != Path(name).name:
            raise ValueError(f"figures.{name}: expected a name for a folder")
        if not {*(figure.methods or ())} <= {*known}:
            expected = f"expected some of {', '.join(known)}"
            raise ValueError(f"figures.{name}.methods={figure.methods}: {expected}")
        try:
            figure.columns(methods)
        except ValueError as error:
            raise ValueError(f"figures.{name}.tile={figure.tile}: {error}") from error
    return figures
