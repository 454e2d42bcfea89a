"""What is refused on opening, and how sizes come about. Truth comes from arithmetic and Pillow."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vggapps.errors import PictureError, SettingsError
from vggapps.image import fit, is_picture_file, open_picture, resize


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def file_of(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


# What can't be read


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        ("Grüße, not pixels".encode() * 100, "it is text"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"<?xml version='1.0'?><svg/>", "SVG is a drawing"),
        (b"%PDF-1.7 ...", "a PDF"),
        (bytes(range(256)), "not a picture, or has a format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is text"),
        (file_of(Image.fromarray(noise(40, 40, 3)), "PNG")[:900], "damaged or cut short"),
        (file_of(Image.fromarray(noise(40, 40, 3)), "JPEG")[:900], "damaged or cut short"),
        (file_of(Image.fromarray(noise(40, 40, 3)), "TIFF")[:900], "damaged or cut short"),
        (file_of(Image.new("RGB", (1, 1)), "PNG"), "1x1 pixels are too few"),
        (file_of(Image.new("RGB", (9, 1)), "GIF"), "9x1 pixels are too few"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_whole_picture_is_told_with_name_and_reason(tmp_path, data, reason):
    (tmp_path / "photo.jpg").write_bytes(data)
    with pytest.raises(PictureError) as caught:
        open_picture(tmp_path / "photo.jpg")
    assert caught.value.message.startswith("photo.jpg: ")
    assert reason in caught.value.message
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told_with_the_nearest_name(tmp_path):
    (tmp_path / "kitten.jpg").touch()
    with pytest.raises(PictureError, match=r"no such file \(did you mean .*kitten\.jpg\?"):
        open_picture(tmp_path / "kiten.jpg")
    with pytest.raises(PictureError, match=r"no folder .* either"):
        open_picture(tmp_path / "nowhere" / "kitten.jpg")
    with pytest.raises(PictureError, match="is a folder"):
        open_picture(tmp_path)


def test_a_file_that_may_not_be_read_is_told_so(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(PictureError, match="no permission to read it"):
        open_picture(tmp_path / "photo.jpg")


def test_heic_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PictureError, match=r"pip install 'vggapps\[heif\]'"):
        open_picture(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), name="phone.heic")


def test_too_many_pixels_are_refused_before_decoding(monkeypatch):
    data = file_of(Image.new("L", (100, 50)), "PNG")
    with pytest.raises(PictureError, match=r"too large: 100x50 pixels, and at most 0.004 million"):
        open_picture(data, max_pixels=4000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    assert open_picture(data).size == (50, 100)  # where Pillow would warn
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    with pytest.raises(PictureError, match="too large"):
        open_picture(data)


# Sources, names, sizes


def test_a_path_its_bytes_and_a_stream_are_the_same_picture(tmp_path):
    path = tmp_path / "rose.png"
    path.write_bytes(file_of(Image.fromarray(noise(4, 5, 3)), "PNG"))
    with path.open("rb") as stream:
        pictures = [open_picture(path), open_picture(str(path)), open_picture(stream)]
        pictures.append(open_picture(path.read_bytes(), name="rose.png"))
    assert {picture.name for picture in pictures} == {"rose.png"}
    assert all(torch.equal(picture.rgb, pictures[0].rgb) for picture in pictures)


def test_picture_files_are_known_by_their_names():
    assert [is_picture_file(name) for name in ("a.JPG", "b/c.webp", "d.heic")] == [True] * 3
    assert [is_picture_file(name) for name in ("a.txt", "jpg", "._a.jpg")] == [False] * 3


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 5000))
@settings(deadline=None, max_examples=50)
def test_fit_never_enlarges_and_keeps_the_shape_to_a_pixel(height, width, longer_side):
    new = fit(height, width, longer_side)
    assert max(new) == min(longer_side, max(height, width))
    assert min(new) >= 1
    scale = max(new) / max(height, width)
    assert all(abs(side - max(1, old * scale)) <= 0.5 + 1e-9 for side, old in zip(new, (height, width), strict=True))


def test_no_size_is_refused():
    with pytest.raises(SettingsError):
        fit(4, 4, 0)
    with pytest.raises(SettingsError):
        resize(torch.zeros(1, 3, 4, 4), (0, 4))


def test_resize_is_pillows_antialiased_bicubic():
    pixels = np.random.default_rng(0).random((30, 40), np.float32)
    expected = np.asarray(Image.fromarray(pixels).resize((13, 9), Image.Resampling.BICUBIC))
    ours = resize(torch.from_numpy(pixels)[None, None], (9, 13))[0, 0].numpy()
    assert np.allclose(ours, expected.clip(pixels.min(), pixels.max()), atol=1e-5)


def test_resize_leaves_flat_pictures_flat_and_stays_within_range():
    assert torch.equal(resize(torch.ones(1, 3, 9, 9), (4, 20)), torch.ones(1, 3, 4, 20))
    edge = torch.zeros(1, 1, 8, 8)
    edge[..., 4:] = 1
    enlarged = resize(edge, (16, 16))
    assert (enlarged.min(), enlarged.max()) == (0, 1)


def test_pictures_are_scaled_down_on_opening_and_never_up():
    data = file_of(Image.fromarray(noise(30, 40, 4)), "PNG")
    small = open_picture(data, longer_side=20)
    assert small.size == (15, 20)
    assert small.alpha.shape == (1, 1, 15, 20)
    assert torch.equal(small.rgb, resize(open_picture(data).rgb, (15, 20)))
    large = open_picture(data, longer_side=50)
    assert large.size == (30, 40)
    assert large.notes == ("its 40x30 pixels are kept, as 50 would only enlarge them",)
    assert open_picture(data, longer_side=40).notes == ()
