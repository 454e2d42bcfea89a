"""The paper's comparison of depths in small: configurations A, A-LRN, B, C, D and E, trained alike from scratch.

``python benchmarks/depth.py imagenette/`` trains each network of table 1 with a fraction of its channels on small
pictures, with one recipe without batch norm, for several seeds. ``imagenette/`` has the folders ``train`` and ``val``
with a folder per class. It prints the error after the last epoch, the mean over the seeds with the half-width of its
95 % confidence interval (Student's t), beside the paper's table 3 (top-1 error on ILSVRC-2012, S = Q = 256).
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn
from transfer import summary

from vggapps import VGG
from vggapps.training import FitSettings, PictureBatches, TrainingData, augment, fit, read_training_data
from vggapps.vgg import Plan, get_plan, initialize

PAPER = {"A": 29.6, "A-LRN": 29.7, "B": 28.7, "C": 28.1, "D": 27.0, "E": 27.3}  # table 3


def narrow(configuration: str, share: float) -> Plan:
    """A configuration of the paper with this share of its channels."""
    plan = get_plan(configuration)
    blocks = tuple(tuple(round(share * channels) for channels in block) for block in plan.blocks)
    return replace(plan, name=f"{plan.name} times {share:g}", configuration="", blocks=blocks)


def shrink(source: str, folder: Path, size: int, most: int) -> TrainingData:
    """Square pictures of this side, at most this many for training."""
    data = read_training_data(source)
    for split, pictures in (("train", data.training), ("val", data.validation)):
        chosen = random.Random(0).sample(range(len(pictures)), min(len(pictures), most))
        for index in track(chosen, f"{split}, {size} px", transient=True):
            file = folder / split / data.classes[pictures.targets[index]] / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            ImageOps.fit(pictures.open(index), (size, size), Image.Resampling.LANCZOS).save(file)
    return read_training_data(str(folder))


def error_of(network: nn.Module, batches: PictureBatches) -> float:
    """Top-1 error in percent."""
    network.eval()
    wrong = count = 0
    for batch in batches:
        with torch.inference_mode():
            wrong += int((network(batch.images).argmax(1) != batch.targets).sum())
        count += len(batch.targets)
    return 100 * wrong / count


def trained_error(plan: Plan, data: TrainingData, seed: int, arguments: argparse.Namespace) -> float:
    """Error on the validation pictures after training from random weights."""
    classes = len(data.classes)
    network = initialize(VGG(plan, head="gap", classes=classes), "he", seed)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    views = augment("shifts", arguments.size)
    batches = PictureBatches(data.training, views, arguments.batch, classes=classes, seed=seed)
    settings = FitSettings(
        epochs=arguments.epochs, optimizer="nesterov", learning_rate=arguments.learning_rate, weight_decay=5e-4,
        warmup=1, clip=5, ema=0.99, seed=seed,
    )  # fmt: skip
    for step in fit(network, batches, nn.CrossEntropyLoss(), settings):
        last = step
    held = PictureBatches(data.validation, augment("none", arguments.size), 100, classes=classes, shuffle=False)
    return error_of(last.network(), held)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--only", nargs="+", default=list(PAPER), choices=list(PAPER))
    parser.add_argument("--size", type=int, default=64, help="side of the pictures in pixels")
    parser.add_argument("--share", type=float, default=0.25, help="of the channels")
    parser.add_argument("--pictures", type=int, default=4000, help="for training, and for validation, at most")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    table = Table("configuration", "error, %", "seconds per run", "error of the paper, %")
    errors: dict[str, list[float]] = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as place:
        data = shrink(arguments.data, Path(place), arguments.size, arguments.pictures)
        for seed in range(arguments.seeds):
            for name in arguments.only:
                begin = time.perf_counter()
                errors[name].append(trained_error(narrow(name, arguments.share), data, seed, arguments))
                seconds[name].append(time.perf_counter() - begin)
                print(f"{name}, seed {seed}: {errors[name][-1]:.1f} %, {seconds[name][-1]:.0f} s", flush=True)
    for name in arguments.only:
        table.add_row(name, summary(errors[name]), f"{statistics.mean(seconds[name]):.0f}", f"{PAPER[name]:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
