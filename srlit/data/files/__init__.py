"""Bytes of image files: read from the disk, identified, judged; and the 16-bit ones decoded."""
