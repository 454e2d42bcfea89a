"""Colour: whatever a file's profile says, sRGB comes out."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}


def to_srgb(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, str]:
    """An 8-bit picture without alpha, converted to sRGB, and a note (empty if there is nothing to say).

    Relative colorimetric with black point compensation, as photo editors do: white stays white and black
    stays black. A profile that is broken or meant for other colours is ignored, saying so.
    """
    note = ""
    if icc:
        try:
            return _converted(image, icc), ""
        except (ImageCms.PyCMSError, OSError, ValueError):
            note = "its colour profile is broken or belongs to another kind of picture and is ignored"
    if image.mode == "LAB":
        return _apply(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))), note
    if image.mode == "CMYK":
        note = note or "CMYK without a colour profile: the colours are a guess"
    return image.convert("RGB"), note


def _converted(image: Image.Image, icc: bytes) -> Image.Image:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    mode = _MODE_OF_SPACE.get(profile.profile.xcolor_space.strip(), "")
    if image.mode != mode:
        # A grey picture tagged sRGB is common and well meant; a CMYK profile on an RGB picture is a mistake.
        if mode != "RGB" or image.mode in ("CMYK", "LAB"):
            raise ValueError(f"a profile for {mode} in a picture of {image.mode}")
        image = image.convert("RGB")
    return _apply(image, profile)


def _apply(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image,
        profile,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None  # None is for in-place conversion only
    return converted


@lru_cache(maxsize=16)
def changes_nothing(icc: bytes | None, mode: str) -> bool:
    """Whether a profile leaves pictures of a mode ("RGB" or "L") as they are, to one level of 255.

    Asked of 16-bit pictures, which LittleCMS converts at 8 bits only in Pillow: those already in sRGB keep
    their depth. Trying a few colours is surer than comparing names, of which sRGB has many.
    """
    if not icc:
        return True
    levels = np.linspace(0, 255, 16).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(64, 64, 3)
    probe = Image.fromarray(grid if mode == "RGB" else grid[..., 0])
    before, after = np.asarray(probe.convert("RGB"), int), np.asarray(to_srgb(probe, icc)[0], int)
    return bool(abs(before - after).max() <= 1)


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """The ICC profile that written pictures carry."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # LittleCMS dates it by the clock; a fixed date makes the same picture the same file, byte for byte.
    profile[24:36] = b"".join(part.to_bytes(2, "big") for part in (2000, 1, 1, 0, 0, 0))
    return bytes(profile)
