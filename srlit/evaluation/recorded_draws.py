"""What an evaluation drew for each photo: written down, and used again."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from srlit.degradation import Degradation
from srlit.degradation.recorded_draws import DrawsError, Record, from_records, to_records
from srlit.ops.ragged_batch import Params
from srlit.utils.atomic import write_json


class RecordedDraws:
    """The draws of an evaluation, photo by photo.

    Args:
        degradation: whose draws they are.
        replay: a file that `write` wrote, to be followed; None draws anew.
        setting: parameter to the value that it has for every photo, whatever else is drawn.

    Raises:
        DrawsError: the file is of another degradation or scale, or no such file at all.
    """

    def __init__(
        self,
        degradation: Degradation,
        replay: Path | None = None,
        setting: Mapping[str, float] | None = None,
    ) -> None:
        self.degradation = degradation
        self.setting = dict(setting or {})
        self.photos: list[dict[str, Any]] = []
        self.replay = replay
        self._told = [] if replay is None else self._read(replay)

    def _read(self, path: Path) -> list[dict[str, Any]]:
        try:
            book = json.loads(path.read_text())
            found = book["degradation"], book["scale"]
            photos: list[dict[str, Any]] = book["photos"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            msg = f"replay={path}: {error!r}: expected the draws.json of an evaluation"
            raise DrawsError(msg) from error
        expected = self.degradation.name, self.degradation.scale
        if found != expected:
            msg = (
                f"replay={path} was drawn for degradation={found[0]} scale={found[1]}, "
                f"but this is degradation={expected[0]} scale={expected[1]}"
            )
            raise DrawsError(msg)
        return photos

    def draws(
        self, names: Sequence[str], size: tuple[int, int], keys: Int64[Tensor, " n"]
    ) -> Params:
        """The draws of the next photos: the file's where one is followed, else by their keys.

        Args:
            names: the photos' file names.
            size: their height and width.
            keys: their keys.

        Raises:
            DrawsError: the file tells of other photos.
        """
        if self.replay is None:
            draws = self.degradation.sample(keys)
        else:
            draws = from_records(self.degradation, self._followed(names, size))
        set_to = {n: torch.full_like(draws[n], value) for n, value in self.setting.items()}
        draws = {**draws, **set_to}
        records = to_records(self.degradation, draws, len(names))
        self.photos += [
            {"photo": name, "size": list(size), "draws": record}
            for name, record in zip(names, records, strict=True)
        ]
        return draws

    def _followed(self, names: Sequence[str], size: tuple[int, int]) -> list[Record]:
        """The file's records of the next photos."""
        records = []
        for number, name in enumerate(names, len(self.photos)):
            photo = self._told[number] if number < len(self._told) else {}
            if (photo.get("photo"), photo.get("size")) != (name, list(size)):
                msg = (
                    f"replay={self.replay}: photo {number + 1} is {photo.get('photo')} of size "
                    f"{photo.get('size')}, but this evaluation has {name} of {list(size)}"
                )
                raise DrawsError(msg)
            records.append(photo["draws"])
        return records

    def write(self, path: Path) -> None:
        """Write what was drawn so far."""
        head = {"degradation": self.degradation.name, "scale": self.degradation.scale}
        write_json(path, {**head, "photos": self.photos})
