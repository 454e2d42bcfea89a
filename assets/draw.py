"""Draws the sample pictures: ``python assets/draw.py [NAME ...]`` (all of them without a name).

Every picture comes from fixed seeds. Needs the development dependencies (scikit-image, and SciPy with it).
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import skimage
from drawing import coast, hills, park, peacock, village, waves
from PIL import Image

FOLDER = Path(__file__).parent


def photo(name: str) -> Image.Image:
    """One of the CC0 photographs that ship inside scikit-image (SOURCES.md says who took them)."""
    return Image.open(Path(skimage.__file__).parent / "data" / name).convert("RGB")


# How each picture is made, and the JPEG quality that keeps its file small.
PICTURES: dict[str, tuple[Callable[[], Image.Image], int]] = {
    "content/village.jpg": (village.draw, 92),
    "content/lighthouse.jpg": (coast.draw, 92),
    "content/cat.jpg": (partial(photo, "chelsea.png"), 95),
    "content/coffee.jpg": (partial(photo, "coffee.png"), 95),
    "style/starry-hills.jpg": (hills.draw, 92),
    "style/pointillist-park.jpg": (park.draw, 92),
    "style/woodcut-waves.jpg": (waves.draw, 92),
    "style/mosaic-bird.jpg": (peacock.draw, 81),
}


def main(names: list[str]) -> None:
    """Draw the pictures whose file name contains one of ``names``."""
    for path, (draw, quality) in PICTURES.items():
        if names and not any(name in path for name in names):
            continue
        start = time.perf_counter()
        target = FOLDER / path
        target.parent.mkdir(exist_ok=True)
        draw().save(target, quality=quality, optimize=True)
        print(f"{path}: {time.perf_counter() - start:.1f} s, {target.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
