"""Callbacks: EMA, checkpoints, divergence, preemption, early stopping, images, progress, logs."""
