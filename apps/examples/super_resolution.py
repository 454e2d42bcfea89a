"""Two small networks enlarge a picture threefold; one learns from L1 alone, one from L1 and a perceptual loss.

    python apps/examples/super_resolution.py result.jpg

About two minutes on two cores, offline. The loop to copy is ``train``. As in ESRGAN (Wang 2018, section 3.2), a network
first learns from L1, which is cheap; then two copies of it go on, one with each loss, over the same crops.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from vggapps import load_vgg, open_picture, save_picture
from vggapps.losses import PerceptualLoss
from vggapps.training import FitSettings, fit

ASSETS = Path(__file__).parents[2] / "assets"
UNSEEN = "lighthouse"  # the picture that nothing is trained on
FACTOR, CROP = 3, 48


def smaller(image: Tensor) -> Tensor:
    """What the networks are given."""
    return F.interpolate(image, scale_factor=1 / FACTOR, mode="bicubic", antialias=True)


def bicubic(image: Tensor) -> Tensor:
    """What they start from."""
    return F.interpolate(image, scale_factor=FACTOR, mode="bicubic")


class Enlarger(nn.Module):
    """Six convolutions at the small size, added to the bicubic picture, with which it starts."""

    def __init__(self, channels: int = 48) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(6, channels, 3, padding=1), nn.LeakyReLU(0.1)]
        for _ in range(4):
            layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(0.1)]
        last = nn.Conv2d(channels, 3 * FACTOR**2, 3, padding=1)
        nn.init.zeros_(last.weight)
        self.layers = nn.Sequential(*layers, last, nn.PixelShuffle(FACTOR))

    def forward(self, image: Tensor) -> Tensor:
        """Noise beside the picture gives the network something to make texture of."""
        return bicubic(image) + self.layers(torch.cat([image, torch.randn_like(image)], 1))


class Crops:
    """Random squares of random pictures, eight in a batch, as (small, full size)."""

    def __init__(self, pictures: list[Tensor], batches: int) -> None:
        self.pictures, self.batches = pictures, batches

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(self.batches):
            found = []
            for _ in range(8):
                picture = self.pictures[int(torch.randint(len(self.pictures), ()))]
                top, left = (int(torch.randint(side - CROP, ())) for side in picture.shape[2:])
                found.append(picture[:, :, top : top + CROP, left : left + CROP])
            truth = torch.cat(found)
            yield smaller(truth), truth


def train(network: nn.Module, pictures: list[Tensor], steps: int, perceptual: PerceptualLoss | None = None) -> None:
    """Crops are new at each step. Where targets come back, measure them once: ``target = perceptual.prepare(y)``."""

    def loss(output: Tensor, truth: Tensor) -> Tensor:
        pixels = F.l1_loss(output, truth)
        return pixels + perceptual(output, truth) if perceptual else pixels

    settings = FitSettings(epochs=1, learning_rate=1e-3, warmup=0.3, dtype="float32")
    for step in fit(network, Crops(pictures, steps), loss, settings):
        if step.index % 100 == 0:
            print(f"step {step.index:4} of {step.total}: {step.loss:.4f}", flush=True)


def side_by_side(pictures: dict[str, Tensor], target: Path) -> None:
    """Enlarged twice without smoothing, a label over each."""
    row = torch.cat([F.interpolate(F.pad(p, (0, 3), value=1), scale_factor=2) for p in pictures.values()], 3)
    save_picture(F.pad(row, (0, 0, 28, 0), value=1), target, overwrite=True)
    with Image.open(target) as sheet:
        draw = ImageDraw.Draw(sheet)
        for index, label in enumerate(pictures):
            draw.text((index * row.shape[3] // len(pictures) + 4, 3), label, "black", ImageFont.load_default(18))
        sheet.save(target, quality=90)


def main(target: Path) -> None:
    """Train both, measure both, draw both."""
    files = sorted([*(ASSETS / "content").glob("*.jpg"), *(ASSETS / "style").glob("*.jpg")])
    pictures = {file.stem: open_picture(file).rgb for file in files}
    truth = pictures.pop(UNSEEN)
    start, vgg = time.perf_counter(), load_vgg("vgg19", head="none")  # the one installed with vggapps
    # Its features of a photograph are 100 times a picture's numbers and more; the weights make up for that.
    perceptual = PerceptualLoss(
        {"conv2_2": 1e-4, "conv3_2": 1e-4},  # what is where
        style_layers={"relu1_2": 0.03, "relu2_1": 0.03, "relu3_1": 0.03},  # how rough it is
        style_criterion="mean-covariance",
        backbone=vgg,
    )
    pixels = Enlarger()
    train(pixels, list(pictures.values()), steps=1200)
    textured = deepcopy(pixels)
    train(pixels, list(pictures.values()), steps=300)
    train(textured, list(pictures.values()), steps=300, perceptual=perceptual)
    print(f"{time.perf_counter() - start:.0f} s")

    judge = PerceptualLoss("relu3_3", criterion="cosine", backbone=vgg)  # a layer and a criterion that neither learnt
    with torch.no_grad():
        small = smaller(truth)
        results = {"bicubic": bicubic(small), "L1": pixels(small), "L1 + perceptual": textured(small)}
        for name, result in results.items():
            psnr = -10 * F.mse_loss(result.clamp(0, 1), truth).log10()
            print(f"{name:<16} PSNR {psnr:.2f} dB, perceptual distance {judge(result.clamp(0, 1), truth):.4f}")
    rows = {f"{1 / FACTOR:.0%}": F.interpolate(small, scale_factor=FACTOR), **results, "truth": truth}
    side_by_side({name: p[:, :, 380:560, 100:260] for name, p in rows.items()}, target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
