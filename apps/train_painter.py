"""Trains the painter ``samples`` of the sample styles, into the folder of the package.

    python apps/train_painter.py photos/

Stopped, it goes on with --resume.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import vggapps
from vggapps.painters import PainterSettings

ROOT = Path(__file__).parents[1]
STYLES = [ROOT / "assets" / "style" / f"{name}.jpg" for name in (
    "mosaic-bird", "pointillist-park", "starry-hills", "woodcut-waves"
)]  # fmt: skip
SETTINGS = PainterSettings()


def main() -> None:
    """Train, or go on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", help="a folder")
    parser.add_argument("-o", "--output", default=ROOT / "vggapps" / "data" / "painter-samples.safetensors", type=Path)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    vggapps.train_style(
        STYLES, given.photos, given.output, SETTINGS, resume=given.resume, overwrite=True, progress=True
    )


if __name__ == "__main__":
    main()
