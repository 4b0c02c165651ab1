"""Decoding that notices what a decoder had to invent, as of a file that ends too early."""

import re

import numpy as np
import simplejpeg
from PIL import Image
from PIL.ImageFile import ImageFile

from srlit.data.photo_file import PhotoError

COLOURS = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
# libjpeg's warnings of missing data. The others leave no pixel out, as of bytes before the end.
INVENTED = re.compile(r"[Pp]remature|bad \w+ code|instead of RST|before marker 0x(?!d9)")
MIN_NOISE = 8  # bytes of a row that no image has by chance
SEED = 2**61 - 1  # of noise that nobody else draws


def decode_jpeg(image: ImageFile, data: bytes) -> Image.Image:
    """Pixels of a JPEG file, as Pillow decodes them, which hears no warning of libjpeg.

    Args:
        image: the identified file.
        data: its bytes.

    Raises:
        PhotoError: a part of the pixels is missing.
        ValueError: they cannot be decoded at all.
    """
    colour = COLOURS[image.mode]
    try:
        pixels = simplejpeg.decode_jpeg(data, colour, strict=True)
    except ValueError as error:
        if INVENTED.search(str(error)):
            raise PhotoError(f"a part of the image is missing: {error}") from None
        pixels = simplejpeg.decode_jpeg(data, colour, strict=False)
    decoded = Image.fromarray(pixels[..., 0] if image.mode == "L" else pixels, image.mode)
    decoded.info = dict(image.info)
    return decoded


class CompleteImage(ImageFile):
    """An image file that is refused where its decoder leaves rows unwritten.

    The rows that the decoder writes last are filled with noise first, and compared afterwards.
    """

    def load_prepare(self) -> None:
        """Fill the last two rows with noise: the one before the last is that if interlaced."""
        super().load_prepare()
        width, height = self.size
        noise = np.random.default_rng(SEED).bytes(8 * width)
        self._noise = Image.frombytes(self.im.mode, (width, 1), noise)
        self._last = [(0, row, width, row + 1) for row in range(max(height - 2, 0), height)]
        for box in self._last:
            self.im.paste(self._noise.im, box)

    def load_end(self) -> None:
        """Compare them.

        Raises:
            PhotoError: a row is still noise.
        """
        noise = self._noise.tobytes()
        if len(noise) >= MIN_NOISE and any(self.crop(box).tobytes() == noise for box in self._last):
            raise PhotoError("a part of the image is missing: fewer rows than its header says")
        super().load_end()
