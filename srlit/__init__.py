"""srlit trains, judges and ships super-resolution GANs for real, degraded photos.

Read `srlit/train.py` first: it wires the parts and reads top to bottom. The layers, from the
top: entry points, then `phases`, `callbacks` and `inference`, then `data`, `losses`, `metrics`,
`degradation`, `models`, `checkpoint` and `weights`, then `ops`, then `types`.
"""

__version__ = "0.1.0"
