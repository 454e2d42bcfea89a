"""Conversion to sRGB by ICC profiles."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}


def to_srgb(mode: str, icc: bytes | None) -> tuple[Callable[[Image.Image], Image.Image], str]:
    """A conversion of 8-bit images of a mode (L, RGB, CMYK or LAB) to sRGB, and a note (may be empty).

    Relative colorimetric with black point compensation, as in photo editors: white stays white and black stays black.
    A profile that is damaged or made for another colour space is ignored, with a note.
    """
    note = ""
    if icc:
        try:
            return _by_profile(mode, icc), ""
        except (ImageCms.PyCMSError, OSError, ValueError):
            note = "its colour profile is damaged or for another colour space and is ignored"
    if mode == "LAB":
        return _transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), mode), note
    if mode == "CMYK":
        note = note or "CMYK without a colour profile: the colours are a guess"
    return lambda image: image.convert("RGB"), note


def _by_profile(mode: str, icc: bytes) -> Callable[[Image.Image], Image.Image]:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    profile_mode = _MODE_OF_SPACE.get(profile.profile.xcolor_space.strip(), "")
    if mode == profile_mode:
        return _transform(profile, mode)
    # A grey picture tagged as sRGB is common and valid; an RGB picture with a CMYK profile is a mistake.
    if profile_mode != "RGB" or mode in ("CMYK", "LAB"):
        raise ValueError(f"a profile for {profile_mode} in an image of mode {mode}")
    transform = _transform(profile, profile_mode)
    return lambda image: transform(image.convert(profile_mode))


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
    """Whether a profile changes images of a mode ("RGB" or "L") by at most one level of 255.

    With it, 16-bit pictures in sRGB keep their depth, since Pillow converts at 8 bits only. Converting a few colours is
    more reliable than comparing names: sRGB profiles have many.
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
    """The ICC profile embedded in written pictures."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # LittleCMS stores the current time; a fixed date makes files reproducible, byte for byte.
    profile[24:36] = b"".join(part.to_bytes(2, "big") for part in (2000, 1, 1, 0, 0, 0))
    return bytes(profile)
