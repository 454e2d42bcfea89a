"""Pictures written to files, with the settings that made them. Truth: numpy, Pillow, kornia_rs, tifffile."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from pathlib import Path

import kornia_rs.io
import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from vggapps.errors import OutputExistsError, PictureError, SettingsError
from vggapps.image import (
    Picture,
    check_target,
    encode_picture,
    open_picture,
    read_settings,
    save_picture,
    to_pil,
)

few = settings(deadline=None, max_examples=25)
KINDS = [("png", 8), ("png", 16), ("tif", 8), ("tif", 16), ("jpg", 8), ("webp", 8)]
FLAT = torch.tensor([0.2, 0.6, 0.4])[None, :, None, None].expand(1, 3, 16, 24)


def random_picture(height: int = 5, width: int = 7, channels: int = 3) -> torch.Tensor:
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(0))


def expected_levels(image: torch.Tensor, bits: int) -> np.ndarray:
    return np.floor(image[0].permute(1, 2, 0).double().numpy() * (2**bits - 1) + 0.5).astype(np.int64)


# Pixels


@given(st.integers(2, 9), st.integers(2, 9), st.sampled_from([("png", 8), ("png", 16), ("tif", 8), ("tif", 16)]))
@few
def test_what_is_written_without_loss_is_read_again(height, width, kind):
    suffix, bits = kind
    image = random_picture(height, width)
    again = open_picture(encode_picture(image, suffix, bits=bits))
    assert (again.rgb - image).abs().max() <= 0.5 / (2**bits - 1) + 1e-6
    assert encode_picture(again, suffix, bits=bits) == encode_picture(image, suffix, bits=bits)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_other_readers_see_the_same_levels(tmp_path, channels, bits):
    image = random_picture(channels=channels)
    alpha = image[:, 3:] if channels == 4 else None
    tiff = save_picture(image[:, :3], tmp_path / "a.tiff", alpha=alpha, bits=bits)
    assert np.array_equal(tifffile.imread(tiff), expected_levels(image, bits))
    png = save_picture(image[:, :3], tmp_path / "a.png", alpha=alpha, bits=bits)
    read = kornia_rs.io.read_image_png_u16 if bits == 16 else kornia_rs.io.read_image_png_u8
    assert np.array_equal(read(str(png), "rgba" if channels == 4 else "rgb"), expected_levels(image, bits))


def test_levels_are_rounded_and_values_beyond_are_clamped():
    values = torch.tensor([-1.0, 0.4 / 255, 0.6 / 255, 1.5, float("inf"), 254.6 / 255])
    image = values.expand(1, 3, 2, 6)
    assert np.asarray(to_pil(Picture(image)))[0, :, 0].tolist() == [0, 0, 1, 255, 255, 255]


def test_what_is_no_picture_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(PictureError, match=r"a\.png: .*NaN"):
        save_picture(torch.full((1, 3, 4, 4), float("nan")), tmp_path / "a.png")
    for wrong in (torch.zeros(3, 4, 4), torch.zeros(2, 3, 4, 4), torch.zeros(1, 1, 4, 4)):
        with pytest.raises(SettingsError, match="is not a picture"):
            save_picture(wrong, tmp_path / "a.png")
    with pytest.raises(SettingsError, match="does not fit"):
        save_picture(torch.zeros(1, 3, 4, 4), tmp_path / "a.png", alpha=torch.zeros(1, 1, 4, 5))
    assert list(tmp_path.iterdir()) == []


def test_pictures_on_a_graph_and_in_bfloat16_can_be_written():
    image = FLAT.to(torch.bfloat16).requires_grad_()
    assert (open_picture(encode_picture(image, "png")).rgb - FLAT).abs().max() < 0.005


@pytest.mark.parametrize(("suffix", "bits"), KINDS)
def test_every_format_holds_colour_alpha_and_the_srgb_profile(suffix, bits):
    alpha = torch.ones(1, 1, 16, 24)
    alpha[..., 12:] = 0
    data = encode_picture(Picture(FLAT, alpha), suffix, bits=bits)
    again = open_picture(data)
    assert (again.rgb - FLAT)[..., :8].abs().max() < 0.02
    if suffix == "jpg":  # holds no alpha: white shows
        assert again.alpha is None
        assert again.rgb[..., 16:].min() > 0.98
    else:
        assert torch.equal(again.alpha, alpha)
    with Image.open(io.BytesIO(data)) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_jpeg_keeps_the_colour_of_every_pixel():
    with Image.open(io.BytesIO(encode_picture(FLAT, "jpg"))) as image:
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}  # 4:4:4


def test_a_picture_too_long_for_its_format_is_told_so():
    with pytest.raises(SettingsError, match="WEBP holds at most 16383 per side"):
        encode_picture(torch.zeros(1, 3, 2, 16384), "webp")


@pytest.mark.parametrize("channels", [3, 4])
def test_pillows_pictures_go_round(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, channels), np.uint8)
    pixels[..., 3:] = 255 * (pixels[..., 3:] > 127)
    image = to_pil(open_picture(Image.fromarray(pixels)))
    assert image.mode == ("RGBA" if channels == 4 else "RGB")
    visible = pixels[..., -1] == 255 if channels == 4 else np.ones((4, 5), bool)
    assert np.array_equal(np.asarray(image)[visible], pixels[visible])


# Files


@pytest.mark.parametrize(("suffix", "bits"), [(".xyz", 8), ("", 8), (".jpg", 16), (".webp", 16), (".png", 12)])
def test_a_format_that_can_not_be_written_is_a_matter_of_settings(tmp_path, suffix, bits):
    with pytest.raises(SettingsError) as caught:
        save_picture(FLAT, tmp_path / f"a{suffix}", bits=bits)
    assert ".png, .jpg" in caught.value.hint or "16 in PNG and TIFF" in caught.value.hint


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path):
    target = tmp_path / "a.png"
    target.write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        save_picture(FLAT, target)
    assert target.read_bytes() == b"precious"
    assert save_picture(FLAT, target, overwrite=True) == target
    assert open_picture(target).size == (16, 24)


def test_files_have_the_usual_permissions_and_no_company(tmp_path):
    save_picture(FLAT, tmp_path / "A.PNG")
    (tmp_path / "plain").touch()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"A.PNG", "plain"}


def test_through_a_link_its_target_is_written(tmp_path):
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    save_picture(FLAT, tmp_path / "link.png", overwrite=True)
    assert (tmp_path / "link.png").is_symlink()
    assert open_picture(tmp_path / "real.png").size == (16, 24)


@pytest.mark.parametrize("step", ["write", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, step):
    target = tmp_path / "a.png"
    target.write_bytes(b"precious")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    class FullFile(io.BytesIO):
        write = full

    if step == "replace":
        monkeypatch.setattr(Path, "replace", full)
    else:
        monkeypatch.setattr(Path, "open", lambda path, *_: path.touch() or FullFile())
    with pytest.raises(PictureError, match=r"No space left on device.*free space"):
        save_picture(FLAT, target, overwrite=True)
    monkeypatch.undo()
    assert target.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [target]


def test_where_nothing_can_be_written_is_known_before_the_work(tmp_path, monkeypatch):
    with pytest.raises(PictureError, match="there is no folder"):
        check_target(tmp_path / "nowhere" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(PictureError, match="is a folder"):
        check_target(tmp_path / "folder.png")
    assert check_target(tmp_path / "a.png") == tmp_path / "a.png"
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PictureError, match=r"Permission denied .*that you may write to"):
        check_target(tmp_path / "a.png")


# Settings inside

words = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=4,
)


@given(st.dictionaries(words, values, max_size=3), st.sampled_from(KINDS))
@few
def test_settings_go_round_in_every_format(made_by, kind):
    data = encode_picture(FLAT, kind[0], bits=kind[1], settings=made_by)
    assert read_settings(data) == made_by
    assert open_picture(data).size == (16, 24)


@pytest.mark.parametrize(("suffix", "bits"), KINDS)
def test_a_picture_without_settings_has_none(suffix, bits):
    assert read_settings(encode_picture(FLAT, suffix, bits=bits)) is None


def test_settings_lie_where_other_programs_find_them():
    made_by = {"style": "Große Welle", "steps": 60}
    with Image.open(io.BytesIO(encode_picture(FLAT, "png", settings=made_by))) as image:
        assert json.loads(image.text["vggapps"]) == made_by
        assert image.text["Software"].startswith("vggapps ")
    for suffix in ("jpg", "webp"):
        with Image.open(io.BytesIO(encode_picture(FLAT, suffix, settings=made_by))) as image:
            exif = image.getexif()
            comment = exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
        assert comment.startswith(b"ASCII\0\0\0vggapps {")
        assert exif[ExifTags.Base.Software].startswith("vggapps ")
    with tifffile.TiffFile(io.BytesIO(encode_picture(FLAT, "tif", settings=made_by))) as file:
        comment = file.pages[0].tags["ExifTag"].value["UserComment"]
        assert json.loads(comment.removeprefix("vggapps ")) == made_by


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_settings_are_read_from_a_comment_that_another_program_recoded(encoding):
    exif, file = Image.Exif(), io.BytesIO()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"UNICODE\0" + 'vggapps {"a": 1}'.encode(encoding)
    Image.new("RGB", (4, 4)).save(file, "JPEG", exif=exif)
    assert read_settings(file.getvalue()) == {"a": 1}


def test_a_photographers_comment_is_no_settings():
    exif, file = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.ImageDescription] = "vggapps is what I used"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"ASCII\0\0\0my kitten"
    Image.new("RGB", (4, 4)).save(file, "JPEG", exif=exif)
    assert read_settings(file.getvalue()) is None


@pytest.mark.parametrize("text", ['{"steps": 6', "[1, 2]", "[" * 100_000])
def test_damaged_settings_are_told(tmp_path, text):
    info = PngImagePlugin.PngInfo()
    info.add_itxt("vggapps", text)
    Image.new("RGB", (4, 4)).save(tmp_path / "old.png", pnginfo=info)
    with pytest.raises(PictureError, match=r"old\.png: the settings in it are damaged"):
        read_settings(tmp_path / "old.png")


@pytest.mark.parametrize("value", [float("nan"), Path("x")])
def test_settings_that_json_can_not_hold_are_refused(value):
    with pytest.raises(SettingsError, match="can't be written into a picture"):
        encode_picture(FLAT, "png", settings={"value": value})


def test_settings_too_long_for_jpeg_are_refused():
    with pytest.raises(SettingsError, match="JPEG holds at most"):
        encode_picture(FLAT, "jpg", settings={"value": "x" * 70_000})


def test_the_same_picture_is_the_same_file():
    assert encode_picture(FLAT, "png", settings={"a": 1}) == encode_picture(FLAT, "png", settings={"a": 1})
    with Image.open(io.BytesIO(encode_picture(FLAT, "png"))) as image:
        assert image.info["icc_profile"][24:36] == bytes([7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0])  # not today
