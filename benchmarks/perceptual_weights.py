"""Where the layer weights in conf/term/perceptual.yaml come from.

Experiment A took the plain L1 of VGG19 features with weights .303, .303, .242, .151, on Caffe's
VGG19, whose input is 0-255. srlit's PerceptualLoss divides each layer's L1 by the target's mean
activation, so that its weights hold for any release of the network. Each original weight is
therefore multiplied by the mean activation of the original network on photos, and all of them by
one factor that makes the gradient norms with respect to the image equal (they differ a little,
as the division is by each photo's own mean).

    SRLIT_DATA=... SRLIT_WEIGHTS=... python benchmarks/perceptual_weights.py --json weights.json

SRLIT_WEIGHTS must hold the original VGG19 (features of the scale of 0-255 input).
"""

import argparse
import json
import os
from pathlib import Path

import torch
from torch import Tensor

from srlit.data.decode import read_photo
from srlit.losses.perceptual_loss import PerceptualLoss
from srlit.ops.resize import bilinear, imresize
from srlit.perceptual.backbones import load_backbone

ORIGINAL = {"relu2_2": 0.303, "relu3_4": 0.303, "relu4_4": 0.242, "relu5_4": 0.151}


def photos(count: int) -> Tensor:
    """Centre crops of 128 pixels, (count, 3, 128, 128)."""
    paths = sorted(Path(os.environ["SRLIT_DATA"], "bsds400").glob("*.jpg"))[:: 400 // count][:count]
    crops = [read_photo(path)[:, 96:224, 96:224] for path in paths]
    return torch.stack(crops).float() / 255


def grad_clip_norm(loss: Tensor, image: Tensor) -> float:
    """L2 norm of the gradient with respect to the image."""
    return float(torch.autograd.grad(loss, image)[0].norm())


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="8 photos instead of 80")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    args = parser.parse_args()

    missing = [name for name in ("SRLIT_DATA", "SRLIT_WEIGHTS") if not os.environ.get(name)]
    if missing:
        print(f"skipped: {' and '.join(missing)} not set, see the head of this file")
        return
    hr = photos(8 if args.quick else 80)
    backbone = load_backbone("vgg19")
    with torch.no_grad():
        target = backbone(hr, ORIGINAL)
    magnitudes = {name: float(f.abs().mean()) for name, f in target.items()}
    unmatched = {name: ORIGINAL[name] * magnitudes[name] for name in ORIGINAL}

    sr = bilinear(imresize(hr, 0.5), 2).requires_grad_()
    found = backbone(sr, ORIGINAL)
    original = torch.stack(
        [w * (found[name] - target[name]).abs().mean() for name, w in ORIGINAL.items()]
    ).sum()
    original_value = float(original.detach())
    norm = grad_clip_norm(original, sr)
    ratio = grad_clip_norm(PerceptualLoss(net="vgg19", layers=unmatched)(sr, hr), sr) / norm
    weights = {name: weight / ratio for name, weight in unmatched.items()}
    ours = PerceptualLoss(net="vgg19", layers=weights)(sr, hr)
    result = {
        "photos": len(hr),
        "mean_activation": magnitudes,
        "layer_weights": weights,
        "value_original": original_value,
        "value_srlit": float(ours.detach()),
        "gradient_norm_ratio_before": ratio,
        "gradient_norm_ratio": grad_clip_norm(ours, sr) / norm,
    }
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
