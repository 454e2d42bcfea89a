"""Remake every picture that README and docs show, from the sample pictures in ``assets``: ``make gallery``.

Each result carries its settings, so ``vggapps stylize --settings docs/images/NAME.jpg`` makes it again too.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from PIL import Image

from vggapps import stylize
from vggapps.style import StylizeSettings

ASSETS = Path(__file__).parents[1] / "assets"
GALLERY = Path(__file__).parents[1] / "docs" / "images"
DEFAULT = StylizeSettings()

# name: content, styles with weights, settings
PICTURES: dict[str, tuple[str, dict[str, float], StylizeSettings]] = {
    "village_by_starry-hills": ("village", {"starry-hills": 1}, DEFAULT),
    "village_by_starry-hills_draft": ("village", {"starry-hills": 1}, replace(DEFAULT, quality="draft")),
    "village_by_starry-hills_fine": ("village", {"starry-hills": 1}, replace(DEFAULT, quality="fine")),
    "village_by_woodcut-waves": ("village", {"woodcut-waves": 1}, DEFAULT),
    "lighthouse_by_pointillist-park": ("lighthouse", {"pointillist-park": 1}, DEFAULT),
    "cat_by_mosaic-bird": ("cat", {"mosaic-bird": 1}, DEFAULT),
    "cat_by_starry-hills_strength-0.3": ("cat", {"starry-hills": 1}, replace(DEFAULT, strength=0.3)),
    "cat_by_starry-hills": ("cat", {"starry-hills": 1}, DEFAULT),
    "cat_by_starry-hills_strength-0.7": ("cat", {"starry-hills": 1}, replace(DEFAULT, strength=0.7)),
    "coffee_by_woodcut-waves_colors-content": ("coffee", {"woodcut-waves": 1}, replace(DEFAULT, colors="content")),
    "coffee_by_both": ("coffee", {"woodcut-waves": 0.5, "starry-hills": 0.5}, DEFAULT),
}
# Sheets of the pictures above, side by side at one height.
SHEETS = {
    "readme": [
        "village_by_starry-hills",
        "lighthouse_by_pointillist-park",
        "cat_by_mosaic-bird",
        "village_by_woodcut-waves",
    ],
    "quality": ["village_by_starry-hills_draft", "village_by_starry-hills", "village_by_starry-hills_fine"],
    "strength": ["cat_by_starry-hills_strength-0.3", "cat_by_starry-hills", "cat_by_starry-hills_strength-0.7"],
    "features": ["conv4_2", "conv5_2", "classes", "cat_why"],
    "colors-and-mixtures": ["coffee_by_woodcut-waves_colors-content", "coffee_by_both"],
}

# What docs/visualize.md and docs/explain.md show: the commands that make it.
COMMANDS = {
    "conv1_2": "visualize conv1_2:0-11",
    "conv2_2": "visualize conv2_2:0-11",
    "conv3_3": "visualize conv3_3:0-11",
    "conv4_2": "visualize conv4_2:3 conv4_2:6 conv4_2:13 conv4_2:29 conv4_2:44 conv4_2:61",
    "conv5_2": "visualize conv5_2:13 conv5_2:20 conv5_2:28 conv5_2:43 conv5_2:45 conv5_2:19 --size 128",
    "classes": "visualize class:peacock class:tabby class:volcano class:daisy --steps 200",
    "between": 'visualize "interpolate(conv4_3:3, conv4_3:11) + 1000*alignment(conv3_1)" --pictures 6',
    "cat_caricature": (
        'visualize "caricature(conv4_3, assets/content/cat.jpg)" --start assets/content/cat.jpg --size 256'
    ),
    "cat_dream": "dream assets/content/cat.jpg --size 512",
    "village_dream": "dream assets/content/village.jpg --objective relu5_1 --size 512",
    "cat_inverted": "invert assets/content/cat.jpg --layer conv1_2,conv2_2,conv3_4,conv4_4,conv5_4",
    "cat_activations": "activations assets/content/cat.jpg --layer relu4_3",
    "cat_meaning": "activations assets/content/cat.jpg --layer conv5_1 --grid 7",
    "cat_why": "explain assets/content/cat.jpg",
    "cat_lrp": "explain assets/content/cat.jpg --method lrp",
}


def make(name: str) -> None:
    """One picture."""
    content, styles, settings = PICTURES[name]
    photo = ASSETS / "content" / f"{content}.jpg"
    paintings = [(ASSETS / "style" / f"{style}.jpg", weight) for style, weight in styles.items()]
    start = time.perf_counter()
    stylize(photo, paintings, settings).save(GALLERY / f"{name}.jpg", overwrite=True)
    print(f"{name}.jpg: {time.perf_counter() - start:.0f} s")


def sheet(name: str, height: int = 300, gap: int = 6) -> None:
    """Some pictures side by side, cut to the middle where they would make the sheet too wide."""
    pictures = []
    for one in SHEETS[name]:
        with Image.open(GALLERY / f"{one}.jpg") as picture:
            width = round(picture.width * height / picture.height)
            pictures.append(picture.resize((width, height), Image.Resampling.LANCZOS))
    whole = Image.new("RGB", (sum(p.width + gap for p in pictures) - gap, height), "white")
    left = 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width + gap
    whole.save(GALLERY / f"{name}.jpg", quality=90)


def run(name: str) -> None:
    """A picture that a command makes; without the list that comes beside sheets."""
    target = GALLERY / f"{name}.jpg"
    words = [sys.executable, "-m", "vggapps", *shlex.split(COMMANDS[name]), "-o", str(target), "--force", "--quiet"]
    subprocess.run(words, check=True, cwd=ASSETS.parent)
    target.with_suffix(".json").unlink(missing_ok=True)


def main(names: list[str]) -> None:
    """Make the named pictures, or all, and all sheets."""
    for name in names or [*PICTURES, *COMMANDS]:
        run(name) if name in COMMANDS else make(name)
    for name in SHEETS:
        sheet(name)


if __name__ == "__main__":
    main(sys.argv[1:])
