"""The samples of a picture that Pillow has decoded, as sRGB, a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from vggapps.image._color import changes_nothing, to_srgb
from vggapps.image._depth import Stored, deep_rows
from vggapps.image._light import coding_of
from vggapps.image._strips import Rows, divided

Samples = NDArray[np.float32]


def srgb_rows(
    image: Image.Image, how: Stored, divisor: int, again: Callable[[], ImageFile.ImageFile] | None
) -> tuple[Rows, list[str]]:
    """A picture's rows in sRGB, its sides divided by a whole number, and what a user should know.

    Args:
        image: the picture, loaded.
        how: what `vggapps.image._depth.stored` said of it.
        divisor: of both sides.
        again: opens the same file once more; None where there is none.
    """
    coding, profile_holds, note = coding_of(image.info)
    icc = image.info.get("icc_profile") if profile_holds else None
    lost = "icc_profile" in image.info and not image.info["icc_profile"]  # in JPEG it lies in pieces
    deep = deep_rows(image, how, again)
    if deep is not None:
        rows, notes = _deep(deep, divisor, icc)
    else:
        rows, notes = _eight_bit(image, divisor, icc)
        notes += ["its 16 bits a channel are read as 8"] * (how.bits > 8)
    return (rows if coding is None else _colours(coding, rows)), [
        "its colour profile is damaged and left out" if lost else "",
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

    return _colours(eight_bit, rows), ["its 16 bits a channel are read as 8, to apply its colour profile", note]


def _colours(change: Callable[[Samples], Samples], rows: Rows) -> Rows:
    """Rows whose colours are changed; opacity stays."""

    def changed(top: int, bottom: int) -> Samples:
        samples = rows(top, bottom)
        if samples.shape[-1] in (1, 3):
            return change(samples)
        return np.concatenate([change(samples[..., :-1]), samples[..., -1:]], -1)

    return changed


def _plain(image: Image.Image) -> Image.Image:
    """In a mode that can be averaged: L, RGB, CMYK or LAB, LA or RGBA where some of it may be transparent."""
    if image.mode in ("La", "RGBa"):
        return image.convert("LA" if image.mode == "La" else "RGBA")
    if not image.has_transparency_data:
        keep = image.mode in ("L", "RGB", "CMYK", "LAB")
        return image if keep else image.convert("L" if image.mode == "1" else "RGB")
    if image.mode in ("LA", "RGBA"):
        return image
    rgba = image.convert("RGBA")
    # Grey stays grey, for a profile of grey.
    return Image.merge("LA", (image.convert("L"), rgba.getchannel("A"))) if image.mode == "L" else rgba


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    if image.mode == "LA":
        return image.getchannel("L"), image.getchannel("A")
    return (image.convert("RGB"), image.getchannel("A")) if image.mode == "RGBA" else (image, None)


def _unit(*images: Image.Image) -> Samples:
    """Pictures of 8 bits side by side, as channels in [0, 1]."""
    levels = [np.asarray(image).reshape(image.height, image.width, -1) for image in images]
    samples = np.concatenate(levels, -1).astype(np.float32)
    samples /= 255
    return samples
