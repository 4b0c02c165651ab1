"""The random draws of an evaluation's degradation: recorded per photo, and replayed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from pydantic import TypeAdapter
from torch import Tensor

from srlit.degradation.pipeline import Degradation
from srlit.degradation.recorded_draws import DrawsError, Record, from_records, to_records
from srlit.ops.ragged_batch import Params
from srlit.utils.atomic import write_json
from srlit.utils.small_files import MAX_LIST_BYTES, read_json

PHOTOS = TypeAdapter(list[dict[str, Any]])


@dataclass(eq=False)
class RecordedDraws:
    """Draws degradation parameters photo by photo and records them.

    Args:
        degradation: what is drawn for.
        replay: a `draws.json` to take the draws from; None draws anew.
        setting: parameter to a value that replaces what is drawn, for every photo.

    Attributes:
        photos: one record per photo so far: its name, size and draws.

    Raises:
        DrawsError: the file belongs to another degradation or scale, or holds no draws.
    """

    degradation: Degradation
    replay: Path | None = None
    setting: Mapping[str, float] = field(default_factory=dict)
    photos: list[dict[str, Any]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._recorded = [] if self.replay is None else self._read(self.replay)

    def _read(self, path: Path) -> list[dict[str, Any]]:
        try:
            content = read_json(path, MAX_LIST_BYTES)
            found = content["degradation"], content["scale"]
            photos = PHOTOS.validate_python(content["photos"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DrawsError(f"replay={path}: {error!r}: expected evaluate's draws.json") from error
        expected = self.degradation.name, self.degradation.scale
        if found != expected:
            raise DrawsError(
                f"replay={path} was drawn for degradation={found[0]} scale={found[1]}, "
                f"but this is degradation={expected[0]} scale={expected[1]}"
            )
        return photos

    def draw(
        self, names: Sequence[str], size: tuple[int, int], keys: Int64[Tensor, " n"]
    ) -> Params:
        """The parameters for the next photos: replayed where there is a file, else by their keys.

        Args:
            names: the photos' file names.
            size: their height and width.
            keys: their random keys.

        Raises:
            DrawsError: the file has other photos.
        """
        if self.replay is None:
            draws = self.degradation.sample(keys)
        else:
            draws = from_records(self.degradation, self._next_records(names, size))
        fixed = {key: torch.full_like(draws[key], value) for key, value in self.setting.items()}
        draws = {**draws, **fixed}
        found = zip(names, to_records(self.degradation, draws, len(names)), strict=True)
        self.photos += [{"photo": name, "size": [*size], "draws": record} for name, record in found]
        return draws

    def _next_records(self, names: Sequence[str], size: tuple[int, int]) -> list[Record]:
        records = []
        for number, name in enumerate(names, len(self.photos)):
            photo = self._recorded[number] if number < len(self._recorded) else {}
            if (photo.get("photo"), photo.get("size")) != (name, list(size)):
                raise DrawsError(
                    f"replay={self.replay}: photo {number + 1} is {photo.get('photo')} of size "
                    f"{photo.get('size')}, but this evaluation has {name} of {list(size)}"
                )
            records.append(photo["draws"])
        return records

    def write(self, path: Path) -> None:
        """Write all draws so far; no file where nothing was drawn, as for real pairs."""
        if self.photos:
            name, scale = self.degradation.name, self.degradation.scale
            write_json(path, {"degradation": name, "scale": scale, "photos": self.photos})
