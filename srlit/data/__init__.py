"""Data: from folders of photos to batches on the device."""
