"""Training steps against a plain loop with torchvision's network, memory, the share of reading, and cached fine-tuning.

Run ``python benchmarks/train.py`` on an idle machine; ``--only steps memory reading cache`` measures parts of it. Each
round runs every variant once, and the least time of a variant counts. On a GPU, ``--peak`` (TFLOP/s in bfloat16) adds
the share of it that is used.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
import torchvision
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vggapps import VGG
from vggapps.training import (
    Checkpointed,
    FinetuneSettings,
    FitSettings,
    PictureBatches,
    augment,
    fit,
    read_training_data,
    start,
)
from vggapps.vgg import initialize, pick_device

CLASSES, FROZEN = 10, "conv4_1"
ASSETS = Path(__file__).parents[1] / "assets"


def frozen(name: str) -> bool:
    """Whether a layer is below conv4_1."""
    return name.startswith(("conv1", "conv2", "conv3", "bn1", "bn2", "bn3"))


def of_torchvision(network: str, device: torch.device, *, tuned: bool) -> nn.Module:
    """Their network; for fine-tuning with frozen convolutions and statistics."""
    theirs = torchvision.models.get_model(network, num_classes=CLASSES).to(device).train()
    names = [name for name, _ in VGG(network, head="none").named_children()]
    for layer, module in zip(names, theirs.features, strict=True):
        module.requires_grad_(not (tuned and frozen(layer)))
    return theirs


def ours(network: str, device: torch.device, *, tuned: bool) -> VGG:
    """The same network, in the memory layout of the training room."""
    vgg = initialize(VGG(network, head="fc", classes=CLASSES)).to(device, memory_format=torch.channels_last)
    for layer, module in vgg.named_children():
        module.requires_grad_(not (tuned and frozen(layer)))
    return vgg


def plain_steps(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Iterator[None]:
    """The loop of torchvision's references without its options."""
    images, targets = batch
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 1e-4, momentum=0.9)
    loss = nn.CrossEntropyLoss()
    while True:
        value = loss(model(images), targets)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        yield


def our_steps(model: nn.Module, batch: tuple[Tensor, Tensor], dtype: str) -> Iterator[None]:
    """The same step by ``fit``."""
    settings = FitSettings(epochs=10**6, optimizer="sgd", learning_rate=1e-4, schedule="constant", dtype=dtype)
    for _ in fit(model, [batch], nn.CrossEntropyLoss(), settings):
        yield


def seconds(steps: Iterator[None], device: torch.device) -> float:
    """One step; a GPU is waited for."""
    begin = time.perf_counter()
    next(steps)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def random_batch(size: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    images = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))
    return images.to(device), (torch.arange(count) % CLASSES).to(device)


def measure_steps(arguments: argparse.Namespace, device: torch.device) -> Table:
    """Pictures a second of each variant, and their ratio to the plain loop."""
    table = Table("network", "variant", "pictures/s", "against plain", "share of peak", title="Training steps")
    for network, tuned in (("vgg16_bn", False), ("vgg19", True)):
        batch = random_batch(arguments.size, arguments.batch, device)
        runs: dict[str, Iterator[None]] = {
            "torchvision, float32": plain_steps(of_torchvision(network, device, tuned=tuned), batch),
            "ours, float32": our_steps(ours(network, device, tuned=tuned), batch, "float32"),
            "ours, auto": our_steps(ours(network, device, tuned=tuned), batch, "auto"),
        }
        counter = FlopCounterMode(display=False)
        with counter:
            next(runs["torchvision, float32"])
        best = dict.fromkeys(runs, float("inf"))
        for number in range(arguments.rounds + 1):  # the first round warms up
            for name, steps in runs.items():
                took = seconds(steps, device)
                best[name] = min(best[name], took) if number else best[name]
        title = f"{network}, frozen below {FROZEN}" if tuned else network
        for name, took in best.items():
            share = counter.get_total_flops() / took / 1e12 / arguments.peak if arguments.peak else 0
            row = (f"{arguments.batch / took:.2f}", f"{best['torchvision, float32'] / took:.2f}x", f"{share:.0%}")
            table.add_row(title, name, *row[:2], row[2] if share else "")
    return table


def peak_memory(kind: str, arguments: argparse.Namespace, device: torch.device) -> float:
    """GB that two steps of vgg16_bn need, in this process."""
    vgg = ours("vgg16_bn", device, tuned=False)
    model = Checkpointed(vgg) if kind == "checkpointed" else vgg
    steps = our_steps(model, random_batch(arguments.size, arguments.batch, device), "auto")
    for _ in range(2):
        next(steps)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    status = Path("/proc/self/status").read_text()  # getrusage would count the process that started this one
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / 1e9


