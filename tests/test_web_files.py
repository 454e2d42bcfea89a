"""What the page takes in, which it trusts in nothing, and what it hands out, which is gone when the visitor is."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from tests.web_site import Stranger, a_stranger, loops_closed  # noqa: F401
from vggapps.web.files import upload
from vggapps.web.limits import Limits

LIMITS = Limits(max_upload=0.5, max_pixels=24)
Take = Callable[[Any], Any]


def pixels(width: int = 40, height: int = 30, channels: int = 3) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


PNG, JPEG = encoded(pixels(), "PNG"), encoded(pixels(), "JPEG")


@pytest.fixture(scope="module")
def component() -> gr.Image:
    with gr.Blocks(analytics_enabled=False):
        return upload("Photo", LIMITS)


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Gradio puts uploads: each in a folder of its own."""
    folder = tmp_path / "srv" / "room"
    (folder / "0a1b").mkdir(parents=True)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder


@pytest.fixture
def take(component: gr.Image, room: Path) -> Take:
    """What a handler gets of a path that a request names."""
    return lambda path: component.preprocess(component.data_model(path=None if path is None else str(path)))  # type: ignore


def refusal(take: Take, path: object) -> str:
    with pytest.raises(gr.Error) as refused:
        take(path)
    said = refused.value.message
    assert said.endswith(".")
    assert not said.endswith("..")
    assert "/" not in said
    assert "srv" not in said
    return said


TAKEN = {
    "plain.png": PNG,
    "plain.jpg": JPEG,
    "turned.jpg": encoded(pixels(), "JPEG", exif=(turned := Image.Exif())),
    "print.jpg": encoded(pixels().convert("CMYK"), "JPEG"),
    "clear.png": encoded(pixels(channels=4), "PNG"),
    "deep.png": encoded(Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50), "PNG"),
    "moving.gif": encoded(pixels(), "GIF", save_all=True, append_images=[pixels(41, 30)]),
    "modern.webp": encoded(pixels(), "WEBP"),
    "pages.tiff": encoded(pixels(), "TIFF"),
    "a name with blanks & ümlauts.png": PNG,
}
turned[0x0112] = 6
TAKEN["turned.jpg"] = encoded(pixels(), "JPEG", exif=turned)


@pytest.mark.parametrize("name", TAKEN)
def test_a_picture_that_was_uploaded_is_handed_on_byte_for_byte(take: Take, room: Path, name: str) -> None:
    file = room / "0a1b" / name
    file.write_bytes(TAKEN[name])
    taken = Path(take(file))
    assert taken.samefile(file)
    assert taken.read_bytes() == TAKEN[name]


def test_no_picture_is_no_error(component: gr.Image) -> None:
    assert component.preprocess(None) is None


def elsewhere(room: Path) -> dict[str, object]:
    """Paths that a forged request could name; each holds a picture, or more."""
    secret = room.parent / "secret.png"
    secret.write_bytes(PNG)
    sibling = room.with_name("room2")
    sibling.mkdir()
    (sibling / "secret.png").write_bytes(PNG)
    (room / "link.png").symlink_to(secret)
    (room / "linked").symlink_to(sibling)
    return {
        "a file of the system": "/etc/hostname",
        "a picture beside the room": secret,
        "a folder with a longer name": sibling / "secret.png",
        "out of the room by dots": room / ".." / "secret.png",
        "by dots in the middle": room / "0a1b" / ".." / ".." / "secret.png",
        "through a link": room / "link.png",
        "through a linked folder": room / "linked" / "secret.png",
        "the room itself": room,
        "a folder in it": room / "0a1b",
        "what is not there": room / "0a1b" / "gone.png",
        "a name alone": "secret.png",
        "nothing": "",
        "no path": None,
        "an address": "http://127.0.0.1:9/secret.png",
        "an address of a file": f"file://{secret}",
    }


FORGED = [
    "a file of the system", "a picture beside the room", "a folder with a longer name", "out of the room by dots",
    "by dots in the middle", "through a link", "through a linked folder", "the room itself", "a folder in it",
    "what is not there", "a name alone", "nothing", "no path", "an address", "an address of a file",
]  # fmt: skip


@pytest.mark.parametrize("which", FORGED)
def test_a_path_that_was_not_uploaded_here_is_refused(
    take: Take, room: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    paths = elsewhere(room)
    assert set(paths) == set(FORGED)
    monkeypatch.chdir(room.parent)  # where secret.png is
    said = refusal(take, paths[which])
    assert "upload" in said.lower()


NO_PICTURES = {
    "text.jpg": (b"Dear all,\nthis is a letter.\n", "text"),
    "empty.png": (b"", "empty"),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "SVG"),
    "drawing.png": (b"<?xml version='1.0'?><svg/>", "SVG"),
    "page.jpg": (b"<!doctype html><script>alert(1)</script>", "web page"),
    "short.png": (PNG[:20], ""),
    "short.jpg": (JPEG[:15], ""),
    "noise.gif": (bytes(range(200, 256)) * 20, ""),
    "dot.png": (encoded(pixels(1, 1), "PNG"), "few"),
    "heavy.png": (encoded(pixels(500, 400), "PNG"), "0.5 MB"),
}


@pytest.mark.parametrize("name", NO_PICTURES)
def test_what_is_no_picture_is_refused_by_name_and_with_the_reason(take: Take, room: Path, name: str) -> None:
    file, (data, reason) = room / "0a1b" / name, NO_PICTURES[name]
    file.write_bytes(data)
    said = refusal(take, file)
    assert name in said
    assert reason in said


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(
    take: Take, room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = room / "0a1b" / "huge.png"
    Image.new("1", (10000, 8000)).save(file)
    assert file.stat().st_size < 100_000
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _: pytest.fail("it was decoded"))
    began = time.monotonic()
    said = refusal(take, file)
    assert time.monotonic() - began < 1
    assert "24 million" in said


def test_just_as_many_pixels_as_allowed_are_taken(take: Take, room: Path) -> None:
    file = room / "0a1b" / "large.png"
    Image.new("1", (6000, 4000)).save(file)
    assert take(file)


def test_an_address_is_never_fetched(component: gr.Image, take: Take, stranger: Stranger) -> None:
    address, requests = stranger
    assert asyncio.run(component.async_move_resource_to_block_cache(address)) == address
    refusal(take, address)
    with pytest.raises(gr.Error):
        component.preprocess(component.data_model(url=address))  # type: ignore
    assert requests == []
