"""What can be read from picture files. Truth: numpy and Pillow, and for 16 bits kornia_rs and tifffile."""

from __future__ import annotations

import io
import struct
import zlib

import kornia_rs.io
import numpy as np
import pytest
import tifffile
import torch
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from vggapps.errors import PictureError
from vggapps.image import Picture, open_picture

GREEN = (40, 160, 90)


def levels(picture: Picture | torch.Tensor, peak: int = 255) -> np.ndarray:
    """A picture as whole numbers, h w c."""
    tensor = picture.rgb if isinstance(picture, Picture) else picture
    return np.rint(tensor[0].permute(1, 2, 0).numpy() * peak).astype(int)


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def file_of(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


# What can be read


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "PPM", "TGA"])
def test_lossless_files_give_their_very_pixels(kind):
    pixels = noise(5, 7, 3)
    picture = open_picture(file_of(Image.fromarray(pixels), kind))
    assert picture.rgb.shape == (1, 3, 5, 7)
    assert picture.rgb.dtype == torch.float32
    assert (picture.alpha, picture.notes) == (None, ())
    assert np.array_equal(levels(picture), pixels)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "JPEG2000", "GIF"])
def test_other_files_give_their_colour(kind):
    if kind == "AVIF" and ".avif" not in Image.registered_extensions():
        pytest.skip("this Pillow has no AVIF")
    picture = open_picture(file_of(Image.new("RGB", (32, 16), GREEN), kind))
    assert picture.size == (16, 32)
    assert abs(levels(picture) - GREEN).max() <= 4


@pytest.mark.parametrize(
    ("image", "rgb"),
    [
        (Image.new("L", (3, 2), 77), (77, 77, 77)),
        (Image.new("1", (3, 2), 1), (255, 255, 255)),
        (Image.new("RGB", (3, 2), GREEN).quantize(4), GREEN),
        (Image.new("LAB", (3, 2), (136, 128, 128)), (127, 127, 127)),  # L* 53.3 is the grey 127 of sRGB
        (Image.new("CMYK", (3, 2), (0, 255, 255, 0)), (255, 0, 0)),
        (Image.fromarray(np.full((2, 3), 32896, np.uint16)), (128, 128, 128)),
        (Image.fromarray(np.full((2, 3), 32896, np.int32)), (128, 128, 128)),
        (Image.fromarray(np.full((2, 3), 0.2, np.float32)), (51, 51, 51)),
    ],
    ids=lambda value: getattr(value, "mode", ""),
)
def test_every_mode_of_pillow_becomes_rgb(image, rgb):
    for picture in (open_picture(file_of(image, "TIFF")), open_picture(image)):
        assert abs(levels(picture) - rgb).max() <= 1
        assert picture.alpha is None


@pytest.mark.parametrize(("channels", "mode"), [(1, "mono"), (3, "rgb"), (4, "rgba")])
def test_png_of_16_bits_is_read_in_full(tmp_path, channels, mode):
    pixels = noise(5, 6, channels, dtype=np.uint16)
    pixels[0, 0, 3:] = 65535
    kornia_rs.io.write_image_png_u16(str(tmp_path / "deep.png"), pixels, mode)
    picture = open_picture(tmp_path / "deep.png")
    if channels < 4:
        assert np.array_equal(levels(picture, 65535), np.broadcast_to(pixels, (5, 6, 3)))
    else:
        assert np.array_equal(levels(picture.alpha, 65535), pixels[..., 3:])
        assert np.array_equal(levels(picture, 65535)[0, 0], pixels[0, 0, :3])


def test_png_of_16_bits_with_grey_and_alpha_is_read_in_full():
    grey, alpha = 12345, 65535
    pixel = struct.pack(">HH", grey, alpha) + struct.pack(">HH", 7, 300)
    file = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    file.seek(0, io.SEEK_END)
    PngImagePlugin.putchunk(file, b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 4, 0, 0, 0))
    PngImagePlugin.putchunk(file, b"IDAT", zlib.compress((b"\0" + pixel) * 2))
    PngImagePlugin.putchunk(file, b"IEND", b"")
    picture = open_picture(file.getvalue())
    assert levels(picture, 65535)[0, 0].tolist() == [grey] * 3
    assert levels(picture.alpha, 65535)[0].tolist() == [[alpha], [300]]


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_tiff_of_16_bits_is_read_in_full(byteorder, compression, tile):
    pixels, file = noise(5, 7, 3, dtype=np.uint16), io.BytesIO()
    options = {"byteorder": byteorder, "compression": compression, "tile": tile}
    tifffile.imwrite(file, pixels, photometric="rgb", **options)
    assert np.array_equal(levels(open_picture(file.getvalue()), 65535), pixels)
    planes = io.BytesIO()  # which Pillow would mix up
    turned = [(ExifTags.Base.Orientation, "H", 1, 6, True)]
    options |= {"photometric": "rgb", "planarconfig": "separate", "extratags": turned}
    tifffile.imwrite(planes, pixels.transpose(2, 0, 1), **options)
    assert np.array_equal(levels(open_picture(planes.getvalue()), 65535), np.rot90(pixels, -1))


def test_planes_whose_compression_is_unknown_are_refused(monkeypatch):
    file = io.BytesIO()
    tifffile.imwrite(file, noise(3, 5, 7, dtype=np.uint16), photometric="rgb", planarconfig="separate")

    def unknown(*_, **__):
        raise KeyError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile, "imread", unknown)
    with pytest.raises(PictureError, match="needs imagecodecs"):
        open_picture(file.getvalue())


