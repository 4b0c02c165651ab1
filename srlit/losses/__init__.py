"""Loss terms (sr, hr) -> scalar that know no weight, their weighted table, and GAN criteria.

One module per term; the criteria, the penalties and the augmentations of what a discriminator sees
are families of a module each.
"""
