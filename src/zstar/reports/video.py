"""Moving pictures: MP4 with PyAV, GIF with Pillow."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from zstar.images import to_pil
from zstar.runs.folder import write_atomic


def there_and_back(frames: Sequence[Tensor]) -> list[Tensor]:
    """The frames, then the same backwards, so that a loop has no jump."""
    return [*frames, *frames[-2:0:-1]]


def write_gif(path: str | Path, frames: Sequence[Float[Tensor, "c h w"]], rate: float = 12.0) -> None:
    """Write images in [−1, 1] as an endless GIF with ``rate`` frames per second and one palette for all of them."""
    pictures = [to_pil(frame).convert("RGB") for frame in frames]
    palette = _palette(pictures)
    first, *rest = (picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for picture in pictures)
    duration = round(1000 / rate)

    def save(file: Path) -> None:
        first.save(file, format="GIF", save_all=True, append_images=rest, duration=duration, loop=0, disposal=1)

    write_atomic(path, save)


def write_mp4(path: str | Path, frames: Sequence[Float[Tensor, "c h w"]], rate: float = 12.0) -> None:
    """Write images in [−1, 1] as H.264 that every browser plays; an odd size loses its last row or column."""
    import av  # takes a while

    pictures = [to_pil(frame).convert("RGB") for frame in frames]
    width, height = (size - size % 2 for size in pictures[0].size)

    def save(file: Path) -> None:
        with av.open(str(file), "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = {"crf": "25"}
            for picture in pictures:
                frame = av.VideoFrame.from_image(picture.crop((0, 0, width, height)))
                container.mux(stream.encode(frame))
            container.mux(stream.encode())

    write_atomic(path, save)


def _palette(pictures: Sequence[Image.Image]) -> Image.Image:
    """256 colours for all pictures, from every n-th pixel of large ones: a palette for each would flicker."""
    every = max(1, pictures[0].width // 512)
    size = max(1, pictures[0].width // every), max(1, pictures[0].height // every)
    sheet = Image.new("RGB", (size[0], size[1] * len(pictures)))
    for index, picture in enumerate(pictures):
        sheet.paste(picture.resize(size, Image.Resampling.NEAREST), (0, index * size[1]))
    return sheet.quantize(256, dither=Image.Dither.NONE)
