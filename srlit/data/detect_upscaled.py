"""Whether a photo looks upscaled already: then it has no detail to learn from."""

import numpy as np
from jaxtyping import Float32, UInt8
from torch import Tensor

CROP = 512
MIN_SIZE = 64  # smaller photos tell too little
# Factor: (lower band, upper band), in units of Nyquist; the upper one is nearly empty.
BANDS = {
    2: ((0.30, 0.48), (0.70, 0.97)),
    3: ((0.20, 0.32), (0.50, 0.97)),
    4: ((0.15, 0.24), (0.35, 0.97)),
}
DROP = 1.5  # decades between the power in the two bands
STEP = 0.3  # decades between the differences from block to block and within blocks


def looks_upscaled(pixels: UInt8[Tensor, "3 h w"]) -> bool:
    """Whether a photo looks upscaled x2 to x4 by a kernel, or is as soft as if it were.

    Measured on the 500 photos of BSD100 (PNG) and of BSDS500's train and test parts (JPEG),
    untouched and upscaled by Pillow's nearest, bilinear, bicubic and Lanczos kernels. False
    positives: 0.4 % (0.2 % when saved as JPEG 75 or 30). Recall: 100 % of bicubic x2, at least
    99.6 % of every kernel x2 to x4, at least 97.0 % when saved as JPEG 90 afterwards. Of x1.5 it
    finds all by Lanczos, about half by bilinear and bicubic.

    It looks at the central 512x512 pixels at most. It does not find upscaled photos that got new
    detail from a network, sharpening, noise or grain, that were downscaled again, or that are too
    small or too flat. It takes photos out of focus for upscaled ones (Gaussian blur of sigma 1:
    99 %, 0.5: 2 %): both lack detail. Demosaicked photos straight from a camera were not measured.

    Args:
        pixels: RGB, channels first.
    """
    return upscaled_score(pixels) >= 1


def upscaled_score(pixels: UInt8[Tensor, "3 h w"]) -> float:
    """How much a photo looks upscaled; from 1 on `looks_upscaled` says that it is.

    Two signs are measured along both axes. An interpolating kernel leaves the band above Nyquist /
    factor nearly empty, while the power of a photo falls as about 1/f^2 (Field, J. Opt. Soc. Am.
    A 4, 1987). Repeated pixels change at the borders of blocks only.

    Args:
        pixels: RGB, channels first.
    """
    top, left = (max(side - CROP, 0) // 2 for side in pixels.shape[1:])
    green = pixels[1, top : top + CROP, left : left + CROP].numpy()
    if min(green.shape) < MIN_SIZE:
        return 0.0
    axes = [np.ascontiguousarray(rows).astype(np.float32) for rows in (green[::4], green.T[::4])]
    # Both axes must show it: grass, hair or a shaken camera leave one of them soft.
    drops, steps = ([measure(rows) for rows in axes] for measure in (_drop, _step))
    return max(min(drops) / DROP, min(steps) / STEP)


def _drop(rows: Float32[np.ndarray, "n m"]) -> float:
    """Decades by which power falls from the lower to the upper band, of the most likely factor."""
    length = rows.shape[1]
    window = np.hanning(length).astype(np.float32)
    spectrum = np.fft.rfft((rows - rows.mean(1, keepdims=True)) * window, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2).mean(0)

    def within(band: tuple[float, float]) -> float:
        low, high = (int(edge * length / 2) for edge in band)
        return float(np.log10(power[low:high].mean() + 1e-3))

    return max(within(lower) - within(upper) for lower, upper in BANDS.values())


def _step(rows: Float32[np.ndarray, "n m"]) -> float:
    """Decades by which differences between blocks of repeated pixels exceed those within."""
    change = np.abs(np.diff(rows, axis=1)).mean(0)
    change = change[: len(change) // 12 * 12]
    by_phase = [change.reshape(-1, factor).mean(0) for factor in BANDS]
    return max(
        float(np.log10((means.max() + 1e-3) / (np.delete(means, means.argmax()).mean() + 1e-3)))
        for means in by_phase
    )
