"""Image files decoded to upright, opaque planes, at the precision of the file."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

MAX_PIXELS = 150_000_000
"""Images with more pixels than this are refused before they are decoded, so that a small file can't fill the memory."""

Image.init()
FORMATS = tuple(name for name in "JPEG PNG WEBP TIFF GIF BMP PPM JPEG2000 AVIF".split() if name in Image.OPEN)
"""Formats that are tried, as far as Pillow has them. Never EPS: Ghostscript would run it as a program."""

SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .apng .webp .tif .tiff .gif .bmp .ppm .pgm .pbm .pnm .jp2 .avif "
    ".heic .heif .jxl .psd".split()
)
"""Names that mean an image. The last four are refused when read: better a reason on record than a photo missing."""

# The warning starts below MAX_PIXELS, where nothing is wrong; what lies above MAX_PIXELS is refused here by name.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class BadImage(ValueError):
    """An image file that can't be read. The message is the reason, one sentence without the name of the file."""


def decode(data: bytes, least: int | None = None) -> list[Image.Image]:
    """Turn the content of an image file into planes that all have the same size.

    Either one 8-bit plane of mode ``L`` or ``RGB``, or one or three planes of mode ``F`` in [0, 1] where the file has
    more than 8 bits a channel. 16-bit PNG and TIFF (grey, grey + alpha, RGB, RGBA) and floating-point grey TIFF keep
    their full precision; other deep formats are read in 8 bits. Rotated as EXIF says; transparent pixels laid on white;
    palettes expanded; CMYK converted plainly and colour profiles ignored; of an animation or a document the first
    picture.

    Arguments:
        least: A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as both sides keep this many pixels.

    Raises:
        BadImage: for anything that is not a whole, readable picture of at most ``MAX_PIXELS`` pixels.
    """
    with _reasons():
        image = _open(data)
        raw = _raw_mode(image)
        if image.mode in ("RGB", "RGBA") and ";16" in raw and not raw.startswith("CMYK"):
            return _planes(_deep_colour(data, raw))
        if (
            len(raw) == 1 and max(getattr(image, "tag_v2", {}).get(258, (8,))) > 8
        ):  # Pillow takes their bytes for pixels
            raise BadImage("its 16-bit channels lie in separate planes; save it with the channels interleaved")
        if least is not None:
            image.draft(None, (least, least))
        image = _upright(image)
        if image.mode == "F" or image.mode.startswith("I"):
            return _planes(_deep_grey(image))
        return [_opaque(image)]


def decode_layer(data: bytes) -> Image.Image:
    """Turn the content of a file with transparent pixels into a picture of mode ``RGBA``, upright.

    Raises:
        BadImage: As for :func:`decode`, or nothing of it is transparent.
    """
    with _reasons():
        image = _upright(_open(data))
        if not image.has_transparency_data:
            raise BadImage("it has no transparency, so all of it would be a stroke; save it on a transparent ground")
        return image.convert("RGBA")


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Within the context, whatever goes wrong in a decoder is a ``BadImage`` with its reason."""
    try:
        yield
    except BadImage:
        raise
    except UnidentifiedImageError:
        raise BadImage(f"the content is not a picture in a format that is read here ({', '.join(FORMATS)})") from None
    except Image.DecompressionBombError as error:
        raise BadImage(f"it is above the limit of {MAX_PIXELS / 1e6:g} megapixels ({error})") from None
    except MemoryError:
        raise BadImage("there is not enough memory to decode it") from None
    except Exception as error:  # damaged files make the decoders raise anything, from IndexError to struct.error
        raise BadImage(f"it can't be decoded ({type(error).__name__}: {' '.join(str(error).split())})") from error


def _open(data: bytes) -> ImageFile.ImageFile:
    if not data:
        raise BadImage("the file is empty")
    image = Image.open(BytesIO(data), formats=FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS:
        size = f"{width} × {height} = {width * height / 1e6:.0f} megapixels"
        raise BadImage(f"{size} is above the limit of {MAX_PIXELS / 1e6:g} megapixels; scale it down first")
    return image


def _upright(image: ImageFile.ImageFile) -> ImageFile.ImageFile:
    """The decoded image, turned as its EXIF orientation says; EXIF that can't be parsed holds no orientation."""
    image.load()
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _opaque(image: Image.Image) -> Image.Image:
    """8 bits a channel, ``L`` or ``RGB``, on white."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _planes(pixels: Float[np.ndarray, "h w k"]) -> list[Image.Image]:
    return [Image.fromarray(np.ascontiguousarray(pixels[..., k])) for k in range(pixels.shape[-1])]


def _deep_grey(image: Image.Image) -> Float[np.ndarray, "h w 1"]:
    """One channel of 16-bit integers, or of floating-point numbers in [0, 1]."""
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    top = 1 if image.mode == "F" else 65535
    if not (low >= 0 and high <= top):  # written so that NaN fails
        raise BadImage(f"its values run from {low:g} to {high:g}, and pixels of this type are read as 0 to {top}")
    grey = values.astype(np.float32) / top
    if getattr(image, "tag_v2", {}).get(262) == 0 and image.mode != "F":  # "white is zero", which Pillow passes over
        grey = 1 - grey
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey = np.where(values == clear, np.float32(1), grey)
    return grey[..., None]


def _deep_colour(data: bytes, raw: str) -> Float[np.ndarray, "h w 3"] | Float[np.ndarray, "h w 1"]:
    """16 bits a channel with colour or alpha, on white.

    Pillow keeps only the high byte of such pixels. Told that they are in the other byte order it keeps the low byte, so
    two readings make the whole number.
    """
    if raw.startswith("LA"):  # four bytes a pixel: high and low of grey, high and low of alpha
        quads = _bytes(data, "RGBA")
        pixels = (256 * quads[..., 0::2] + quads[..., 1::2]) / 65535
    else:
        straight = raw.replace("RGBa", "RGBA")  # as stored: Pillow would divide by the alpha, in 8 bits
        other = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}[raw[-1]]
        pixels = (256 * _bytes(data, straight) + _bytes(data, straight[:-1] + other)) / 65535
    if pixels.shape[-1] in (2, 4):
        colour, alpha = pixels[..., :-1], pixels[..., -1:]
        return (colour if raw.startswith("RGBa") else colour * alpha) + (1 - alpha)
    clear = _open(data).info.get("transparency")
    if isinstance(clear, tuple):
        pixels = np.where((np.rint(pixels * 65535) == clear).all(-1, keepdims=True), np.float32(1), pixels)
    return pixels


def _bytes(data: bytes, raw: str) -> Float[np.ndarray, "h w k"]:
    """The pixels of the file, read as if they lay in it in the raw mode ``raw``; values 0 to 255."""
    image = _open(data)
    image.tile = [
        tile._replace(args=raw if isinstance(tile.args, str) else (raw, *tile.args[1:])) for tile in image.tile
    ]
    return np.asarray(_upright(image), dtype=np.float32)


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """The layout of the pixels in the file, in Pillow's words: ``RGB;16B`` is three big-endian 16-bit channels."""
    args = image.tile[0].args if image.tile else None
    return args if isinstance(args, str) else str(args[0]) if args else ""
