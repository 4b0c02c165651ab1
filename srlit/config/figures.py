"""The pictures that an evaluation draws besides the usual ones: `figures`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srlit.config.check import ConfigError

if TYPE_CHECKING:
    from srlit.inference import Upscaler


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A series of comparison pictures.

    Attributes:
        name: of its folder.
        methods: the columns between LR and HR, by their names in tables; all of them without it.
        photos: how many of the first ones.
        whole: whole photos instead of the data's crops.
        tile: side of the networks' tiles in LR pixels; the evaluation's without it.
    """

    name: str
    methods: tuple[str, ...] | None = None
    photos: int = 6
    whole: bool = False
    tile: int | None = None

    def columns(self, methods: "Sequence[Upscaler]") -> "list[Upscaler]":
        """The methods that it shows, in its own order, with its own tiles."""
        from srlit.inference import NetworkUpscaler

        known = {method.name: method for method in methods}
        chosen = [known[name] for name in self.methods or known]
        return [
            method.tiled(self.tile) if self.tile and isinstance(method, NetworkUpscaler) else method
            for method in chosen
        ]


def figures_of(nodes: Mapping[str, Any] | None, methods: "Sequence[Upscaler]") -> list[Figure]:
    """The figures of a configuration.

    Args:
        nodes: name to its settings.
        methods: what is measured.

    Raises:
        ConfigError: an unknown setting or method, or a value that makes no figure.
    """
    return [_figure(name, node, methods) for name, node in (nodes or {}).items()]


def _figure(name: str, node: Mapping[str, Any], methods: "Sequence[Upscaler]") -> Figure:
    settings = [field.name for field in fields(Figure) if field.name != "name"]
    if not isinstance(node, Mapping) or not node.keys() <= set(settings):
        msg = f"figures.{name}={node}: expected some of {', '.join(settings)}"
        raise ConfigError(msg)
    if name != Path(name).name:
        msg = f"figures.{name}: expected a name for a folder"
        raise ConfigError(msg)
    chosen = node.get("methods")
    known = [method.name for method in methods]
    if chosen is not None and (
        isinstance(chosen, str) or not chosen or not set(chosen) <= set(known)
    ):
        msg = f"figures.{name}.methods={chosen}: expected a list, some of {', '.join(known)}"
        raise ConfigError(msg)
    figure = Figure(name=name, **{**node, "methods": chosen and tuple(chosen)})
    if type(figure.photos) is not int or figure.photos < 1:
        msg = f"figures.{name}.photos={figure.photos}: expected at least 1"
        raise ConfigError(msg)
    try:
        figure.columns(methods)
    except (TypeError, ValueError) as error:
        msg = f"figures.{name}.tile={figure.tile}: {error}"
        raise ConfigError(msg) from error
    return figure
