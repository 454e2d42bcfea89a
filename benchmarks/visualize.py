"""How far pictures made for channels go, how robust they are, and how long they take: markdown tables.

    python benchmarks/visualize.py [--only reached|speed] [--seconds 20] [--channels 20] [--device cpu]

``reached``: a channel's activation over the finished picture, relative to the largest of 1,000 photographs: medians
over evenly spaced channels of the installed VGG-19; and what part of it is left when the picture is shifted by 3
pixels, blurred (sigma 1), or stored as JPEG (quality 75). The settings of lucent 0.1.8, tf-keras-vis 0.8.8 and MACO
(horama 0.3) were written anew on our engine, so that what is compared is the settings: each gets the same pictures a
batch, the same size, the same network, and the same seconds. ``speed``: seconds a picture at each depth, and two
promises: a class at 224 pixels, and 64 channels of conv3_1 on a sheet.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from classify import table
from features import processor
from kornia.filters import gaussian_blur2d
from kornia.geometry.transform import rotate, translate
from PIL import Image
from torch import Tensor

from vggapps.image import Picture, open_picture, to_pil
from vggapps.losses import total_variation
from vggapps.objectives import Networks, Objective, channel, compute_activations, each, load_networks
from vggapps.optimize import Step, fourier, maco, optimize
from vggapps.vgg import pick_device
from vggapps.visualization import VisualizeSettings, load_spectrum, score_pictures, visualize_steps

LAYERS = ("conv2_1", "conv3_1", "conv4_1", "conv5_1")
WIDTHS = {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}
Make = Callable[[Networks, list[Objective], int], Iterator[Step]]


@dataclass
class Torch:
    """One of torch's optimisers, as the engine wants it."""

    kind: Callable[..., torch.optim.Optimizer]
    options: Mapping[str, object]
    made: torch.optim.Optimizer | None = None

    def update(self, leaves: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        self.made = self.made or self.kind(leaves, **self.options)
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = gradient
        self.made.step()

    def resample(self, resample: object, area: float) -> None:
        raise NotImplementedError


def draw(generator: torch.Generator, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(1, generator=generator)


def lucent(networks: Networks, objectives: list[Objective], side: int) -> Iterator[Step]:
    """Fourier, Adam 0.05; pad 12 with grey, jitter 8, scale 0.9-1.1, rotate ±10, jitter 4: filled with black."""
    generator = torch.Generator().manual_seed(0)
    start = 0.5 + 0.01 * torch.randn(len(objectives), 3, side, side, generator=generator)
    made, whole = fourier((side, side), start), each(objectives)

    def score(image: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        x = F.pad(image, (12,) * 4, value=0.5)
        for pixels in (8, 4):
            move = torch.cat([draw(generator, 0, pixels), draw(generator, 0, pixels)]).round()[None]
            if pixels == 4:
                factor = float(draw(generator, 0.9, 1.1))
                x = F.interpolate(x, scale_factor=factor, mode="bilinear")
                x = rotate(x, draw(generator, -10, 10))
            x = translate(x, move)
        loss = -whole.score(compute_activations(networks, x, whole.layers)).sum()
        return loss, {"objective": loss}

    return optimize(made.leaves, made.render, score, Torch(torch.optim.Adam, {"lr": 0.05}), 100_000)


def keras_vis(networks: Networks, objectives: list[Objective], side: int) -> Iterator[Step]:
    """Pixels, RMSprop 1.0 of 255 with rho 0.999; jitter 4, rotate ±1, total variation 1, norm 0.3."""
    generator = torch.Generator().manual_seed(0)
    start = 0.5 + 0.04 * (torch.rand(len(objectives), 3, side, side, generator=generator) - 0.5)
    whole = each(objectives)

    def render(leaves: Sequence[Tensor]) -> Tensor:
        return leaves[0].clamp(0, 1)

    def score(image: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        move = torch.cat([draw(generator, -4, 4), draw(generator, -4, 4)]).round().int().tolist()
        x = rotate(image.roll(move, (2, 3)), draw(generator, -1, 1))
        scores = whole.score(compute_activations(networks, x, whole.layers))
        rough = total_variation(255 * image, "l1") + 0.3 * (255 * image - 127.5).abs().mean((1, 2, 3)) / 127.5
        loss = (rough - scores).sum()
        return loss, {"objective": loss}

    options = {"lr": 1 / 255, "alpha": 0.999}
    return optimize([start], render, score, Torch(torch.optim.RMSprop, options), 100_000)


def horama(networks: Networks, objectives: list[Objective], side: int) -> Iterator[Step]:
    """MACO: phases, NAdam 1.0, six crops of shrinking sides with noise, a step."""
    generator = torch.Generator().manual_seed(0)
    made, whole = maco((side, side), len(objectives), load_spectrum(), generator), each(objectives)
    taken, steps = 0, 256

    def score(image: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        nonlocal taken
        taken += 1
        total = image.new_zeros(())
        for _ in range(6):
            share = 0.5 - 0.45 * min(1, taken / steps)
            crop = (share + 0.05 * torch.randn(1, generator=generator)).clamp(0.05, 1)
            center = 0.5 + 0.15 * torch.randn(2, generator=generator)
            low = ((center - crop / 2).clamp(0, 1 - float(crop)) * side).int().tolist()
            width = max(4, int(crop * side))
            x = image[:, :, low[0] : low[0] + width, low[1] : low[1] + width]
            x = F.interpolate(x, (side, side), mode="bilinear")
            x = x + 0.08 * torch.randn(x.shape, generator=generator) + draw(generator, -0.04, 0.04)
            total = total - whole.score(compute_activations(networks, x, whole.layers)).sum() / 6
        return total, {"objective": total}

    return optimize(made.leaves, made.render, score, Torch(torch.optim.NAdam, {"lr": 1.0}), 100_000)


def ours(networks: Networks, objectives: list[Objective], side: int, parameterization: str) -> Iterator[Step]:
    return visualize_steps(objectives, network=networks, size=side, steps=100_000, parameterization=parameterization)


RIVALS: dict[str, Make] = {
    "vggapps": partial(ours, parameterization="fourier"),
    "vggapps, maco": partial(ours, parameterization="maco"),
    "lucent's settings": lucent,
    "tf-keras-vis's": keras_vis,
    "MACO's (horama)": horama,
}


def jpeg(image: Tensor) -> Tensor:
    stored = []
    for one in image.split(1):
        file = io.BytesIO()
        to_pil(Picture(one)).save(file, "JPEG", quality=75)
        stored.append(open_picture(Image.open(file)).rgb)
    return torch.cat(stored)


DISTURBED: dict[str, Callable[[Tensor], Tensor]] = {
    "shifted": lambda x: F.pad(x, (3, 0, 3, 0), mode="reflect")[:, :, :-3, :-3],
    "blurred": lambda x: gaussian_blur2d(x, (7, 7), (1.0, 1.0), "reflect"),
    "as JPEG": jpeg,
}


def median(numbers: Sequence[float | None]) -> float:
    return float(torch.tensor([x for x in numbers if x is not None]).median())


def reached(seconds: float, count: int, device: str) -> None:
    networks = load_networks(["conv1_1"], VisualizeSettings(device=device))
    rows = [("layer", "settings", "steps", "over photographs", *DISTURBED)]
    for layer in LAYERS:
        step = WIDTHS[layer[4]] // count
        objectives = [channel(layer, index * step) for index in range(count)]
        side = {"2": 64, "3": 64, "4": 80, "5": 128}[layer[4]]
        for name, make in RIVALS.items():
            for shown in make(networks, objectives, side):
                if shown.seconds > seconds:
                    break
            image = shown.image()
            made = score_pictures(image, objectives, networks)
            kept = []
            for disturb in DISTURBED.values():
                after = score_pictures(disturb(image), objectives, networks).natural
                kept.append(median([x and x / y for x, y in zip(after, made.natural, strict=True)]))
            far = median(made.natural)
            rows.append((layer, name, str(shown.index), f"{far:.2f}", *(f"{100 * k:.0f} %" for k in kept)))
            print(*rows[-1], sep=" | ", flush=True)
    table(*rows)


def speed(device: str) -> None:
    rows = [("what", "size", "steps", "seconds")]
    work: dict[str, list[str]] = {f"{layer}:0": [f"{layer}:0"] for layer in ("conv1_2", *LAYERS, "conv5_4")}
    work |= {"class:tabby": ["class:tabby"], "64 channels of conv3_1": [f"conv3_1:{i}" for i in range(64)]}
    for name, texts in work.items():
        start = time.perf_counter()
        for step in visualize_steps(texts, device=device):  # noqa: B007
            pass
        step.image()
        rows.append((name, str(step.size[0]), str(step.total), f"{time.perf_counter() - start:.1f}"))
        print(*rows[-1], sep=" | ", flush=True)
    table(*rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("reached", "speed"))
    parser.add_argument("--seconds", type=float, default=20, help="of each row of `reached`")
    parser.add_argument("--channels", type=int, default=20)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    print(processor(pick_device(options.device)))
    if options.only != "speed":
        reached(options.seconds, options.channels, options.device)
    if options.only != "reached":
        speed(options.device)


if __name__ == "__main__":
    main()
