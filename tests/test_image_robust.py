"""Files that are not quite as they should be: what is around the pixels never costs them, and every error is told."""

from __future__ import annotations

import io
import os
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, PngImagePlugin

from vggapps.errors import OutOfMemoryError, PictureError, SettingsError
from vggapps.image import is_picture_file, open_picture, read_settings

MAGIC = b"\x89PNG\r\n\x1a\n"
PHOTO = Path(__file__).parents[1] / "assets" / "content" / "village.jpg"


def chunk(kind: bytes, data: bytes, *, sound: bool = True) -> bytes:
    checksum = zlib.crc32(kind + data) ^ (0 if sound else 1)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


def png(*around: bytes, after: bytes = b"", header: bytes | None = None) -> bytes:
    """A PNG of `PIXELS` with chunks before and behind the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 6, 8, 2, 0, 0, 0)) if header is None else header
    rows = b"".join(b"\0" + row.tobytes() for row in PIXELS)
    return MAGIC + header + b"".join(around) + chunk(b"IDAT", zlib.compress(rows)) + after + chunk(b"IEND", b"")


def levels(data: bytes) -> np.ndarray:
    return np.rint(open_picture(data).rgb[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def swapped_profile(padding: int = 0) -> bytes:
    """A profile in which red means green; with so many bytes more that nothing refers to."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace(b"rXYZ", b"tmpX").replace(b"gXYZ", b"rXYZ").replace(b"tmpX", b"gXYZ")
    return struct.pack(">I", len(profile) + padding) + profile[4:] + np.random.default_rng(0).bytes(padding)


# PNG

LARGE = zlib.compress(b"a" * 3_000_000)


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"notes\0\0" + LARGE),
        chunk(b"iTXt", b"parameters\0\1\0\0\0" + LARGE),
        chunk(b"tEXt", b"notes\0hello", sound=False),
        chunk(b"tEXt", b""),
        chunk(b"zTXt", b"notes\0\7" + LARGE),
        b"".join(chunk(b"tEXt", b"notes\0" + b"a" * 1_000_000) for _ in range(70)),
        chunk(b"teSt", b"whatever", sound=False),
        chunk(b"tIME", b""),
    ],
    ids=["zTXt", "iTXt", "checksum", "empty", "compression", "many", "private", "time"],
)
def test_text_that_nobody_needs_is_passed_over(extra, behind):
    data = png(after=extra) if behind else png(extra)
    assert np.array_equal(levels(data), PIXELS)
    assert open_picture(data).notes == ()


@pytest.mark.parametrize(
    ("extra", "word"),
    [
        (chunk(b"gAMA", b"\0\1\x86\xa0", sound=False), "gamma"),
        (chunk(b"gAMA", b"\0"), "gamma"),
        (chunk(b"cHRM", b"\0" * 5), "primary colours"),
        (chunk(b"iCCP", b"icc\0\0" + b"no zlib"), "colour profile"),
        (chunk(b"iCCP", b"icc\0\0" + zlib.compress(b"x" * 20_000_000)), "colour profile"),
        (chunk(b"cICP", b"\1"), "colour coding"),
        (chunk(b"sRGB", b""), "colour coding"),
        (chunk(b"tRNS", b"\0"), "transparency"),
        (chunk(b"pHYs", b"\0"), "resolution"),
        (chunk(b"acTL", b"\0"), "animation"),
        (chunk(b"eXIf", b"MM\0*", sound=False), "EXIF"),
        (chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LARGE), "text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_damaged_around_the_pixels_is_left_out_with_a_note(extra, word):
    picture = open_picture(png(extra))
    assert np.array_equal(levels(png(extra)), PIXELS)
    assert [word in note for note in picture.notes] == [True]
    assert "ignored" in picture.notes[0]


def test_a_large_profile_is_applied():
    packed = zlib.compress(swapped_profile(padding=2_000_000))
    picture = open_picture(png(chunk(b"iCCP", b"large\0\0" + packed)))
    assert picture.notes == ()
    red_and_green = np.rint(picture.rgb[0, :2].permute(1, 2, 0).numpy() * 255)
    assert abs(red_and_green - PIXELS[..., 1::-1].astype(float)).mean() < 1


def test_no_limit_of_pillow_is_raised():
    limits = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY, Image.MAX_IMAGE_PIXELS
    open_picture(png(chunk(b"zTXt", b"notes\0\0" + LARGE)))
    assert limits == (PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY, Image.MAX_IMAGE_PIXELS)


def test_damaged_pixels_are_an_error_still():
    whole = png()
    at = whole.index(b"IDAT") + 20
    for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :]):
        with pytest.raises(PictureError, match="damaged or cut short"):
            open_picture(data)
    with pytest.raises(PictureError, match="damaged or cut short"):
        open_picture(png(header=chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 6, 8, 2, 0, 0, 0), sound=False)))


