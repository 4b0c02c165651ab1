"""Whether a photo looks enlarged already: then it has no detail to learn from."""

import numpy as np
from jaxtyping import Float32, UInt8
from torch import Tensor

CROP = 512
LEAST = 64  # fewer pixels a side say too little
# Enlarged s times, the upper band holds hardly anything: (lower band, upper band), of Nyquist.
BANDS = {
    2: ((0.30, 0.48), (0.70, 0.97)),
    3: ((0.20, 0.32), (0.50, 0.97)),
    4: ((0.15, 0.24), (0.35, 0.97)),
}
DROP = 1.5  # decades between the two bands
STEP = 0.3  # decades between steps from block to block and within blocks


def looks_upscaled(pixels: UInt8[Tensor, "3 h w"]) -> bool:
    """Whether a photo looks enlarged x2 to x4 by a kernel, or is as soft as if it were.

    Measured on the 500 photos of BSD100 (PNG) and of BSDS500's train and test parts (JPEG), as
    they are and enlarged by Pillow's nearest, bilinear, bicubic and Lanczos kernels: it says so of
    0.4 % of the untouched photos (0.2 % if saved as JPEG 75 or 30); of all that were enlarged x2
    by the bicubic kernel, and of 99.6 % or more by any of them, x2 to x4; if saved as JPEG 90
    afterwards of 97.0 % or more. Of photos enlarged x1.5 it finds all by the Lanczos kernel, but
    about half by the bilinear and the bicubic one.

    It sees at most the central 512x512 pixels. It cannot see detail that a network, sharpening,
    noise or grain put in after the enlargement, an enlargement that was shrunk again, one of a
    picture too small or too flat to tell. It cannot tell a photo out of focus from an enlarged
    one (a Gaussian blur of sigma 1: 99 % flagged, 0.5: 2 %): both lack what is to be learnt. Photos
    straight from a camera, whose colours were interpolated, are not among those measured.

    Args:
        pixels: RGB, channels first.
    """
    return upscaled_score(pixels) >= 1


def upscaled_score(pixels: UInt8[Tensor, "3 h w"]) -> float:
    """How much a photo looks enlarged; from 1 on `looks_upscaled` says that it is.

    Two signs are looked for along both axes. A kernel that interpolates leaves the band above its
    factor's share of Nyquist nearly empty, while power falls gently in a photo (as about 1/f^2:
    Field, J. Opt. Soc. Am. A 4, 1987). Repeated pixels change at the borders of blocks only.

    Args:
        pixels: RGB, channels first.
    """
    green = _centre(pixels[1].numpy())
    if min(green.shape) < LEAST:
        return 0.0
    ways = [np.ascontiguousarray(way).astype(np.float32) for way in (green[::4], green.T[::4])]
    # Both ways must tell it: grass, hair or a shaken camera leave one of them soft.
    drops, steps = ([measure(way) for way in ways] for measure in (_drop, _step))
    return max(min(drops) / DROP, min(steps) / STEP)


def _centre(plane: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "a b"]:
    top, left = (max(side - CROP, 0) // 2 for side in plane.shape)
    return plane[top : top + CROP, left : left + CROP]


def _drop(rows: Float32[np.ndarray, "n m"]) -> float:
    """Decades by which power falls from the lower to the upper band, of the likeliest factor."""
    length = rows.shape[1]
    window = np.hanning(length).astype(np.float32)
    spectrum = np.fft.rfft((rows - rows.mean(1, keepdims=True)) * window, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2).mean(0)

    def within(band: tuple[float, float]) -> float:
        low, high = (int(edge * length / 2) for edge in band)
        return float(np.log10(power[low:high].mean() + 1e-3))

    return max(within(lower) - within(upper) for lower, upper in BANDS.values())


def _step(rows: Float32[np.ndarray, "n m"]) -> float:
    """Decades by which steps between the blocks of repeated pixels exceed those within."""
    change = np.abs(np.diff(rows, axis=1)).mean(0)
    change = change[: len(change) // 12 * 12]
    by_phase = [change.reshape(-1, factor).mean(0) for factor in BANDS]
    return max(
        float(np.log10((means.max() + 1e-3) / (np.delete(means, means.argmax()).mean() + 1e-3)))
        for means in by_phase
    )
