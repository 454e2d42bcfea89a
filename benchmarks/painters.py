"""A painter against the optimization whose loss it has learnt, on photos that it has not seen.

    python benchmarks/painters.py painter.safetensors --images FOLDER --out results/

FOLDER holds ``content/``. Each photo is painted in each style of the painter, whose names are those of files in
``assets/style``. The results of optimization are kept in --out and reused. Distances by both judges are relative to
these. A lattice of the network would be a narrow peak in the spectrum at a period of 2, 4 or 8 pixels: the power there
relative to that of neighbouring frequencies, along rows and columns, is divided by that of the photo; 1 is no lattice.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import geometric_mean

import torch
from contest import Jury, Point, painted, ratios, timed
from rich.console import Console
from rich.progress import track
from rich.table import Table
from stylize import ASSETS, QUALITIES, columns, file_of
from stylize_own import out_file
from torch import Tensor

from vggapps import VGG
from vggapps.image import open_picture, save_picture
from vggapps.painters import load_painter
from vggapps.style import load_backbone, stylize

PHOTOS = (
    "apollo-11-earth", "blue-periwinkle", "budgie-branch", "canyon-wren", "chicago", "fragrant-chamomile",
    "high-trestle-trail", "hoover-tower-night", "orange-hallway", "perched-osprey", "piazza-gae-aulenti",
    "san-francisco-skyline", "serene", "singaporean-cityscape", "solaris-grapes", "spiral-firework", "sunset-beach",
    "the-spices-of-life", "tubingen", "tunnel-zion-park",
)  # fmt: skip

BLOCK = 64  # side in pixels of the parts whose spectra are averaged
# By period: the frequency in cycles per block, and those around it, alike on both sides on a logarithmic scale.
NORMAL = "normal"  # the quality that painters are compared with
PEAKS = {2: (32, (29, 30)), 4: (16, (12, 13, 20, 21)), 8: (8, (5, 6, 11, 12))}


def lattice(image: Tensor) -> list[float]:
    """For each period the power relative to neighbouring frequencies; of luminance, 1 x 3 x H x W in [0, 1]."""
    luminance = (image[0] * torch.tensor([0.2126, 0.7152, 0.0722]).view(3, 1, 1)).sum(0)
    parts = luminance.unfold(0, BLOCK, BLOCK // 2).unfold(1, BLOCK, BLOCK // 2)
    window = torch.hann_window(BLOCK)
    parts = (parts - parts.mean((2, 3), keepdim=True)) * window * window[:, None]
    # Logarithms make all parts count alike, as a lattice is seen best where the picture is smooth.
    power = (torch.fft.fft2(parts).abs().square() + 1e-6).log().mean((0, 1))
    along = [power[0], power[:, 0]]
    found = []
    for at, around in PEAKS.values():
        peaks = [float(line[at] - line[list(around)].mean()) for line in along]
        found.append(math.exp(statistics.mean(peaks)))
    return found


def optimized(photo: Path, style: Path, size: int, out: Path, vgg: VGG) -> Tensor:
    """The result of optimization, made once."""
    file = out_file(out, f"{photo.stem}:{style.stem}", f"{size}-px.{NORMAL}")
    if not file.exists():
        save_picture(stylize(photo, style, QUALITIES[NORMAL], vgg=vgg, size=size).rgb, file)
    return open_picture(file).rgb


def compare(file: Path, photos: Sequence[Path], size: int, out: Path) -> tuple[dict, dict]:
    """By style: the points of painter and optimization; by contestant: the lattices relative to the photos'."""
    vgg, painter = load_backbone(QUALITIES[NORMAL]), load_painter(file)
    points: dict[str, list[tuple[Point, Point]]] = defaultdict(list)
    lattices: dict[str, list[list[float]]] = defaultdict(list)
    for photo in track(photos, "photos"):
        for name in painter.styles:
            style = file_of(ASSETS / "style", name)
            jury, image = Jury(photo, style, size), optimized(photo, style, size, out, vgg)
            ((seconds, view),) = timed(painted(painter)(photo, style, size))
            points[name].append((jury(seconds, view()), jury(1, image)))
            save_picture(view(), out_file(out, f"{photo.stem}:{name}", f"{size}-px.painter"), overwrite=True)
            own = lattice(jury.photo)
            for who, picture in (("painter", view()), (NORMAL, image)):
                lattices[who].append([value / base for value, base in zip(lattice(picture), own, strict=True)])
    return points, lattices


def tell(
    points: Mapping[str, Sequence[tuple[Point, Point]]], lattices: Mapping[str, Sequence[Sequence[float]]]
) -> None:
    """Tables of both."""
    console = Console(highlight=False, width=120)
    together = {**points, "all styles": [pair for pairs in points.values() for pair in pairs]}
    table = Table("style", "seconds", *columns(), title=f"Painter relative to {NORMAL}: geometric mean (largest)")
    for name, pairs in together.items():
        seconds = statistics.median(own.seconds for own, _ in pairs)
        rows = ratios(pairs)[1:]
        table.add_row(name, f"{seconds:.3f}", *(f"{geometric_mean(row):.2f} ({max(row):.2f})" for row in rows))
    console.print(table)
    table = Table(
        "", *(f"{period} px" for period in PEAKS), title="Lattice relative to the photo: geometric mean (largest)"
    )
    for who, rows in lattices.items():
        table.add_row(who, *(f"{geometric_mean(row):.2f} ({max(row):.2f})" for row in zip(*rows, strict=True)))
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("painter", type=Path, help="its file")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--photos", nargs="+", default=PHOTOS)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--out", type=Path, required=True, help="a folder for the results, which are reused")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(f"{arguments.painter.stat().st_size / 1e6:.2f} MB, {torch.get_num_threads()} threads, {arguments.size} px")
    photos = [file_of(arguments.images / "content", name) for name in arguments.photos]
    tell(*compare(arguments.painter, photos, arguments.size, arguments.out))


if __name__ == "__main__":
    main()
