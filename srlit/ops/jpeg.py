"""JPEG as a batched tensor codec, one quality per sample, bit-identical to libjpeg.

Colour conversion, chroma subsampling and quantisation decide what baseline JPEG loses; entropy
coding is lossless and left out. Rounding is exact, so there is no gradient.

Sources: ITU-T T.81 annex K (tables); the IJG's libjpeg 6b: jccolor.c, jcsample.c (bias 1, 2 in
h2v2_downsample), jdsample.c (h2v2_fancy_upsample), jfdctint.c,
jidctint.c and jcparam.c (jpeg_quality_scaling).
"""

from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from srlit.ops.ragged_batch import extend
from srlit.ops.resize import bilinear
from srlit.ops.rng import constant
from srlit.types import Images

Planes = Float[Tensor, "n c h w"]

Subsampling = Literal["4:2:0", "4:4:4"]
LUMA_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
CHROMA_TABLE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
)  # fmt: skip
# jccolor.c's and jdcolor.c's constants, 2^16 times the real ones.
TO_YCBCR = (19595, 38470, 7471, -11059, -21709, 32768, 32768, -27439, -5329)
YCBCR_OFFSETS = 1 << 15, *[(128 << 16) + (1 << 15) - 1] * 2
TO_RGB = (65536, 0, 91881, 65536, -22554, -46802, 65536, 116130, 0)


# libjpeg's 8-point DCT-II in integers: 2^13 sqrt(8) times the orthonormal one. jfdctint.c and
# jidctint.c multiply by 13-bit constants and round once per pass, so each of their passes is this
# matrix, or its transpose, and a rounding shift. Right halves mirror left ones.
DCT_LEFT = (
    (8192, 8192, 8192, 8192), (11363, 9633, 6437, 2260),
    (10703, 4433, -4433, -10703), (9633, -2259, -11362, -6436),
    (8192, -8192, -8192, 8192), (6437, -11362, 2261, 9633),
    (4433, -10704, 10704, -4433), (2260, -6436, 9633, -11363),
)  # fmt: skip


@lru_cache(maxsize=8)
def dct_passes(device: torch.device) -> tuple[Float[Tensor, "64 64"], Float[Tensor, "64 64"]]:
    """The DCT over the rows and over the columns of a flattened block."""
    left = torch.tensor(DCT_LEFT, dtype=torch.float64)
    signs = torch.tensor([1, -1], dtype=torch.float64).repeat(4)[:, None]
    basis = torch.cat([left, signs * left.flip(1)], 1)
    eye = torch.eye(8, dtype=torch.float64)
    return torch.kron(eye, basis).to(device), torch.kron(basis, eye).to(device)


def quantisation_tables(quality: Float[Tensor, " n"]) -> Float[Tensor, "n 2 64"]:
    """Annex K's tables scaled as libjpeg does for a quality of 1 to 100."""
    quality = quality.round().clamp(1, 100)
    percent = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    tables = constant(LUMA_TABLE + CHROMA_TABLE, quality.device, torch.float32).view(2, 64)
    scaled = (tables * percent[:, None, None] + 50) / 100
    return scaled.floor().clamp_(1, 255)


def _pad_after(plane: Tensor, multiple_h: int, multiple_w: int) -> Tensor:
    """Repeat the last row and column until the sizes are multiples."""
    h, w = plane.shape[-2:]
    return F.pad(plane, (0, -w % multiple_w, 0, -h % multiple_h), mode="replicate")


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Divide by 2^bits and round half up, in place: libjpeg's DESCALE."""
    return x.div_(1 << bits).add_(0.5).floor_()