def test_a_picture_before_its_animation_counts():
    control = struct.pack(">IIIIIHHBB", 0, 8, 6, 0, 0, 1, 10, 0, 0)
    frames = chunk(b"acTL", struct.pack(">II", 2, 0)), chunk(b"fcTL", control)
    assert open_picture(png(*frames)).notes == ("animated: the first of 2 is used",)
    apart = png(frames[0], after=frames[1])
    assert open_picture(apart).notes == ("animated: the first of 3 is used",)
    broken = png(*frames, chunk(b"fcTL", struct.pack(">I", 77) + control[4:]))
    assert np.array_equal(levels(broken), PIXELS)


def test_settings_are_found_wherever_they_are_and_their_damage_is_told():
    text = b'vggapps\0\0\0\0\0{"a": 1}'
    crowd = chunk(b"zTXt", b"notes\0\0" + LARGE)
    assert read_settings(png(crowd, chunk(b"iTXt", text))) == {"a": 1}
    assert read_settings(png(crowd, after=crowd + chunk(b"iTXt", text))) == {"a": 1}
    with pytest.raises(PictureError, match="settings in it are damaged"):
        read_settings(png(chunk(b"iTXt", text, sound=False)))


# JPEG


def photo(side: int, **options: object) -> bytes:
    with Image.open(PHOTO) as image:
        image.thumbnail((side, side))
        file = io.BytesIO()
        image.save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 95, "subsampling": 0}])
@pytest.mark.parametrize("side", [192, 768])
@pytest.mark.parametrize("missing", [1, 2, 20])
def test_a_jpeg_that_is_whole_to_the_eye_is_read_with_a_note(options, side, missing):
    data = photo(side, **options)
    picture = open_picture(data[:-missing])
    assert picture.notes == ("its last bytes are missing, with no visible effect",)
    assert (picture.rgb - open_picture(data).rgb).abs().mean() < 0.2 / 255
    assert open_picture(data[:-missing], longer_side=48).notes == picture.notes
    assert open_picture(data).notes == open_picture(data + b"trailing").notes == ()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 95, "subsampling": 0}])
@pytest.mark.parametrize("side", [192, 768])
@pytest.mark.parametrize("part", [0.9, 0.5, 0.01])
def test_a_jpeg_of_which_a_part_is_missing_is_not(options, side, part):
    data = photo(side, **options)
    with pytest.raises(PictureError, match=r"^half\.jpg: .*damaged or cut short"):
        open_picture(data[: int(part * len(data))], name="half.jpg")


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


@pytest.mark.parametrize(
    "broken",
    [
        segment(0xE0, b"JFIF\0"),
        segment(0xED, b"Photoshop 3.0\x008BIM\4\4"),
        segment(0xE2, b"ICC_PROFILE\0"),
        segment(0xE2, b"MPF\0MM\0*\xff"),
        segment(0xE1, b"Exif\0\0MM\0*"),
        segment(0xE2, b"ICC_PROFILE\0\1\2" + swapped_profile()),  # of two pieces the second is missing
    ],
    ids=["JFIF", "Photoshop", "ICC", "MPF", "EXIF", "half ICC"],
)
def test_what_is_damaged_around_the_pixels_of_a_jpeg_costs_none(broken):
    data = photo(192)
    picture = open_picture(data[:2] + broken + data[2:])
    assert torch.equal(picture.rgb, open_picture(data).rgb)
    if b"ICC" in broken:
        assert ["colour profile is damaged" in note for note in picture.notes] == [True]
    assert all("ignored" in note for note in picture.notes)


