"""Pictures are decoded as far as they are looked at. Truth: the whole picture, resized; memory, measured."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from vggapps.errors import PictureError, SettingsError
from vggapps.image import open_picture, resize, size_of
from vggapps.image._smaller import TargetSize

PHOTO = Path(__file__).parents[1] / "assets" / "content" / "village.jpg"


def file_of(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def smooth(width: int, height: int) -> Image.Image:
    """A photograph, enlarged: whatever way it is scaled down, it looks alike."""
    with Image.open(PHOTO) as image:
        return image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)


# How many pixels


@given(st.integers(2, 3000), st.integers(2, 3000), st.integers(1, 200_000))
@settings(deadline=None, max_examples=100)
def test_a_number_of_pixels_is_kept_to_and_nearly_reached(width, height, pixels):
    new_width, new_height = TargetSize(pixels=pixels).size(width, height) or (width, height)
    if width * height <= pixels:
        assert (new_width, new_height) == (width, height)
        return
    exact = (pixels / (width * height)) ** 0.5
    assert new_width <= max(1, width * exact + 0.5)
    assert new_height <= max(1, height * exact + 0.5)
    assert max(new_width, new_height) >= max(width, height) * exact - 1
    assert max(new_width, new_height) * max(1, min(new_width, new_height) - 0.5) <= max(
        pixels, max(width, height) * exact
    )


@given(st.integers(2, 3000), st.integers(2, 3000), st.integers(1, 3000))
@settings(deadline=None, max_examples=100)
def test_twice_what_is_wanted_is_left_for_the_last_step(width, height, wanted):
    for each in (TargetSize(longer_side=wanted), TargetSize(pixels=wanted * wanted)):
        divisor, size = each.divisor(width, height), each.size(width, height)
        assert divisor == 1 or max(width, height) // divisor >= 2 * max(size)
    assert min(width, height) // TargetSize(at_least=wanted).divisor(width, height) >= min(wanted, min(width, height))
    assert TargetSize().divisor(width, height) == 1


@pytest.mark.parametrize("wrong", [{"longer_side": 0}, {"pixels": 0}, {"at_least": -1}])
def test_no_size_is_refused(wrong):
    with pytest.raises(SettingsError, match="is not a size"):
        open_picture(PHOTO, **wrong)


# The same picture


@cache
def files() -> dict[str, bytes]:
    image = smooth(1203, 807)
    ramp = np.linspace(0, 1, 1203)[None, :] * np.ones((807, 1))
    opaque = np.asarray(image)
    hole = np.dstack([opaque, np.where(ramp > 0.5, 255, 0).astype(np.uint8)])
    hole[hole[..., 3] == 0] = (255, 0, 255, 0)  # what is hidden must not shine through
    deep = io.BytesIO()
    tifffile.imwrite(deep, opaque.astype(np.uint16) * 257, photometric="rgb")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return {
        "JPEG": file_of(image, "JPEG", quality=95),
        "turned JPEG": file_of(image, "JPEG", quality=95, exif=exif),
        "CMYK": file_of(image.convert("CMYK"), "JPEG", quality=95),
        "JPEG 2000": file_of(image, "JPEG2000"),
        "PNG": file_of(image, "PNG"),
        "grey": file_of(image.convert("L"), "PNG"),
        "palette": file_of(image.quantize(256), "PNG"),
        "transparent": file_of(Image.fromarray(hole), "PNG"),
        "16 bits": deep.getvalue(),
        "16 bits, grey": file_of(Image.fromarray((ramp * 65535).astype(np.uint16)), "PNG"),
        "floats": file_of(Image.fromarray(ramp.astype(np.float32)), "TIFF"),
    }


@pytest.mark.parametrize("kind", files())
def test_what_is_read_smaller_is_the_picture_scaled_down(kind):
    data = files()[kind]
    whole = open_picture(data)
    for wanted in ({"longer_side": 200}, {"longer_side": 100}, {"pixels": 5000}, {"longer_side": 40}):
        small = open_picture(data, **wanted)
        assert small.notes == whole.notes
        assert abs(small.size[0] * whole.size[1] - small.size[1] * whole.size[0]) < max(whole.size)
        seen = (small.rgb - resize(whole.rgb, small.size)).abs()
        if small.alpha is not None:
            alpha = resize(whole.alpha, small.size)
            assert (small.alpha - alpha).abs().mean() < 0.01
            seen = seen[..., (alpha > 0.99)[0, 0].all(0)]
        assert seen.mean() < 1.5 / 255
        assert seen.max() < 25 / 255
    assert open_picture(data, longer_side=max(whole.size)).size == whole.size


def test_a_hint_of_the_shorter_side_is_kept_to():
    for kind, data in files().items():
        assert min(open_picture(data, at_least=201).size) >= 201
        assert min(open_picture(data, at_least=201).size) < 403, kind


@pytest.mark.parametrize("size", [(3, 900), (900, 3), (2, 2), (17, 1001)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "JPEG2000"])
def test_narrow_pictures_are_scaled_down(size, kind):
    data = file_of(Image.new("RGB", size, (200, 100, 50)), kind)
    small = open_picture(data, longer_side=20)
    assert max(small.size) == min(20, max(size))
    assert (small.rgb.mean((2, 3))[0] * 255 - torch.tensor([200.0, 100, 50])).abs().max() < 6


# The largest


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_what_is_too_large_is_decoded_at_a_fraction(monkeypatch, kind):
    data = file_of(smooth(1601, 1201), kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)  # twice as many are read
    picture = open_picture(data)
    assert picture.size == (301, 401)
    assert picture.notes == ("its 1601x1201 pixels are too many: it is read at 1/4 of its size",)
    assert open_picture(data, longer_side=100).notes == ()
    assert size_of(data) == (1201, 1601)
    assert Image.MAX_IMAGE_PIXELS == 100_000
    with pytest.raises(PictureError, match="too large: 1601x1201"):
        open_picture(data, max_pixels=1_000_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(PictureError, match="too large"):
        open_picture(data)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_what_can_only_be_decoded_whole_is_refused_with_a_remedy(monkeypatch, kind):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    with pytest.raises(PictureError, match=r"too large: .*save it as JPEG"):
        open_picture(file_of(Image.new("L", (1600, 1200)), kind))


def test_progressive_pictures_whose_coefficients_would_fill_the_memory_are_refused(monkeypatch):
    large, larger = (file_of(smooth(side, side), "JPEG", progressive=True) for side in (800, 1000))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    assert open_picture(large).size == (400, 400)
    with pytest.raises(PictureError, match="too large"):
        open_picture(larger)


# Memory

SIDE = 4000
MEASURE = """
import resource, sys, torch
from vggapps.image import open_picture
open_picture(sys.argv[1], longer_side=48)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
open_picture(sys.argv[2], pixels=10_000)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


