"""Pure tensor functions: random rows, colour, filters, resizing, JPEG, tiles."""