def test_colours_stay_right_where_the_rest_is_left_out():
    file = io.BytesIO()
    Image.new("CMYK", (16, 16), (0, 200, 200, 0)).save(file, "JPEG")
    data = file.getvalue()
    broken = open_picture(data[:2] + segment(0xE0, b"JFIF\0") + data[2:])
    assert torch.equal(broken.rgb, open_picture(data).rgb)


def test_of_a_phones_picture_with_a_second_view_the_first_is_read():
    file = io.BytesIO()
    first, second = (Image.new("RGB", (64, 48), colour) for colour in ("red", "blue"))
    first.save(file, "MPO", save_all=True, append_images=[second])
    for wanted in ({}, {"longer_side": 8}):
        picture = open_picture(file.getvalue(), **wanted)
        assert picture.notes == ()
        assert (picture.rgb[0].mean((1, 2)) - torch.tensor([1.0, 0, 0])).abs().max() < 0.02


def test_levels_that_are_lost_are_said():
    data = b"P6 2 2 65535 " + np.arange(12, dtype=">u2").tobytes()
    assert open_picture(data).notes == ("its 16 bits per channel are read as 8",)
    grey = open_picture(b"P5 2 2 65535 " + np.array([0, 1, 257, 65535], ">u2").tobytes())
    assert np.allclose(grey.rgb[0, 0].flatten() * 65535, [0, 1, 257, 65535])
    assert grey.notes == ()


# Sources


@pytest.fixture
def pipe(tmp_path: Path) -> Callable[[bytes], Path]:
    def made(data: bytes) -> Path:
        os.mkfifo(tmp_path / "pipe")
        threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,), daemon=True).start()
        return tmp_path / "pipe"

    return made


def test_a_named_pipe_is_read(pipe):
    assert np.array_equal(np.rint(open_picture(pipe(png())).rgb[0, 0].numpy() * 255), PIXELS[..., 0])


def test_process_substitution_is_read():
    reading, writing = os.pipe()
    os.write(writing, png())
    os.close(writing)
    try:
        assert open_picture(f"/dev/fd/{reading}").size == (6, 8)
    finally:
        os.close(reading)


def test_paths_that_lead_nowhere_are_told(tmp_path):
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for path, word in [
        (tmp_path / ("a" * 300 + ".png"), "name too long"),
        (tmp_path.joinpath(*["deep" * 50] * 40) / "a.png", "name too long"),
        (tmp_path / "loop.png", "symbolic links"),
        (tmp_path / "a\0.png", "null"),
        (Path("/dev/zero"), "is a device"),
        (PHOTO / "a.png", "Not a directory|no such file"),
        ("", "is a folder"),
    ]:
        with pytest.raises(PictureError, match=f"(?i){word}") as caught:
            open_picture(path)
        assert len(caught.value.message) < 400


def test_streams_that_can_not_be_read_are_told(tmp_path):
    closed = io.BytesIO()
    closed.close()
    with pytest.raises(PictureError, match="closed"):
        open_picture(closed)
    with pytest.raises(SettingsError, match="open as text"):
        open_picture(io.StringIO("picture"))
    for wrong in (None, 3, object()):
        with pytest.raises(SettingsError, match="can't be read as a picture"):
            open_picture(wrong)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")]
)
def test_lack_of_memory_is_not_called_damage(monkeypatch, error):
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch, "from_numpy", fails)
    with pytest.raises(OutOfMemoryError, match="not enough memory"):
        open_picture(png())


def test_folders_show_pictures_of_all_kinds_that_can_be_read():
    assert all(is_picture_file(f"a.{kind}") for kind in ("ppm", "pgm", "PNM", "tga", "j2k"))
