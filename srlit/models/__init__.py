"""Networks: generators (lr -> sr) and discriminators (image -> logits).

A generator has `scale` and maps (n, 3, h, w) in [0, 1] to (n, 3, scale*h, scale*w) for any
h, w >= 1: it pads and crops by itself. A discriminator gives logits of any shape.
"""

from srlit.models.compact import Compact
from srlit.models.discriminators import MultiScalePatchGAN, PatchGAN, UNetSN, VGGStyle
from srlit.models.edsr import EDSR
from srlit.models.rrdb import RRDBNet
from srlit.models.two_stage import TwoStage
from srlit.models.unet import UNet

__all__ = [
    "EDSR",
    "Compact",
    "MultiScalePatchGAN",
    "PatchGAN",
    "RRDBNet",
    "TwoStage",
    "UNet",
    "UNetSN",
    "VGGStyle",
]
