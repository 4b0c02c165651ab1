"""Evaluation: methods are measured, compared and tabulated. It knows nothing of Hydra."""
