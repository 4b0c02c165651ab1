"""Quality metrics whose names carry their protocol, and the rule that ranks checkpoints by them."""
