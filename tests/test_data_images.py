import errno
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medxgan.data import image_files, open_dataset, read_image, write_image
from medxgan.errors import ConfigError, DataError, OutputError

GREY = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=2)


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def png_bytes(width, height, depth, colour_type, rows=b""):
    """A PNG file put together by hand, for what Pillow does not write."""

    def chunk(name, content):
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


def signed(pixels, white=255):
    return torch.from_numpy(pixels.astype(np.float32) / white * 2 - 1)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF"])
def test_8_bit_grey(tmp_path, suffix):
    sample = read_image(save(tmp_path / f"scan{suffix}", GREY))
    torch.testing.assert_close(sample.image, signed(GREY)[None])
    assert sample.name == "scan"
    assert sample.notes == ()


def test_colour_and_jpeg(tmp_path):
    sample = read_image(save(tmp_path / "scan.png", COLOUR))
    torch.testing.assert_close(sample.image, signed(COLOUR).permute(2, 0, 1))
    smooth = np.linspace(40, 200, 64).reshape(8, 8).astype(np.uint8)
    jpeg = read_image(save(tmp_path / "scan.jpeg", smooth, quality=100))
    torch.testing.assert_close(jpeg.image, signed(smooth)[None], atol=0.05, rtol=0)


def test_print_colours_become_light_colours(tmp_path):
    """No cyan ink: full red."""
    no_ink = Image.new("L", (8, 8))
    inks = [Image.fromarray(255 - GREY), no_ink, no_ink, no_ink]
    Image.merge("CMYK", inks).save(tmp_path / "scan.tif")
    image = read_image(tmp_path / "scan.tif").image
    torch.testing.assert_close(image[0], signed(GREY))
    assert (image[1:] == 1).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_is_read_in_full_and_its_depth_is_said(tmp_path, suffix):
    pixels = GREY.astype(np.uint16) * 16 + 1
    sample = read_image(save(tmp_path / f"scan{suffix}", pixels))
    torch.testing.assert_close(sample.image, signed(pixels, white=4095)[None])
    assert "0 (black) to 4095 (white)" in sample.notes[0]


def test_limits_that_are_given_are_used(tmp_path):
    pixels = GREY.astype(np.uint16)
    sample = read_image(save(tmp_path / "scan.png", pixels), limits=(0, 4095))
    torch.testing.assert_close(sample.image, signed(pixels, white=4095)[None])
    assert sample.notes == ()


@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_floating_point_tiff(tmp_path, scale):
    """In [0, 1], or in [-1, 1] where a pixel is negative."""
    pixels = (GREY / 255 * scale).astype(np.float32)
    image = read_image(save(tmp_path / "scan.tif", pixels)).image[0]
    expected = pixels * 2 - 1 if scale > 0 else pixels
    torch.testing.assert_close(image, torch.from_numpy(expected))


def test_32_bit_whole_numbers_that_fit_16(tmp_path):
    pixels = GREY.astype(np.int32) * 4
    torch.testing.assert_close(
        read_image(save(tmp_path / "scan.tif", pixels)).image, signed(pixels, 1023)[None]
    )
    with pytest.raises(DataError, match="span 0 to 252000000"):
        read_image(save(tmp_path / "deep.tif", GREY.astype(np.int32) * 1_000_000))


def test_black_and_white(tmp_path):
    sample = read_image(save(tmp_path / "scan.png", GREY > 100))
    torch.testing.assert_close(sample.image, signed((GREY > 100) * 255.0)[None])


def test_transparency_is_laid_over_black(tmp_path):
    opacity = np.full((8, 8, 1), 255, np.uint8)
    opaque = read_image(save(tmp_path / "a.png", np.concatenate([COLOUR, opacity], axis=2)))
    torch.testing.assert_close(opaque.image, signed(COLOUR).permute(2, 0, 1))
    assert opaque.notes == ()
    opacity[:4] = 0
    half = read_image(save(tmp_path / "b.png", np.concatenate([GREY[..., None], opacity], axis=2)))
    torch.testing.assert_close(half.image, signed(GREY * (opacity[..., 0] > 0))[None])
    assert half.notes == ("image laid over black where it was transparent",)


def test_a_palette_of_greys_is_grey(tmp_path):
    grey = Image.fromarray(255 - GREY)
    grey.putpalette([value for value in range(256) for _ in range(3)])
    grey.save(tmp_path / "grey.png")
    torch.testing.assert_close(read_image(tmp_path / "grey.png").image, signed(255 - GREY)[None])
    colour = Image.fromarray(GREY)
    colour.putpalette([value if band == 0 else 0 for value in range(256) for band in range(3)])
    colour.save(tmp_path / "colour.png")
    red = read_image(tmp_path / "colour.png").image
    torch.testing.assert_close(red[0], signed(GREY))
    assert (red[1:] == -1).all()
    colour.save(tmp_path / "clear.png", transparency=0)
    torch.testing.assert_close(read_image(tmp_path / "clear.png").image, red)


def test_16_bit_colour_keeps_its_upper_8_bits(tmp_path):
    values = (COLOUR.astype(np.uint16) * 256 + 77).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    (tmp_path / "deep.png").write_bytes(png_bytes(8, 8, 16, 2, rows))
    sample = read_image(tmp_path / "deep.png")
    torch.testing.assert_close(sample.image, signed(COLOUR).permute(2, 0, 1))
    assert sample.notes == ("image read at the upper 8 of its 16 bits a colour",)


