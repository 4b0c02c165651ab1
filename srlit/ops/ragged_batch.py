"""Images of different sizes in one padded batch, processed without waiting for the device.

Sample i fills the top left corner of its plane; the padding has no meaning. A CPU processes every
sample at its own size. Other devices process the padded batch, into which each image's border pixel
is repeated first, so that filters see the same neighbours as at the image's own border; no size is
read back. Both give the same numbers.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

Params = Mapping[str, Tensor]
PixelFunction = Callable[[Tensor, Params], Tensor]


class RaggedBatch(NamedTuple):
    """A batch on its way through a degradation.

    Attributes:
        pixels: (n, 3, H, W).
        hr: height and width before any degradation.
        sizes: height and width of every sample, (n, 2) int64; None where all fill the plane.
        min_size: a lower bound of the samples' height and width.
        owned: nothing else refers to the pixels, so a CPU may write to them.
    """

    pixels: Float[Tensor, "n 3 h w"]
    hr: tuple[int, int]
    sizes: Int64[Tensor, "n 2"] | None
    min_size: tuple[int, int]
    owned: bool = False

    @classmethod
    def of(cls, pixels: Float[Tensor, "n 3 h w"]) -> "RaggedBatch":
        """Images of one size."""
        h, w = pixels.shape[-2:]
        return cls(pixels, (h, w), None, (h, w))

    def with_pixels(self, pixels: Float[Tensor, "n 3 h w"]) -> "RaggedBatch":
        """New pixels of the same sizes, owned unless they may be shared."""
        owned = self.owned or not _share_memory(pixels, self.pixels)
        return self._replace(pixels=pixels, owned=owned)

    def resized(self, pixels: Float[Tensor, "n 3 h w"]) -> "RaggedBatch":
        """New pixels that have one size."""
        owned = not _share_memory(pixels, self.pixels)
        return RaggedBatch.of(pixels)._replace(hr=self.hr, owned=owned)

    def own_sizes(self) -> Int64[Tensor, "n 2"]:
        """The size of each sample, also where all are the same."""
        if self.sizes is not None:
            return self.sizes
        h, w = self.pixels.shape[-2:]
        heights = torch.full((len(self.pixels),), h, device=self.pixels.device)
        return torch.stack([heights, torch.full_like(heights, w)], 1)

    def take(self, index: Int64[Tensor, " m"]) -> "RaggedBatch":
        """Some of the samples."""
        sizes = None if self.sizes is None else self.sizes[index]
        return self._replace(pixels=self.pixels.index_select(0, index), sizes=sizes, owned=True)

    def padded_to(self, h: int, w: int) -> "RaggedBatch":
        """The same samples, padded to another size."""
        oh, ow = self.pixels.shape[-2:]
        if (oh, ow) == (h, w):
            return self
        pixels = F.pad(self.pixels, (0, w - ow, 0, h - oh))
        return self._replace(pixels=pixels, sizes=self.own_sizes(), owned=True)

    def map(self, function: PixelFunction, params: Params) -> "RaggedBatch":
        """function(pixels, params) on every sample at its own size.

        Args:
            function: keeps the size, treats samples independently and takes (n, 3, h, w) and
                parameters of n rows. Other devices than a CPU pass padded images, whose border
                is repeated to the right and below.
            params: n rows each.
        """
        if self.sizes is None:
            return self.with_pixels(function(self.pixels, params))
        if not self.pixels.is_cpu:
            return self.with_pixels(function(self.extended(), params))
        return self.map_one_by_one(function, params)

    def map_one_by_one(self, function: PixelFunction, params: Params) -> "RaggedBatch":
        """As `map`, one sample after the other on every device."""
        n, _, *size = self.pixels.shape
        pixels = torch.zeros_like(self.pixels)
        sizes = [size] * n if self.sizes is None else self.sizes.tolist()
        for i, (h, w) in enumerate(sizes):
            row = {name: value[i : i + 1] for name, value in params.items()}
            pixels[i : i + 1, :, :h, :w] = function(self.pixels[i : i + 1, :, :h, :w], row)
        return self.with_pixels(pixels)

    def extended(self) -> Float[Tensor, "n 3 h w"]:
        """The pixels, with every sample's border repeated into the padding."""
        return self.pixels if self.sizes is None else extend(self.pixels, self.sizes)


