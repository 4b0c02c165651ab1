"""Counter-based random numbers: one independent stream per row, the same on every device.

`torch.Generator` hands out one stream for a whole batch, so what sample i draws depends on the
other samples and on how many numbers they took. Here a number is a hash of (key of the row, which
draw, which element): row i is the same alone and in a batch, on CPU and on GPU, and a draw is
recorded by its 64-bit key instead of its pixels. Integer arithmetic is the same everywhere, and
nothing here waits for the device.

Source: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011) for the idea;
the mixers are C. Wellons' lowbias32 and S. Vigna's SplitMix64.
"""

import math
import zlib
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import accumulate

import torch
from jaxtyping import Bool, Float, Int32, Int64
from torch import Tensor


def _signed(value: int, bits: int) -> int:
    """Reinterpret an unsigned constant as the signed integer with the same bits."""
    return value - (1 << bits) if value >= 1 << (bits - 1) else value


_WEYL_32 = _signed(0x9E3779B9, 32)
_MIX_32 = _signed(0x7FEB352D, 32), _signed(0x846CA68B, 32)
_WEYL_64 = _signed(0x9E3779B97F4A7C15, 64)
_MIX_64 = _signed(0xBF58476D1CE4E5B9, 64), _signed(0x94D049BB133111EB, 64)


@lru_cache(maxsize=256)
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Numbers on a device, copied once: a copy in every step would wait for the device."""
    return torch.tensor(values, device=device, dtype=dtype)


# Numbers per hash: for a batch of rows, one costs as much as sixteen.
BLOCK = 16


def _fold_bits(x: Tensor, shift: int, bits: int) -> Tensor:
    """X ^= x >> shift with a logical shift, in place."""
    return x.bitwise_xor_(x.bitwise_right_shift(shift).bitwise_and_((1 << (bits - shift)) - 1))


def mix64(x: Int64[Tensor, "*shape"]) -> Int64[Tensor, "*shape"]:
    """SplitMix64's output function: a bijection; every output bit depends on every input bit."""
    x = _fold_bits(x + _WEYL_64, 30, 64).mul_(_MIX_64[0])
    x = _fold_bits(x, 27, 64).mul_(_MIX_64[1])
    return _fold_bits(x, 31, 64)


def fold_in(keys: Int64[Tensor, " n"], data: int | Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Derive new keys from `keys` and a number (which draw, which stage, which image)."""
    number = data if isinstance(data, Tensor) else _signed(data & (2**64 - 1), 64)
    return mix64(mix64(keys) ^ number)


def make_keys(seed: int, path: Sequence[int], rows: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Keys for `rows` (image indices, positions in a batch) below a seed and a path.

    Args:
        seed: the run's seed, any integer.
        path: what else the draw depends on, such as (iteration, rank).
        rows: (n,) int64; the keys lie on the same device.
    """
    keys = torch.zeros_like(rows)
    for number in (seed, *path):
        keys = fold_in(keys, number)
    return fold_in(keys, rows)


def uniform_field(keys: Int64[Tensor, " n"], shape: Sequence[int]) -> Float[Tensor, "n ..."]:
    """Uniform numbers in the open interval (0, 1) with 23 bits, (n, *shape) float32.

    Each row is the SplitMix64 sequence that starts at its key. 23 bits and not 24, as the largest,
    1 - 2^-24, must still differ from 1 in float32.
    """
    steps = torch.arange(math.prod(shape), device=keys.device).mul_(_WEYL_64)
    bits = mix64(steps + keys[:, None]).bitwise_right_shift_(41).bitwise_and_(0x7FFFFF)
    return bits.float().mul_(2**-23).add_(2**-24).reshape(len(keys), *shape)


def pixel_field(keys: Int64[Tensor, " n"], shape: tuple[int, int, int]) -> Int32[Tensor, "n c h w"]:
    """16 random bits for every pixel of each row's image, 0 to 65535.

    The bits are a function of the place (channel, y, x) and the key: a cropped or padded image has
    the same bits where it has pixels. Two neighbours share one 32-bit hash.

    Args:
        keys: (n,) int64.
        shape: channels (at most 8), height (at most 32768), width (at most 32768).
    """
    c, h, w = shape
    pairs = (w + 1) // 2
    line = torch.arange(c, dtype=torch.int32, device=keys.device)[:, None].mul_(1 << 15)
    line = line + torch.arange(h, dtype=torch.int32, device=keys.device)
    pair = torch.arange(pairs, dtype=torch.int32, device=keys.device).mul_(_WEYL_32)
    place = line.mul_(_signed((0x9E3779B9 << 14) & 0xFFFFFFFF, 32))[..., None] + pair
    # An odd factor and an offset per row: no row is a shifted copy of another.
    factor = keys.to(torch.int32).bitwise_or_(1).view(-1, 1, 1, 1)
    x = (place * factor).add_((keys >> 32).to(torch.int32).view(-1, 1, 1, 1))
    x = _fold_bits(x, 16, 32).mul_(_MIX_32[0])
    x = _fold_bits(x, 15, 32).mul_(_MIX_32[1])
    return _fold_bits(x, 16, 32).view(torch.uint16)[..., :w].to(torch.int32)


class RowGenerator:
    """Random draws, one independent stream per row.

    Each call takes the next draw of every row; `child` opens a named independent stream, so that
    adding a draw in one stage changes nothing in another.

    Args:
        keys: (n,) int64, one per row, from `make_keys`.
    """

    def __init__(self, keys: Int64[Tensor, " n"]) -> None:
        self.rows = keys
        self._keys_drawn = self._numbers_drawn = 0
        self._block = torch.empty(0)

    @cached_property
    def _mixed(self) -> Int64[Tensor, " n"]:
        return mix64(self.rows)

    def _fold(self, data: int) -> Int64[Tensor, " n"]:
        """`fold_in` of the rows' keys, the first half cached."""
        return mix64(self._mixed ^ _signed(data & (2**64 - 1), 64))

    def child(self, name: str) -> "RowGenerator":
        """An independent stream for the part called `name`."""
        return RowGenerator(self._fold(zlib.crc32(name.encode())))

    def keys(self) -> Int64[Tensor, " n"]:
        """Fresh keys, stored as a parameter and used for a noise field later."""
        self._keys_drawn += 1
        return self._fold(-self._keys_drawn)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Float[Tensor, " n"]:
        """One number in (low, high) per row."""
        block, place = divmod(self._numbers_drawn, BLOCK)
        if place == 0:
            self._block = uniform_field(self._fold(block) if block else self.rows, (BLOCK,))
        self._numbers_drawn += 1
        return self._block[:, place] * (high - low) + low

    def integers(self, low: int, high: int) -> Int64[Tensor, " n"]:
        """One integer in [low, high], both ends included, per row."""
        span = high - low + 1
        return (self.uniform() * span).long().clamp_(max=span - 1) + low

    def bernoulli(self, p: float) -> Bool[Tensor, " n"]:
        """True with probability p, per row."""
        return self.uniform() < p

    def categorical(self, weights: Sequence[float]) -> Int64[Tensor, " n"]:
        """Index drawn in proportion to `weights`, per row."""
        edges = constant(tuple(accumulate(weights)), self.rows.device, torch.float32)
        return torch.bucketize(self.uniform(high=float(sum(weights))), edges[:-1], right=True)
