"""Degradation: from a sharp image to what a camera, a resize and a codec leave of it.

`pipeline.Degradation` applies the stages of a preset in order. A stage draws its parameters in
`sample`, one row per sample, and uses them in `apply`, which is deterministic: every degraded image
can be recorded and replayed. `stages/` holds one file per stage.
"""
