"""How far natural pictures take each channel of the installed VGG-19, and each class of the head that comes with it.

    python apps/natural_maxima.py FOLDER

writes vggapps/data/vgg19-natural.safetensors. The shipped one was made from 1,000 photographs, one of each of
ImageNet's classes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.progress import track

from vggapps.image import scan_folder
from vggapps.vgg import OUTPUT, accelerate
from vggapps.visualization import maxima, save_natural
from vggapps.weights import load_vgg

OUT = Path(__file__).parents[1] / "vggapps" / "data" / "vgg19-natural.safetensors"


def main() -> None:
    """Look at all pictures, write the file."""
    paths = scan_folder(sys.argv[1], deep=False).pictures
    # Borders are repeated as where pictures are made: zeros would be edges that some channels see most of all.
    network = accelerate(load_vgg("vgg19", head="gap", padding="replicate-first"))
    layers = [name for name in network.layer_names if name.startswith(("conv", "relu")) and name != "relu7"]
    found = maxima(network, track(paths, "looking"), [*layers, OUTPUT])
    save_natural(found, OUT, network, len(paths))
    print(f"{OUT.name}: {OUT.stat().st_size / 1e3:.0f} kB of {len(paths)} pictures")


if __name__ == "__main__":
    main()
