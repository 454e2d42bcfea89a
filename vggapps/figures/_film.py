"""Frames to a file that moves: WebP, GIF or PNG by Pillow, MP4 by ffmpeg."""

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

RATE = 12  # frames a second
SUFFIXES = (".webp", ".gif", ".png", ".mp4")


def check_film(target: str | Path, *, overwrite: bool = False) -> Path:
    """Whether :func:`save_film` could write there, asked before the work.

    Raises:
        SettingsError: another suffix, or ffmpeg is missing.
        OutputExistsError: there is such a file, and ``overwrite`` is false.
        PictureError: the folder is missing or closed.
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
    """Write a film in the format that the suffix names; the file appears whole or not at all.

    Args:
        frames: RGB, all of one size.
        target: the file to write.
        settings: what made the film; MP4 and GIF keep them as their comment.
        overwrite: replace an existing file.

    Raises:
        As :func:`check_film`; PictureError also where writing fails.
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
    # Colours are stored for squares of 2×2 pixels: an odd last row or column has to go.
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
