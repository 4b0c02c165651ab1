"""Networks: generators (lr -> sr) and discriminators (image -> logits), one module each.

A generator has `scale` and maps (n, 3, h, w) in [0, 1] to (n, 3, scale*h, scale*w) for any
h, w >= 1: it pads and crops by itself. A discriminator gives logits of any shape.
"""
