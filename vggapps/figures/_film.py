"""Animations: WebP, GIF and PNG written by Pillow, MP4 by ffmpeg."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from vggapps._files import check_writable, created
from vggapps.errors import SettingsError
from vggapps.image._settings import KEY, exif_bytes, to_json

RATE = 12  # frames per second
SUFFIXES = (".webp", ".gif", ".png", ".mp4")


def check_film(target: str | Path, *, overwrite: bool = False) -> Path:
    """Check before the work that :func:`save_film` can write this file.

    Raises:
        SettingsError: an unknown suffix, or ffmpeg is missing.
        OutputExistsError: the file exists, and ``overwrite`` is false.
        PictureError: the folder is missing or not writable.
    """
    path = Path(target)
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsError(f"'{path.suffix}' is no film", f"the choices are: {', '.join(SUFFIXES)}")
    check_writable(path, overwrite=overwrite)
    if path.suffix.lower() == ".mp4":
        _ffmpeg()
    return path


def save_film(
    frames: Sequence[Image.Image], target: str | Path, *, settings: Mapping[str, object], overwrite: bool = False
) -> None:
    """Write an animation in the format of the suffix, atomically.

    Args:
        frames: RGB, all of the same size.
        target: the file to write.
        settings: how it was made; stored as comment (MP4, GIF), EXIF (WebP) or text chunk (PNG).
        overwrite: replace an existing file.

    Raises:
        As :func:`check_film`; also PictureError if writing fails.
    """
    path = check_film(target, overwrite=overwrite)
    with created(path, overwrite=overwrite) as part:
        if path.suffix.lower() == ".mp4":
            _save_mp4(frames, part, settings)
        else:
            _save_by_pillow(frames, part, settings)


def _save_by_pillow(frames: Sequence[Image.Image], path: Path, settings: Mapping[str, object]) -> None:
    options: dict[str, Any] = {"comment": to_json(settings, ascii_only=True).encode()}
    if path.suffix.lower() == ".webp":
        options = {"quality": 90, "exif": exif_bytes(settings)}
    elif path.suffix.lower() == ".png":
        info = PngImagePlugin.PngInfo()
        info.add_itxt(KEY, to_json(settings))
        options = {"pnginfo": info}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=round(1000 / RATE), loop=0, **options)


def _save_mp4(frames: Sequence[Image.Image], path: Path, settings: Mapping[str, object]) -> None:
    # Chroma is subsampled 2×2: an odd last row or column is dropped.
    width, height = (side // 2 * 2 for side in frames[0].size)
    comment = ["-metadata", f"comment={KEY} {json.dumps(settings, ensure_ascii=True)}"]
    writer = _ffmpeg().write_frames(
        str(path), (width, height), fps=RATE, quality=8, macro_block_size=2, output_params=comment
    )
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(np.asarray(frame)[:height, :width]))
    writer.close()


def _ffmpeg() -> Any:
    try:
        return importlib.import_module("imageio_ffmpeg")
    except ImportError:
        raise SettingsError(
            "MP4 needs imageio-ffmpeg, which is not installed", "write a .webp", "pip install 'vggapps[video]'"
        ) from None
