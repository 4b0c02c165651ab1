"""Which way up an image is."""

from PIL import Image
from PIL.ExifTags import Base
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(image: ImageFile) -> int:
    """How the file says that its pixels are to be turned, 1 to 8; 1 where EXIF is broken."""
    try:
        tags = image.tag_v2 if isinstance(image, TiffImageFile) else image.getexif()
        value = tags.get(Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - the pixels are good
        return 1
    return value if isinstance(value, int) and value in UPRIGHT else 1


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """An image turned upright from an EXIF orientation."""
    method = UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)