def measure_memory(arguments: argparse.Namespace) -> Table:
    table = Table("vgg16_bn", "peak of the process, GB", title=f"Memory, batch {arguments.batch}")
    for kind in ("plain", "checkpointed"):
        command = [
            sys.executable,
            __file__,
            "--peak-memory",
            kind,
            "--batch",
            arguments.batch,
            "--size",
            arguments.size,
        ]
        ran = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
        table.add_row(kind, ran.stdout.strip())
    return table


def make_photos(folder: Path, count: int) -> None:
    """A folder of two classes, photographs and paintings, as JPEG files of 500 px."""
    for kind in ("content", "style"):
        (folder / kind).mkdir(parents=True)
        sources = sorted((ASSETS / kind).glob("*.jpg"))
        for number in range(count):
            with Image.open(sources[number % len(sources)]) as image:
                image.thumbnail((500, 500))
                # Otherwise the files would be copies, which are kept on one side.
                image.convert("RGB").rotate(number % 7).save(folder / kind / f"{number}.jpg", quality=90 - number % 20)


def timed_run(folder: Path, out: Path, epochs: int, **settings: object) -> tuple[float, float]:
    """Seconds of a fine-tuning run from start to end, and its best validation accuracy."""
    begin = time.perf_counter()
    run = start(str(folder), out, FinetuneSettings(epochs=epochs, **settings), overwrite=True)
    for _ in run.steps():
        pass
    return time.perf_counter() - begin, run.best_rate().percent


def measure_cache(arguments: argparse.Namespace) -> Table:
    """Fine-tuning with the maps of the last frozen layer computed once, and anew in each epoch."""
    table = Table("frozen to", "fine-tuning", "seconds", "seconds per epoch", "accuracy", title="Cached maps")
    variants = {"not cached": {"cache": False, "augment": "none"}, "cached": {"cache": True}}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "photos")
        make_photos(folder, arguments.photos // 2)
        for layer in arguments.freeze_to:
            found = {}
            for name, more in variants.items():
                one, _ = timed_run(folder, Path(place, name), 1, freeze_to=layer, **more)
                several, accuracy = timed_run(folder, Path(place, name), arguments.epochs, freeze_to=layer, **more)
                found[name] = several, (several - one) / (arguments.epochs - 1)
                table.add_row(layer, name, f"{several:.0f}", f"{found[name][1]:.2f}", f"{accuracy:.1f} %")
            whole, epoch = (plain / cached for plain, cached in zip(*found.values(), strict=True))
            table.add_row(layer, "ratio", f"{whole:.1f}x", f"{epoch:.1f}x", "")
    return table


def measure_reading(arguments: argparse.Namespace, device: torch.device) -> Table:
    """Time of an epoch with pictures that are read, and with a batch that is there."""
    table = Table("workers", "seconds per epoch", "share of reading", title="Reading JPEG files of 500 px, vgg16_bn")
    with tempfile.TemporaryDirectory() as place:
        make_photos(Path(place, "photos"), arguments.photos // 2)
        pictures = read_training_data(str(Path(place, "photos"))).training
        views = augment("crops", arguments.size)
        settings = FitSettings(epochs=4, optimizer="sgd", learning_rate=1e-4, schedule="constant")
        found = {}
        for workers in (None, 0, 1):
            batches = PictureBatches(pictures, views, arguments.batch, classes=2, workers=workers or 0)
            shown = batches if workers is not None else list(batches)
            steps = fit(ours("vgg16_bn", device, tuned=False), shown, nn.CrossEntropyLoss(), settings)
            ends = [step.seconds for step in steps if step.ends_epoch]
            found[workers] = min(after - before for before, after in itertools.pairwise(ends))
        for workers, took in found.items():
            name = "read before" if workers is None else str(workers)
            table.add_row(name, f"{took:.1f}", f"{max(0.0, 1 - found[None] / took):.1%}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=["steps", "memory", "reading", "cache"])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--photos", type=int, default=80)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--freeze-to", nargs="+", default=["pool4", "relu5_3"])
    parser.add_argument("--peak", type=float, default=0.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--peak-memory", choices=["plain", "checkpointed"])
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    if arguments.peak_memory:
        print(f"{peak_memory(arguments.peak_memory, arguments, device):.2f}")
        return
    console = Console()
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    console.print(f"torch {torch.__version__}, {device}, {name}, {platform.machine()}")
    parts: dict[str, Callable[[], Table]] = {
        "steps": partial(measure_steps, arguments, device),
        "memory": partial(measure_memory, arguments),
        "reading": partial(measure_reading, arguments, device),
        "cache": partial(measure_cache, arguments),
    }
    for part in arguments.only:
        console.print(parts[part]())


if __name__ == "__main__":
    main()
