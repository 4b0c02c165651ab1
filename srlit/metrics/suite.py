"""A set of metrics chosen by their protocol names."""

import re
from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from srlit.metrics.fidelity import mae, psnr
from srlit.metrics.selection import measured_name
from srlit.ops.colour import rgb_to_y
from srlit.ops.similarity import WINDOW, ssim
from srlit.types import Images
from srlit.weights import LPIPS_NETS, load_lpips

PerImage = Callable[[Images, Images], Float[Tensor, " n"]]

_SPATIAL = re.compile(r"(psnr|ssim)_(rgb|y)_b(\d+)")
_LPIPS = re.compile(r"lpips_([a-z]+)")
LEAST_LPIPS = 32  # AlexNet's strides leave nothing of less
_FUNCTIONS: dict[str, PerImage] = {"psnr": psnr, "ssim": ssim}


def to_8_bit(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """What a file would keep: clamped to [0, 1] and rounded to multiples of 1/255."""
    return (image.float().clamp(0, 1) * 255).round_().div_(255)


def _spatial(function: PerImage, space: str, border: int, sr: Images, hr: Images) -> Tensor:
    """A metric in a colour space, the border left out."""
    if space == "y":
        sr, hr = rgb_to_y(sr), rgb_to_y(hr)
    h, w = sr.shape[-2:]
    inside = (..., slice(border, h - border), slice(border, w - border))
    return function(sr[inside], hr[inside])


class MetricSuite:
    """Metrics by name, each one value an image.

    Args:
        names: `psnr_<rgb|y>_b<border>`, `ssim_<rgb|y>_b<border>`, `mae`,
            `lpips_<alex|vgg|squeeze>`; y is BT.601 studio range, border in HR pixels.
        weights_dir: folder of pretrained weights; None looks further.
        allow_untrained: measure LPIPS on random features where no weights can be had; its name
            then ends in `_untrained`.

    Raises:
        ValueError: a name that follows no protocol.
        MissingWeightsError: LPIPS without weights.
    """

    def __init__(
        self,
        *,
        names: Sequence[str],
        weights_dir: str | None = None,
        allow_untrained: bool = False,
    ) -> None:
        self._functions: dict[str, PerImage] = {}
        for name in names:
            if match := _SPATIAL.fullmatch(name):
                kind, space, border = match.groups()
                self._functions[name] = partial(_spatial, _FUNCTIONS[kind], space, int(border))
            elif name == "mae":
                self._functions[name] = mae
            elif (match := _LPIPS.fullmatch(name)) and match[1] in LPIPS_NETS:
                distance = load_lpips(match[1], weights_dir, allow_untrained=allow_untrained)
                self._functions[name if distance.trained else f"{name}_untrained"] = distance
            else:
                msg = (
                    f"metrics.names has {name!r}: expected psnr_<rgb|y>_b<border>, "
                    f"ssim_<rgb|y>_b<border>, mae or lpips_<{'|'.join(LPIPS_NETS)}>"
                )
                raise ValueError(msg)

    @property
    def least_size(self) -> int:
        """Shortest side of an image that every metric can measure, in pixels."""
        sizes = [1]
        for name in self.names:
            if match := _SPATIAL.fullmatch(name):
                sizes.append(2 * int(match[3]) + (WINDOW if match[1] == "ssim" else 1))
            elif name.startswith("lpips"):
                sizes.append(LEAST_LPIPS)
        return max(sizes)

    @property
    def names(self) -> list[str]:
        """The names as they are reported."""
        return list(self._functions)

    def reported_name(self, name: str) -> str:
        """The reported name of a metric asked for: `lpips_alex` may be `lpips_alex_untrained`."""
        return measured_name(name, self._functions)

    @torch.no_grad()
    def __call__(self, sr: Images, hr: Images) -> dict[str, Float[Tensor, " n"]]:
        """Measure restored images against their targets, in float32 even under autocast.

        Half precision would ruin the variances in SSIM.

        Args:
            sr: restored images; clamped and rounded to 8 bits first, as a file would keep them.
            hr: targets in [0, 1].
        """
        sr = to_8_bit(sr)
        for function in self._functions.values():
            if isinstance(function, torch.nn.Module):
                function.to(sr.device)
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.autocast(sr.device.type, enabled=False), exact:
            return {name: function(sr, hr.float()) for name, function in self._functions.items()}