def test_tiff_of_grey_where_0_is_white_is_not_a_negative():
    file = io.BytesIO()
    tifffile.imwrite(file, np.array([[0, 65535], [0, 65535]], np.uint16), photometric="miniswhite")
    assert levels(open_picture(file.getvalue()))[0, :, 0].tolist() == [255, 0]


def test_numbers_beyond_white_are_refused_with_their_range():
    for least, greatest in ((-0.5, 1.0), (0.0, 255.0), (0.0, float("nan"))):
        values = np.array([[least, greatest]] * 2, np.float32)
        with pytest.raises(PictureError, match="its values range from"):
            open_picture(file_of(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize(("kind", "word"), [("GIF", "animated"), ("PNG", "animated"), ("TIFF", "several pages")])
def test_of_many_frames_the_first_is_used_and_a_note_says_so(kind, word):
    frames = [Image.new("RGB", (4, 4), (value, 0, 0)) for value in (250, 100, 0)]
    picture = open_picture(file_of(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert picture.notes == (f"{word}: the first of 3 is used",)
    assert levels(picture)[0, 0].tolist() == [250, 0, 0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(kind, orientation):
    stored = Image.fromarray(noise(4, 6, 3))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    array = np.asarray(stored)
    turned = {1: array, 2: array[:, ::-1], 3: array[::-1, ::-1], 4: array[::-1]}
    turned |= {5: array.swapaxes(0, 1), 6: np.rot90(array, -1), 8: np.rot90(array)}
    turned |= {7: array[::-1, ::-1].swapaxes(0, 1)}
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = open_picture(file_of(stored, kind, exif=exif, **options))
    assert np.array_equal(levels(picture), turned[orientation])


# Transparency


def test_transparency_is_split_off_and_what_it_hides_does_not_show():
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0] = (*GREEN, 255)
    pixels[1] = (255, 0, 0, 0)
    for kind in ("PNG", "TIFF"):
        picture = open_picture(file_of(Image.fromarray(pixels), kind))
        assert levels(picture.alpha)[..., 0].tolist() == [[255, 255], [0, 0]]
        assert (levels(picture) == GREEN).all()


def test_half_transparent_pixels_are_laid_over_the_mean_of_the_visible():
    image = Image.fromarray(np.array([[[200, 0, 0, 255], [0, 100, 0, 51]]] * 2, np.uint8))
    mean = np.array([200, 100 * 0.2, 0]) / 1.2
    expected = np.array([0, 100, 0]) * 0.2 + mean * 0.8
    assert np.allclose(open_picture(image).rgb[0, :, 0, 1].numpy() * 255, expected, atol=1e-3)


@pytest.mark.parametrize("mode", ["LA", "P", "L", "RGB"])
def test_every_kind_of_transparency_is_found(mode):
    image = Image.new("LA", (2, 2), (90, 255)) if mode == "LA" else Image.new(mode, (2, 2), 1)
    image.putpixel((0, 0), {"LA": (0, 0), "RGB": (9, 9, 9)}.get(mode, 0))
    key = {"LA": {}, "RGB": {"transparency": (9, 9, 9)}}.get(mode, {"transparency": 0})
    assert levels(open_picture(file_of(image, "PNG", **key)).alpha)[..., 0].tolist() == [[0, 255], [255, 255]]


def test_opaque_alpha_is_no_alpha():
    assert open_picture(Image.new("RGBA", (2, 2), (*GREEN, 255))).alpha is None


# Colour profiles


def swapped_profile() -> bytes:
    """A profile in which red means green, so that nobody can overlook that it was applied."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tmpX").replace(b"gXYZ", b"rXYZ").replace(b"tmpX", b"gXYZ")


def test_colour_profiles_are_applied():
    picture = open_picture(file_of(Image.new("RGB", (4, 4), (250, 20, 30)), "PNG", icc_profile=swapped_profile()))
    assert abs(levels(picture) - (20, 250, 30)).max() <= 2
    deep = io.BytesIO()
    pixels = np.full((4, 4, 3), (64250, 5140, 7710), np.uint16)
    tifffile.imwrite(deep, pixels, photometric="rgb", iccprofile=swapped_profile())
    picture = open_picture(deep.getvalue())
    assert abs(levels(picture) - (20, 250, 30)).max() <= 2
    assert picture.notes == ("its 16 bits per channel are read as 8, to apply its colour profile",)


def test_a_profile_of_srgb_costs_no_depth():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels, file = noise(4, 4, 3, dtype=np.uint16), io.BytesIO()
    tifffile.imwrite(file, pixels, photometric="rgb", iccprofile=profile)
    assert np.array_equal(levels(open_picture(file.getvalue()), 65535), pixels)


@pytest.mark.parametrize(("mode", "profile"), [("RGB", b"rubbish"), ("CMYK", swapped_profile()), ("L", b"x" * 200)])
def test_a_profile_that_is_broken_or_of_another_kind_is_ignored_with_a_note(mode, profile):
    image = Image.new(mode, (8, 8), 128 if mode == "L" else (10, 20, 30, 0)[: len(mode)])
    picture = open_picture(file_of(image, "TIFF", icc_profile=profile))
    assert "is ignored" in picture.notes[0]
    assert np.array_equal(levels(picture), np.asarray(image.convert("RGB")))


def test_a_grey_picture_may_carry_a_profile_of_colours():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = open_picture(file_of(Image.new("L", (4, 4), 99), "JPEG", icc_profile=profile))
    assert abs(levels(picture) - 99).max() <= 1
    assert picture.notes == ()
