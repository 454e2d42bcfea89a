"""Colour: whatever a file's profile says, sRGB comes out."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}


def to_srgb(mode: str, icc: bytes | None) -> tuple[Callable[[Image.Image], Image.Image], str]:
    """How 8-bit pictures of a mode (L, RGB, CMYK or LAB) become sRGB, and a note (empty if there is nothing to say).

    Relative colorimetric with black point compensation, as photo editors do: white stays white and black
    stays black. A profile that is broken or meant for other colours is ignored, saying so.
    """
    note = ""
    if icc:
        try:
            return _by_profile(mode, icc), ""
        except (ImageCms.PyCMSError, OSError, ValueError):
            note = "its colour profile is broken or belongs to another kind of picture and is ignored"
    if mode == "LAB":
        return _transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), mode), note
    if mode == "CMYK":
        note = note or "CMYK without a colour profile: the colours are a guess"
    return lambda image: image.convert("RGB"), note


def _by_profile(mode: str, icc: bytes) -> Callable[[Image.Image], Image.Image]:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    meant = _MODE_OF_SPACE.get(profile.profile.xcolor_space.strip(), "")
    if mode == meant:
        return _transform(profile, mode)
    # A grey picture tagged sRGB is common and well meant; a CMYK profile on an RGB picture is a mistake.
    if meant != "RGB" or mode in ("CMYK", "LAB"):
        raise ValueError(f"a profile for {meant} in a picture of {mode}")
    transform = _transform(profile, meant)
    return lambda image: transform(image.convert(meant))


def _transform(profile: ImageCms.ImageCmsProfile, mode: str) -> Callable[[Image.Image], Image.Image]:
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )

    def convert(image: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(image, transform)
        assert converted is not None  # None is for in-place conversion only
        return converted

    return convert


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
    before, after = np.asarray(probe.convert("RGB"), int), np.asarray(to_srgb(mode, icc)[0](probe), int)
    return bool(abs(before - after).max() <= 1)


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """The ICC profile that written pictures carry."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # LittleCMS dates it by the clock; a fixed date makes the same picture the same file, byte for byte.
    profile[24:36] = b"".join(part.to_bytes(2, "big") for part in (2000, 1, 1, 0, 0, 0))
    return bytes(profile)
