"""Degradation stages, one file each."""