def _code_blocks(plane: Planes, table: Float[Tensor, "n 64"]) -> Planes:
    """Quantise the DCT coefficients of every 8x8 block and give the decoded pixels, 0 to 255.

    jfdctint.c and jidctint.c keep 2 fractional bits between their two passes; coefficients are
    eighths.
    """
    n, c, h, w = plane.shape
    rows, columns = dct_passes(plane.device)
    blocks = (plane - 128).view(n, c, h // 8, 8, w // 8, 8).transpose(3, 4).reshape(n, -1, 64)
    eighths = _shift_right(_shift_right(blocks @ rows.T, 11) @ columns.T, 15)
    step = table[:, None, :]
    # Half away from zero, as the encoder divides magnitudes.
    coefficients = (eighths.abs() / (8 * step)).add_(0.5).floor_().mul_(step).copysign_(eighths)
    pixels = _shift_right(_shift_right(coefficients @ columns, 11) @ rows, 18)
    pixels = pixels.add_(128).clamp_(0, 255)
    return pixels.view(n, c, h // 8, w // 8, 8, 8).transpose(3, 4).reshape(n, c, h, w)


def _halve(chroma: Float[Tensor, "n 2 h w"]) -> Float[Tensor, "n 2 hh hw"]:
    """2x2 means, the bias alternating by column between 1/4 and 2/4, rounded down."""
    return _floor_with_bias(F.avg_pool2d(chroma, 2), 1 / 4, 2 / 4)


def _double(chroma: Float[Tensor, "n 2 h w"]) -> Float[Tensor, "n 2 dh dw"]:
    """'Fancy' upsampling: weights 9/16, 3/16, 3/16, 1/16; bias 8/16 and 7/16 by column."""
    return _floor_with_bias(bilinear(chroma, 2), 8 / 16, 7 / 16)


def _floor_with_bias(plane: Tensor, even: float, odd: float) -> Tensor:
    """Add one bias to even columns and another to odd ones, and round down."""
    bias = torch.full_like(plane[..., :1, :], even)
    bias[..., 1::2] = odd
    return (plane + bias).floor_()


def _convert(image: Images, matrix: tuple[int, ...]) -> Tensor:
    """Multiply the channels of every pixel by a 3x3 matrix; the result is 2^16 times as large."""
    weights = constant(matrix, image.device, image.dtype).view(3, 3)
    return torch.einsum("dc,nchw->ndhw", weights, image)


def _to_ycbcr(rgb: Images) -> Images:
    """Levels to levels. Halves of Cb and Cr round down: libjpeg adds ONE_HALF - 1 to them."""
    offsets = constant(YCBCR_OFFSETS, rgb.device, rgb.dtype).view(3, 1, 1)
    return _convert(rgb, TO_YCBCR).add_(offsets).div_(1 << 16).floor_()


def jpeg(
    x: Images,
    quality: Float[Tensor, " n"],
    *,
    subsampling: Subsampling = "4:2:0",
    sizes: Int64[Tensor, "n 2"] | None = None,
) -> Images:
    """Encode to baseline JPEG and decode again, each sample at its own quality.

    Args:
        x: images in [0, 1]; they are rounded to 8 bits first, as a file would.
        quality: 1 to 100 per sample; rounded to whole numbers.
        subsampling: '4:2:0' or '4:4:4'.
        sizes: height and width of every sample, where they differ; `x` must then repeat each
            sample's border (`ops.ragged_batch.extend`).

    Returns:
        Decoded images in [0, 1], on the 8-bit grid, libjpeg's to the bit.
    """
    h, w = x.shape[-2:]
    tables = quantisation_tables(quality).double()
    # Float64 holds every sum of whole numbers below exactly.
    ycbcr = _to_ycbcr((x * 255).round().clamp_(0, 255).double())
    luma = _code_blocks(_pad_after(ycbcr[:, :1], 8, 8), tables[:, 0])[..., :h, :w]
    if subsampling == "4:2:0":
        chroma = _code_at_half_size(ycbcr[:, 1:], tables[:, 1], sizes)[..., :h, :w]
    else:
        chroma = _code_blocks(_pad_after(ycbcr[:, 1:], 8, 8), tables[:, 1])[..., :h, :w]
    rgb = _shift_right(_convert(torch.cat([luma, chroma - 128], 1), TO_RGB), 16)
    return rgb.clamp_(0, 255).to(x.dtype).div_(255)


def _code_at_half_size(
    chroma: Float[Tensor, "n 2 h w"], table: Float[Tensor, "n 64"], sizes: Tensor | None
) -> Float[Tensor, "n 2 dh dw"]:
    """Halve, code, double. The halved plane goes on below by its own last row, not the image's."""
    h, w = chroma.shape[-2:]
    small = _halve(_pad_after(chroma, 2, 16))
    rows, columns = (h + 1) // 2, (w + 1) // 2
    if sizes is None:
        return _double(_code_blocks(_pad_after(small, 8, 8), table)[..., :rows, :columns])
    half = (sizes + 1) // 2
    only_rows = torch.stack([half[:, 0], torch.full_like(half[:, 1], small.shape[-1])], 1)
    small = _pad_after(extend(small, only_rows), 8, 8)
    return _double(extend(_code_blocks(small, table)[..., :rows, :columns], half))