def large_png(bits: int, colour: int) -> bytes:
    """A PNG of 16 megapixels, all of one colour, which packs to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    channels = {2: 3, 3: 1, 6: 4}[colour]
    packer = zlib.compressobj(1)
    rows = [packer.compress(bytes(1 + SIDE * channels * bits // 8)) for _ in range(SIDE)] + [packer.flush()]
    palette = chunk(b"PLTE", bytes(6)) if colour == 3 else b""
    header = struct.pack(">IIBBBBB", SIDE, SIDE, bits, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + chunk(b"IDAT", b"".join(rows)) + chunk(b"IEND", b"")
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in other units elsewhere")
@pytest.mark.parametrize(
    ("kind", "bytes_a_pixel"),
    [("JPEG", 0.5), ("PNG", 4), ("palette", 1), ("16 bits", 8)],
)
def test_memory_is_what_pillow_needs_to_decode(tmp_path, kind, bytes_a_pixel):
    made = {"PNG": (8, 2), "palette": (8, 3), "16 bits": (16, 2)}
    data = large_png(*made[kind]) if kind in made else file_of(Image.new("RGB", (SIDE, SIDE)), kind)
    (tmp_path / "large").write_bytes(data)
    ran = [sys.executable, "-c", MEASURE, PHOTO, tmp_path / "large"]
    measured = int(subprocess.run(ran, capture_output=True, text=True, check=True).stdout)
    assert measured < bytes_a_pixel * SIDE * SIDE + 40e6
