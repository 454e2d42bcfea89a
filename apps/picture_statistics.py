"""What natural pictures have in common: the colours and the spectrum that vggapps starts from.

    python apps/picture_statistics.py FOLDER

prints ``COLORS`` of vggapps/optimize/_parameterize.py and writes vggapps/data/spectrum.safetensors. The shipped ones
were made from 1,000 photographs, one of each of ImageNet's classes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from vggapps.image import open_picture, scan_folder
from vggapps.optimize import spectrum_of
from vggapps.visualization import SPECTRUM_SIDE, spectrum_square

OUT = Path(__file__).parents[1] / "vggapps" / "data" / "spectrum.safetensors"


def main() -> None:
    """Print the colours, write the spectrum."""
    paths = scan_folder(sys.argv[1], deep=False).pictures
    images = torch.cat([spectrum_square(open_picture(path, at_least=2 * SPECTRUM_SIDE).rgb) for path in paths])
    pixels = images.movedim(1, 0).flatten(1).double()
    values, vectors = torch.linalg.eigh(pixels.cov())
    root = (vectors * values.clamp_min(0).sqrt()).flip(1)
    root = root * root.sum(0).sign().where(torch.arange(3) == 0, root[0].sign())
    print("COLORS =", tuple(tuple(round(x, 4) for x in row) for row in root.tolist()))
    save_file({"spectrum": spectrum_of(images).half().contiguous()}, OUT, {"pictures": str(len(images))})
    print(f"{OUT.name}: {OUT.stat().st_size / 1e3:.0f} kB of {len(images)} pictures")


if __name__ == "__main__":
    main()
