"""How fast are VGG-19's features, and how exact: relu5_1, forward and with the gradient of the picture.

Run ``python benchmarks/features.py --sizes 256 512 1024 --rounds 5`` on an idle machine. Every round runs every
variant once, and the least time of a variant counts: on a machine that others use, too, a mean would measure them.
Errors are the largest difference from plain float32 over its largest value, with the same weights.
"""

from __future__ import annotations

import argparse
import copy
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vggapps.vgg import VGG, FeatureExtractor, accelerate, initialize, pick_device

LAYER = "relu5_1"
Run = Callable[[Tensor], Tensor]


def plain(vgg: VGG, device: torch.device) -> Run:
    """What one writes in a minute: a list of calls, contiguous."""
    vgg = copy.deepcopy(vgg).to(device)
    steps = []
    for name, module in vgg.named_children():
        if name.startswith("conv"):
            steps.append(lambda x, m=module: F.conv2d(x, m.weight, m.bias, padding=1))
        else:
            steps.append(F.relu if name.startswith("relu") else lambda x: F.max_pool2d(x, 2))
        if name == LAYER:
            break

    def run(image: Tensor) -> Tensor:
        x = vgg.convention(image)
        for step in steps:
            x = step(x)
        return x

    return run


def of_torchvision(vgg: VGG, device: torch.device) -> Run:
    """torchvision's network with our weights, cut after the layer."""
    theirs = torchvision.models.vgg19(weights=None, init_weights=False).features
    theirs.load_state_dict(dict(zip(theirs.state_dict(), vgg.state_dict().values(), strict=True)))
    cut = theirs[: vgg.layer_names.index(LAYER) + 1].eval().requires_grad_(False).to(device)
    return lambda image: cut(vgg.convention(image))


def ours(dtype: str, padding: str = "zeros") -> Callable[[VGG, torch.device], Run]:
    def make(vgg: VGG, device: torch.device) -> Run:
        twin = VGG("vgg19", head="none", padding=padding)
        twin.load_state_dict(vgg.state_dict())
        extract = FeatureExtractor(accelerate(twin, device, dtype), [LAYER])
        return lambda image: extract(image)[LAYER]

    return make


VARIANTS: dict[str, Callable[[VGG, torch.device], Run]] = {
    "plain float32": plain,
    "torchvision": of_torchvision,
    "ours, float32": ours("float32"),
    "ours, auto": ours("auto"),
    "ours, auto, replicate": ours("auto", "replicate"),
}


def seconds(run: Run, image: Tensor, *, backward: bool) -> float:
    """One run; a GPU is waited for."""
    gpu = image.device.type == "cuda"
    image = image.clone().requires_grad_(backward)
    if gpu:
        torch.cuda.synchronize()
    start = time.perf_counter()
    with torch.set_grad_enabled(backward):
        feature = run(image)
        if backward:
            feature.float().square().mean().backward()
    if gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_gib(run: Run, image: Tensor, *, backward: bool) -> float | None:
    """Most memory of a GPU in use during a run; the processor's is not counted by anybody."""
    if image.device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats()
    seconds(run, image, backward=backward)
    return torch.cuda.max_memory_allocated() / 2**30


def measure(runs: dict[str, Run], size: int, rounds: int, device: torch.device, *, backward: bool) -> list[list[str]]:
    """Rows of the table: variant, seconds, ratio, error, memory."""
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.no_grad():  # also the first, slow call of each
        found = {name: run(image).float() for name, run in runs.items()}
    expected = found["plain float32"]
    errors = {n: ((f - expected).abs().max() / expected.abs().max()).item() for n, f in found.items()}
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            best[name] = min(best[name], seconds(run, image, backward=backward))
    rows = []
    for name, run in runs.items():
        peak = peak_gib(run, image, backward=backward)
        ratio = best["plain float32"] / best[name]
        # Another padding is another network: its features are not wrong.
        error = "" if "replicate" in name else f"{errors[name]:.1e}"
        rows.append([name, f"{best[name]:.3f}", f"{ratio:.2f}×", error, f"{peak:.2f}" if peak else ""])
    return rows


def processor(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024], help="sides of the square pictures")
    parser.add_argument("--rounds", type=int, default=5, help="the least time of so many counts")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto")
    given = parser.parse_args()
    device = pick_device(given.device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # float32 is float32

    vgg = initialize(VGG("vgg19", head="none")).freeze()
    runs = {name: make(vgg, device) for name, make in VARIANTS.items()}
    console = Console()
    console.print(
        f"VGG-19 to {LAYER}; {processor(device)}; {torch.get_num_threads()} threads; torch {torch.__version__}"
    )
    for size in given.sizes:
        for backward in (False, True):
            title = f"{size} px, forward" + " and input gradient" * backward
            table = Table("variant", "seconds", "speed", "largest error", "peak GiB", title=title, title_justify="left")
            for row in measure(runs, size, given.rounds, device, backward=backward):
                table.add_row(*row)
            console.print(table)


if __name__ == "__main__":
    main()
