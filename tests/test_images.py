"""Reading and writing of images: every odd and broken file that a folder of photos may hold."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zstar.data import decoding
from zstar.data.decoding import BadImage
from zstar.data.reading import read_image
from zstar.images import grid, to_float, to_uint8, to_unit, write_png

RNG = np.random.default_rng(0)
PNG_BITS = {1: 0, 2: 4, 3: 2, 4: 6}  # number of channels → colour type
TWO_ROWS = np.array([[[200, 30, 10]] * 4] * 2 + [[[10, 60, 220]] * 4] * 2, dtype=np.uint8)  # red above, blue below


def png(
    pixels: np.ndarray, interlaced: bool = False, extra: bytes = b"", claim: tuple[int, int] | None = None
) -> bytes:
    """A PNG of 8 or 16 bits a channel, which Pillow can't write for colour.

    ``extra`` chunks go before the pixels; ``claim`` is a width and height that the file pretends to have.
    """
    height, width, channels = pixels.shape
    bits = 8 * pixels.dtype.itemsize
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [pixels[top::down, left::right] for top, left, down, right in passes]
    rows = [row for part in parts if part.size for row in part.astype(f">u{bits // 8}")]
    header = struct.pack(">IIBBBBB", *(claim or (width, height)), bits, PNG_BITS[channels], 0, 0, interlaced)
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + body + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def tiff(pixels: np.ndarray, order: str = "<", alpha: int | None = None, deflate: bool = False, **tags: int) -> bytes:
    """A 16-bit TIFF in one strip; ``alpha`` is 1 for premultiplied, 2 for straight; more tags go like ``t262=0``."""
    height, width, channels = pixels.shape
    content = pixels.astype(f"{order}u2").tobytes()
    content = zlib.compress(content) if deflate else content
    fields = {
        256: [width],
        257: [height],
        258: [16] * channels,
        259: [8 if deflate else 1],
        262: [2 if channels > 2 else 1],
    }
    fields |= {273: [0], 277: [channels], 278: [height], 279: [len(content)], 284: [1]}
    fields |= {} if alpha is None else {338: [alpha]}
    fields |= {int(name[1:]): [value] for name, value in tags.items()}
    after = 8 + 2 + 12 * len(fields) + 4
    fields[273] = [after + 8]
    table, long = b"", b""
    for tag, values in sorted(fields.items()):
        wide = tag in (273, 279)
        packed = struct.pack(order + ("I" if wide else "H") * len(values), *values)
        if len(packed) > 4:
            packed, long = struct.pack(order + "I", after), packed
        table += struct.pack(order + "HHI", tag, 4 if wide else 3, len(values)) + packed.ljust(4, b"\0")
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(order + "HIH", 42, 8, len(fields)) + table + struct.pack(order + "I", 0)
    return head + long.ljust(8, b"\0") + content


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def pixels_of(data: bytes, side: int, **options: object) -> np.ndarray:
    """[h, w, c] in [0, 1]."""
    return to_unit(read_image(data, side, **options)).permute(1, 2, 0).double().numpy()


def colour(data: bytes, side: int = 4, **options: object) -> np.ndarray:
    """[h, w, c] in 0..255, rounded."""
    return (pixels_of(data, side, **options) * 255).round().astype(int)


def test_conversions_invert_each_other_and_keep_their_ranges() -> None:
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(2, 16, 16, 3)
    images = to_float(every)
    assert images.shape == (2, 3, 16, 16) and images.min() == -1 and images.max() == 1
    assert torch.equal(to_uint8(images), every)
    assert torch.equal(to_float(every[0].numpy()), images[0])
    odd = torch.tensor([-5.0, 5.0, float("nan"), float("inf")]).reshape(1, 1, 2, 2)
    assert to_uint8(odd).flatten().tolist() == [0, 255, 0, 255]
    assert to_unit(odd)[0, 0, 0].tolist() == [-2, 3]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "PPM"])
def test_lossless_formats_come_back_exactly(kind: str) -> None:
    pixels = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    data = saved(Image.fromarray(pixels), kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert (colour(data, 8) == pixels).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_eight_bit_modes_mean_the_same_picture(mode: str) -> None:
    black_white = np.zeros((4, 4, 3), dtype=np.uint8)
    black_white[:, 2:] = 255
    data = saved(Image.fromarray(black_white).convert(mode), "PNG")
    assert (colour(data) == black_white).all()
    assert colour(data, channels=1).shape == (4, 4, 1) and (colour(data, channels=1) == black_white[..., :1]).all()


def test_transparent_pixels_lie_on_white_before_scaling() -> None:
    pixels = np.full((8, 8, 4), (255, 0, 0, 255), dtype=np.uint8)
    pixels[:, 4:] = (0, 0, 0, 0)  # black where nobody sees it: a fringe, if it were scaled before it is laid on white
    half = np.full((8, 8, 4), (0, 0, 0, 51), dtype=np.uint8)
    shown = colour(saved(Image.fromarray(pixels), "PNG"), 2)
    assert (shown[..., 0] == 255).all() and (shown[:, 0, 1:] < 50).all() and (shown[:, 1, 1:] > 205).all()
    assert (colour(saved(Image.fromarray(half), "PNG"), 8) == 204).all()
    grey = Image.merge("LA", [Image.new("L", (4, 4), 0), Image.new("L", (4, 4), 51)])
    assert (colour(saved(grey, "PNG")) == 204).all()


def test_palettes_with_and_without_transparency() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 128, 0])
    image.paste(0, (0, 0, 4, 2))
    expected = np.array([[[255, 0, 0]] * 4] * 2 + [[[0, 128, 0]] * 4] * 2)
    assert (colour(saved(image, "PNG")) == expected).all()
    expected[:2] = 255
    assert (colour(saved(image, "PNG", transparency=0)) == expected).all()
    assert (colour(saved(image, "GIF", transparency=0)) == expected).all()


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_png_keeps_all_sixteen_bits(channels: int, interlaced: bool) -> None:
    pixels = RNG.integers(0, 65536, (9, 9, channels), dtype=np.uint16)
    exact = pixels / 65535
    if channels in (2, 4):
        exact = exact[..., :-1] * exact[..., -1:] + 1 - exact[..., -1:]
    shown = pixels_of(png(pixels, interlaced), 9)
    assert np.abs(shown - exact).max() < 2e-7 < 1 / 65535 / 4


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
def test_sixteen_bit_tiff_keeps_all_sixteen_bits(order: str, deflate: bool) -> None:
    pixels = RNG.integers(0, 65536, (7, 7, 4), dtype=np.uint16)
    colours, alpha = pixels[..., :3] / 65535, pixels[..., 3:] / 65535
    premultiplied = np.concatenate([pixels[..., :3] * alpha, pixels[..., 3:]], axis=-1).round()
    cases = [
        (tiff(pixels[..., :1], order, deflate=deflate), colours[..., :1]),
        (tiff(pixels[..., :3], order, deflate=deflate), colours),
        (tiff(pixels, order, alpha=0, deflate=deflate), colours),
        (tiff(pixels, order, alpha=2, deflate=deflate), colours * alpha + 1 - alpha),
        (tiff(premultiplied, order, alpha=1, deflate=deflate), premultiplied[..., :3] / 65535 + 1 - alpha),
    ]
    for data, exact in cases:
        assert np.abs(pixels_of(data, 7) - exact).max() < 3e-7


def test_grey_tiff_whose_white_is_zero_is_turned_over() -> None:
    pixels = RNG.integers(0, 65536, (5, 5, 1), dtype=np.uint16)
    assert np.abs(pixels_of(tiff(pixels, t262=0), 5, channels=1) - (1 - pixels / 65535)).max() < 1e-6


def test_sixteen_bit_transparent_colour_is_white() -> None:
    pixels = np.full((4, 4, 3), (1000, 2000, 3000), dtype=np.uint16)
    pixels[:2] += 1  # one step away is another colour
    shown = pixels_of(png(pixels, extra=chunk(b"tRNS", struct.pack(">HHH", 1000, 2000, 3000))), 4)
    assert (shown[2:] == 1).all() and np.allclose(shown[:2], pixels[:2] / 65535, atol=1e-6)
    grey = pixels_of(png(pixels[..., :1], extra=chunk(b"tRNS", struct.pack(">H", 1000))), 4)
    assert (grey[2:] == 1).all() and np.allclose(grey[:2], 1001 / 65535, atol=1e-6)


def test_sixteen_bit_scaling_does_not_go_through_eight_bits() -> None:
    ramp = np.linspace(30000, 30255, 64 * 64).astype(np.uint16).reshape(64, 64, 1)
    shown = pixels_of(png(ramp), 16, channels=1)
    assert len(np.unique((shown * 65535).round())) > 50  # 8 bits would leave two


def test_float_tiff_is_zero_to_one_and_refused_by_name_otherwise() -> None:
    pixels = RNG.random((6, 6), dtype=np.float32)
    assert np.abs(pixels_of(saved(Image.fromarray(pixels), "TIFF"), 6, channels=1)[..., 0] - pixels).max() < 1e-6
    for wrong in (pixels * 255, np.where(pixels > 0.5, np.float32("nan"), pixels)):
        with pytest.raises(BadImage, match="read as 0 to 1"):
            read_image(saved(Image.fromarray(wrong), "TIFF"), 6)


def test_cmyk_is_converted() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for data in (saved(image, "JPEG", quality=95), saved(image, "TIFF")):
        assert np.abs(colour(data, 16) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_rotation_is_undone(kind: str, orientation: int) -> None:
    upright = np.zeros((32, 32, 3), dtype=np.uint8)
    upright[:16, :16], upright[:16, 16:], upright[16:, :16] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    turned = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
    }
    turned |= {
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(turned.get(orientation, lambda a: a)(upright)))
    options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    assert np.abs(colour(saved(stored, kind, exif=exif, **options), 32) - upright)[4:12, 4:12].max() < 12
    assert np.abs(colour(saved(stored, kind, exif=exif, **options), 32) - upright)[20:28, 4:12].max() < 12


def test_exif_rotation_holds_for_sixteen_bits_and_damaged_exif_is_no_damage() -> None:
    pixels = RNG.integers(0, 65536, (6, 6, 3), dtype=np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 3
    data = png(pixels, extra=chunk(b"eXIf", exif.tobytes()[6:]))
    assert np.abs(pixels_of(data, 6) - pixels[::-1, ::-1] / 65535).max() < 1e-6
    assert np.abs(pixels_of(tiff(pixels, t274=3), 6) - pixels[::-1, ::-1] / 65535).max() < 1e-6
    junk = saved(Image.fromarray(TWO_ROWS), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 9)
    assert (colour(junk) == TWO_ROWS).all()


def test_animations_give_their_first_picture() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for kind, options in {"GIF": {}, "WEBP": {"lossless": True}, "PNG": {}, "TIFF": {}}.items():
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert (colour(data, 8) == (255, 0, 0)).all(), kind


def test_one_pixel_fills_the_image() -> None:
    for fit in ("crop", "pad", "resize"):
        assert (colour(saved(Image.new("RGB", (1, 1), (9, 99, 199)), "PNG"), 64, fit=fit) == (9, 99, 199)).all()


def test_crop_pad_and_resize_of_a_wide_picture() -> None:
    wide = np.zeros((16, 48, 3), dtype=np.uint8)
    wide[:, :16], wide[:, 16:32], wide[:, 32:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    data = saved(Image.fromarray(wide), "PNG")
    assert (colour(data, 16) == (0, 255, 0)).all()  # the middle third, not resampled
    resized, padded = colour(data, 48, fit="resize"), colour(data, 48, fit="pad")
    assert (resized == np.repeat(wide, 3, axis=0)).all(axis=-1).mean() > 0.9
    assert (padded[16:32] == wide).all() and (padded[:16] == 255).all() and (padded[32:] == 255).all()
    tall = colour(saved(Image.fromarray(wide).rotate(90, expand=True), "PNG"), 48, fit="pad")
    assert (tall[:, 16:32] == np.rot90(wide)).all() and (tall[:, :16] == 255).all()
    assert colour(saved(Image.new("RGB", (1000, 1)), "PNG"), 16, fit="pad").shape == (16, 16, 3)
    deep = pixels_of(png(np.zeros((2, 6, 1), dtype=np.uint16)), 6, fit="pad")
    assert (deep[2:4] == 0).all() and (deep[:2] == 1).all()


def test_scaling_down_does_not_alias_and_stays_in_range() -> None:
    stripes = np.zeros((256, 256), dtype=np.uint8)
    stripes[:, ::2] = 255
    for data in (saved(Image.fromarray(stripes), "PNG"), png(stripes[..., None].astype(np.uint16) * 257)):
        shown = pixels_of(data, 32, channels=1)
        assert np.abs(shown - 0.5).max() < 0.03
    step = np.zeros((40, 40, 1), dtype=np.uint16)
    step[:, 20:] = 65535
    shown = read_image(png(step), 17)
    assert shown.min() == -1 and shown.max() == 1  # Lanczos overshoots


def test_grey_from_colour_is_luma() -> None:
    assert (colour(saved(Image.new("RGB", (4, 4), (100, 200, 50)), "PNG"), channels=1) == 153).all()
    with pytest.raises(ValueError, match="data.channels"):
        read_image(saved(Image.new("RGB", (4, 4)), "PNG"), 4, channels=4)


def test_a_large_jpeg_is_decoded_small_with_the_same_result() -> None:
    y, x = np.mgrid[0:1024, 0:1536] / 64
    smooth = np.stack([np.sin(x), np.cos(y), np.sin(x + y)], -1) * 100 + 128
    data = saved(Image.fromarray(smooth.astype(np.uint8)), "JPEG", quality=95)
    whole = Image.open(io.BytesIO(data)).crop((256, 0, 1280, 1024)).resize((32, 32), Image.Resampling.LANCZOS)
    assert np.abs(colour(data, 32) - np.asarray(whole, dtype=int)).max() <= 2
    assert decoding.decode(data, least=128)[0].size == (192, 128)


def bad_files() -> dict[str, tuple[bytes, str]]:
    noise = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = {kind: saved(noise, kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF")}
    cases = {
        f"truncated {kind}": (data[: len(data) // 2], "can't be decoded|not a picture") for kind, data in whole.items()
    }
    deep = png(RNG.integers(0, 65536, (32, 32, 3), dtype=np.uint16))
    bomb, near = (png(np.zeros((1, 1, 3), np.uint8), claim=claim) for claim in ((50_000, 40_000), (16_000, 10_000)))
    return cases | {
        "empty": (b"", "empty"),
        "text": (b"not an image at all", "not a picture in a format"),
        "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture in a format"),
        "header only": (whole["PNG"][:33], "can't be decoded|not a picture"),
        "truncated 16-bit": (deep[: len(deep) // 2], "can't be decoded"),
        "bomb": (bomb, "150 megapixels"),
        "bomb below Pillow's own limit": (near, "16000 × 10000 = 160 megapixels is above the limit of 150 megapixels"),
        "planes": (tiff(RNG.integers(0, 65536, (4, 4, 3)), t284=2), "separate planes"),
        "32-bit integers": (saved(Image.fromarray(np.full((4, 4), 70_000, np.int32)), "TIFF"), "read as 0 to 65535"),
    }


@pytest.mark.parametrize("name", bad_files())
def test_bad_files_are_refused_with_a_reason(name: str) -> None:
    data, reason = bad_files()[name]
    with pytest.raises(BadImage, match=reason) as refusal:
        read_image(data, 32)
    assert "\n" not in str(refusal.value)


def test_flipped_bits_never_escape_as_another_error() -> None:
    """Whatever is in a file, it is a picture or a ``BadImage``."""
    files = [saved(Image.fromarray(TWO_ROWS), kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP")]
    files += [png(RNG.integers(0, 65536, (4, 4, 4), dtype=np.uint16)), tiff(RNG.integers(0, 65536, (4, 4, 3)))]
    for data in files:
        for _ in range(60):
            wrong = bytearray(data)
            for position in RNG.integers(0, len(data), 3):
                wrong[position] = RNG.integers(0, 256)
            try:
                image = read_image(bytes(wrong), 4)
            except BadImage:
                continue
            assert image.shape == (3, 4, 4) and image.isfinite().all() and image.abs().max() <= 1


def test_a_missing_file_is_a_bad_image(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="No such file"):
        read_image(tmp_path / "none.png", 8)


def test_written_images_are_whole_and_come_back(tmp_path: Path) -> None:
    for channels in (1, 3):
        image = torch.rand(channels, 6, 6) * 2.4 - 1.2
        path = tmp_path / "new folder" / f"{channels}.png"
        write_png(path, image)
        write_png(path, image)  # again: it is replaced
        assert (read_image(path, 6, channels) - image.clamp(-1, 1)).abs().max() <= 1 / 255 + 1e-6
        assert [file.name for file in sorted(path.parent.iterdir())][-1] == path.name
    assert not list(tmp_path.rglob("*.partial*"))


def test_a_grid_is_laid_out_in_rows() -> None:
    images = torch.arange(5.0).reshape(5, 1, 1, 1).expand(5, 1, 2, 3) / 10
    sheet = grid(images, columns=3, gap=1)
    assert sheet.shape == (1, 5, 11)
    assert torch.equal(sheet[0, 0, [0, 4, 8]], torch.tensor([0.0, 0.1, 0.2]))
    assert torch.equal(sheet[0, 3, [0, 4, 8]], torch.tensor([0.3, 0.4, 1.0]))
    assert (sheet[0, 2] == 1).all() and (sheet[0, :, 3] == 1).all()
    assert torch.equal(grid(images, columns=8), grid(torch.cat([images, torch.ones(3, 1, 2, 3)]), columns=8))
