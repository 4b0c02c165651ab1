"""Networks that losses and metrics look through: backbones, LPIPS, DISTS."""