def test_the_first_page_of_several_is_read(tmp_path):
    pages = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    sample = read_image(tmp_path / "pages.tif")
    torch.testing.assert_close(sample.image, signed(GREY)[None])
    assert sample.notes == ("image read from the first page of several",)


def test_images_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    sample = read_image(save(tmp_path / "scan.png", GREY, exif=exif))
    torch.testing.assert_close(sample.image, signed(np.rot90(GREY, -1).copy())[None])


def test_size_and_channels(tmp_path):
    path = save(tmp_path / "scan.png", COLOUR[:6])
    sample = read_image(path, size=16, channels=1)
    assert sample.image.shape == (1, 16, 16)
    assert [note.split()[1] for note in sample.notes] == ["made", "padded", "resized"]


def test_what_is_written_is_read_again(tmp_path):
    for pixels in (GREY[None], COLOUR.transpose(2, 0, 1)):
        write_image(tmp_path / "deep" / "scan.png", signed(pixels))
        torch.testing.assert_close(
            read_image(tmp_path / "deep" / "scan.png").image, signed(pixels), atol=1e-6, rtol=0
        )
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["scan.png"]


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.EACCES, "Permission denied"), (errno.ENOSPC, "No space left")]
)
def test_an_image_that_cannot_be_written(tmp_path, monkeypatch, number, reason):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match=reason):
        write_image(tmp_path / "scan.png", signed(GREY)[None])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_image(tmp_path / "out" / "scan.png", signed(GREY)[None])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_file_cut_short_is_named(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    path = save(tmp_path / f"scan{suffix}", noise)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match=rf"scan\{suffix} cannot be read as an image"):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_other_content_is_refused(tmp_path, content):
    (tmp_path / "scan.png").write_bytes(content)
    with pytest.raises(DataError, match=r"scan\.png"):
        read_image(tmp_path / "scan.png")


def test_formats_that_pillow_knows_but_we_do_not(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "scan.png", format="GIF")
    with pytest.raises(DataError, match="is not a PNG, JPEG or TIFF image"):
        read_image(tmp_path / "scan.png")


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_decompression_bomb_is_refused(tmp_path, side):
    """Pillow only warns of the first; users see one sentence and no warning."""
    (tmp_path / "bomb.png").write_bytes(png_bytes(side, side, 8, 0))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(DataError, match=r"bomb\.png has more than 89 megapixels"):
            read_image(tmp_path / "bomb.png")
    assert caught == []


def test_deep_negatives_are_refused(tmp_path):
    path = save(tmp_path / "scan.tif", GREY.astype(np.uint16), tiffinfo={262: 0})
    with pytest.raises(DataError, match="stores white as 0"):
        read_image(path)


def test_constant_and_broken_images_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"flat\.png is constant \(every pixel is 7\)"):
        read_image(save(tmp_path / "flat.png", np.full((8, 8), 7, np.uint8)))
    broken = GREY.astype(np.float32) / 255
    broken[3, 3] = np.nan
    with pytest.raises(DataError, match=r"nan\.tif holds NaN"):
        read_image(save(tmp_path / "nan.tif", broken))
    with pytest.raises(DataError, match=r"hounsfield\.tif: floating-point pixels must lie"):
        read_image(save(tmp_path / "hounsfield.tif", broken[:2] * 1000))


def test_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.png does not exist"):
        read_image(tmp_path / "none.png")
    with pytest.raises(DataError, match=r"'\.bmp', which cannot be read"):
        read_image(tmp_path / "scan.bmp")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DataError, match=r"folder\.png"):
        read_image(tmp_path / "folder.png")


def test_a_forbidden_file_is_refused(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(DataError, match=r"no permission to read .*scan\.png"):
        read_image(tmp_path / "scan.png")


def test_sizes_and_channels_that_cannot_be_had(tmp_path):
    with pytest.raises(ConfigError, match="size must be at least 8"):
        read_image(tmp_path / "scan.png", size=4)
    with pytest.raises(ConfigError, match="channels must be 1"):
        read_image(tmp_path / "scan.png", channels=4)


def test_the_images_that_a_path_stands_for(tmp_path):
    for name in ("b/2.png", "b/1.JPG", "a.tif", "masks/b/2.png", "twins/a.tif", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    names = [path.relative_to(tmp_path).as_posix() for path in image_files(tmp_path)]
    assert names == ["a.tif", "b/1.JPG", "b/2.png"]
    assert image_files(tmp_path / "a.tif") == [tmp_path / "a.tif"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no PNG, JPEG, TIFF, DICOM or NIfTI images"):
        image_files(tmp_path / "empty")
    with pytest.raises(DataError, match=r"'\.txt', which cannot be read"):
        image_files(tmp_path / "notes.txt")
    with pytest.raises(DataError, match="does not exist"):
        image_files(tmp_path / "nowhere")


def test_a_strip_that_would_fill_the_memory_as_a_square(tmp_path):
    """A file of a few bytes, 40000 x 8 pixels; it would have 1600 megapixels."""
    path = save(tmp_path / "strip.png", np.arange(320_000, dtype=np.uint8).reshape(8, 40_000))
    sentence = r"strip\.png: it has 8 x 40000 pixels, as a square more than 178 megapixels"
    with pytest.raises(DataError, match=sentence):
        read_image(path, size=64)
    with pytest.raises(DataError, match=sentence):
        open_dataset(tmp_path, size=64)