def extend(x: Float[Tensor, "n c h w"], sizes: Int64[Tensor, "n 2"]) -> Float[Tensor, "n c h w"]:
    """Repeat the last row and column of every sample into the padding."""
    n, c, h, w = x.shape
    rows = _clamped_positions(h, sizes[:, 0])[:, None, :, None].expand(n, c, h, w)
    columns = _clamped_positions(w, sizes[:, 1])[:, None, None, :].expand(n, c, h, w)
    return x.gather(2, rows).gather(3, columns)


def _clamped_positions(length: int, sizes: Int64[Tensor, " n"]) -> Int64[Tensor, "n length"]:
    return torch.minimum(torch.arange(length, device=sizes.device), sizes[:, None] - 1)


def apply_to_rows(
    chosen: Bool[Tensor, " n"],
    function: Callable[[RaggedBatch, Params], RaggedBatch],
    batch: RaggedBatch,
    params: Params,
) -> RaggedBatch:
    """Apply function(batch, params) to the chosen samples only.

    A CPU computes only the chosen samples. Other devices compute all, as reading which are chosen
    would wait for the device.

    Args:
        chosen: which samples.
        function: treats samples independently; it may change their sizes.
        batch: the batch.
        params: tensors of n rows that belong to the samples.
    """
    if not batch.pixels.is_cpu:
        return _choose(chosen, function(batch, params), batch)
    index = chosen.nonzero().flatten()
    if len(index) == 0:
        return batch
    if len(index) == len(chosen):
        return function(batch, params)
    part = function(batch.take(index), {name: value[index] for name, value in params.items()})
    whole, part = _padded_alike(batch, part)
    pixels = whole.pixels if whole.owned else whole.pixels.clone()
    pixels.index_copy_(0, index, part.pixels)
    if whole.sizes is None and part.sizes is None:
        return whole.with_pixels(pixels)
    sizes = whole.own_sizes().index_copy(0, index, part.own_sizes())
    return RaggedBatch(pixels, batch.hr, sizes, _min_size(part, batch), owned=True)


def own_rows(choice: Int64[Tensor, " n"], candidates: Iterable[Tensor]) -> Tensor:
    """Row i of the candidate that sample i chose; each candidate has n rows.

    Candidates are consumed one by one, so a generator need not hold all of them at once.
    """
    remaining = iter(candidates)
    result = next(remaining)
    for index, candidate in enumerate(remaining, 1):
        own = (choice == index).view(-1, *[1] * (result.dim() - 1))
        result = torch.where(own, candidate, result)
    return result


def _choose(chosen: Tensor, first: RaggedBatch, second: RaggedBatch) -> RaggedBatch:
    """`first` where chosen, else `second`."""
    first, second = _padded_alike(first, second)
    pixels = torch.where(chosen.view(-1, 1, 1, 1), first.pixels, second.pixels)
    if first.sizes is None and second.sizes is None:
        return second.with_pixels(pixels)
    sizes = torch.where(chosen[:, None], first.own_sizes(), second.own_sizes())
    return RaggedBatch(pixels, second.hr, sizes, _min_size(first, second))


def _share_memory(a: Tensor, b: Tensor) -> bool:
    """Whether two CPU tensors share memory; True on other devices, where it is not known."""
    if not (a.is_cpu and b.is_cpu):
        return True
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def _padded_alike(a: RaggedBatch, b: RaggedBatch) -> tuple[RaggedBatch, RaggedBatch]:
    h, w = map(max, a.pixels.shape[-2:], b.pixels.shape[-2:])
    return a.padded_to(h, w), b.padded_to(h, w)


def _min_size(a: RaggedBatch, b: RaggedBatch) -> tuple[int, int]:
    return min(a.min_size[0], b.min_size[0]), min(a.min_size[1], b.min_size[1])
