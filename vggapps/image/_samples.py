"""The samples of a decoded picture, converted to sRGB a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from vggapps.image._color import changes_nothing, to_srgb
from vggapps.image._depth import Layout, deep_rows
from vggapps.image._light import coding_of
from vggapps.image._strips import Rows, divided

Samples = NDArray[np.float32]


def srgb_rows(
    image: Image.Image, layout: Layout, divisor: int, again: Callable[[], ImageFile.ImageFile] | None
) -> tuple[Rows, list[str]]:
    """The rows of a loaded picture in sRGB, with both sides divided by an integer, and notes (may be empty).

    `again` opens the same file once more; None without a file.
    """
    coding, profile_holds, note = coding_of(image.info)
    icc = image.info.get("icc_profile") if profile_holds else None
    lost = "icc_profile" in image.info and not image.info["icc_profile"]  # JPEG stores it in segments
    deep = deep_rows(image, layout, again)
    if deep is not None:
        rows, notes = _deep(deep, divisor, icc)
    else:
        rows, notes = _eight_bit(image, divisor, icc)
        notes += ["its 16 bits per channel are read as 8"] * (layout.bits > 8)
    return (rows if coding is None else _with_colours(coding, rows)), [
        "its colour profile is damaged and ignored" if lost else "",
        note,
        *notes,
    ]


def _eight_bit(image: Image.Image, divisor: int, icc: bytes | None) -> tuple[Rows, list[str]]:
    def parts(top: int, bottom: int) -> tuple[Image.Image, Image.Image | None]:
        plain = _plain(image.crop((0, top, image.width, bottom)))
        return _split(plain.reduce(divisor) if divisor > 1 else plain)

    convert, note = to_srgb(parts(0, 1)[0].mode, icc)

    def rows(top: int, bottom: int) -> Samples:
        colours, opacity = parts(top, bottom)
        return _unit(*([convert(colours)] if opacity is None else [convert(colours), opacity]))

    return rows, [note]


def _deep(deep: Rows, divisor: int, icc: bytes | None) -> tuple[Rows, list[str]]:
    def rows(top: int, bottom: int) -> Samples:
        return divided(deep(top, bottom), divisor)

    mode = "RGB" if rows(0, 1).shape[-1] > 2 else "L"
    if changes_nothing(icc, mode):
        return rows, []
    convert, note = to_srgb(mode, icc)

    def eight_bit(samples: Samples) -> Samples:
        levels = np.rint(samples * 255).astype(np.uint8)
        return _unit(convert(Image.fromarray(levels if mode == "RGB" else levels[..., 0])))

    return _with_colours(eight_bit, rows), ["its 16 bits per channel are read as 8, to apply its colour profile", note]


def _with_colours(change: Callable[[Samples], Samples], rows: Rows) -> Rows:
    """Apply a function to the colours of rows, not to their opacity."""

    def changed(top: int, bottom: int) -> Samples:
        samples = rows(top, bottom)
        if samples.shape[-1] in (1, 3):
            return change(samples)
        return np.concatenate([change(samples[..., :-1]), samples[..., -1:]], -1)

    return changed


def _plain(image: Image.Image) -> Image.Image:
    """Convert to a mode that can be averaged: L, RGB, CMYK or LAB; LA or RGBA with transparency."""
    if image.mode in ("La", "RGBa"):
        return image.convert("LA" if image.mode == "La" else "RGBA")
    if not image.has_transparency_data:
        keep = image.mode in ("L", "RGB", "CMYK", "LAB")
        return image if keep else image.convert("L" if image.mode == "1" else "RGB")
    if image.mode in ("LA", "RGBA"):
        return image
    rgba = image.convert("RGBA")
    # Grey stays grey: it may have a grey profile.
    return Image.merge("LA", (image.convert("L"), rgba.getchannel("A"))) if image.mode == "L" else rgba


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    if image.mode == "LA":
        return image.getchannel("L"), image.getchannel("A")
    return (image.convert("RGB"), image.getchannel("A")) if image.mode == "RGBA" else (image, None)


def _unit(*images: Image.Image) -> Samples:
    """Channels of 8-bit images, concatenated, in [0, 1]."""
    levels = [np.asarray(image).reshape(image.height, image.width, -1) for image in images]
    samples = np.concatenate(levels, -1).astype(np.float32)
    samples /= 255
    return samples
