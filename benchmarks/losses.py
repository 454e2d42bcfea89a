"""LPIPS, DISTS and a perceptual training step against the published packages and a hand-written loss: same weights.

    python benchmarks/losses.py [--only agreement|speed|step|bundle|gpu] [--device cpu|cuda] [--repeats 7]

Needs the development packages ``lpips`` and ``DISTS-pytorch``. Networks have random weights, which are no slower than
trained ones; theirs and ours are the same numbers. Timings alternate between the rivals; the least of each counts.
Memory is the peak of what torch allocates in a step above what was there before.
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from rivals import HookLoss, mine, ours, theirs
from torch import Tensor

from vggapps.losses import LPIPS, PRESETS, Bundle, FeatureLoss, PerceptualLoss

warnings.filterwarnings("ignore")


def pictures(count: int, side: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Smooth pictures, and the same with noise or blur."""
    generator = torch.Generator().manual_seed(seed)
    y = F.interpolate(torch.rand(count, 3, side // 8, side // 8, generator=generator), (side, side), mode="bicubic")
    y = y.clamp(0, 1)
    x = y + 0.1 * torch.randn(y.shape, generator=generator)
    x[::2] = F.avg_pool2d(F.pad(x[::2], (2, 2, 2, 2), mode="reflect"), 5, 1)
    return x.clamp(0, 1), y


def least(rivals: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Seconds of each, the least of several, in turns."""
    best = dict.fromkeys(rivals, float("inf"))
    for turn in range(repeats + 1):
        for name, run in rivals.items():
            start = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def agreement() -> None:
    print("\nlargest difference of values, 8 pairs at 128 px  float64   float32")
    for name in ("vgg", "alex", "squeeze", "dists"):
        package, loss, row = theirs(name), mine(name), []
        for dtype in (torch.float64, torch.float32):
            x, y = (t.to(dtype) for t in pictures(8, 128))
            row.append(float((package(x, y) - loss.to(dtype)(x, y)).abs().max()))
        print(f"{name:<48} {row[0]:>8.1e}  {row[1]:>8.1e}")


def quiet(run: Callable[..., Tensor], *images: object) -> Callable[[], object]:
    """The value alone."""

    def go() -> None:
        with torch.no_grad():
            run(*images)

    return go


def train(run: Callable[..., Tensor], x: Tensor, y: object) -> Callable[[], object]:
    """The value and its gradient towards the picture."""

    def go() -> None:
        run(x.clone().requires_grad_(), y).sum().backward()

    return go


def speed(device: str, repeats: int) -> None:
    for count, side in ((8, 256), (16, 64)):
        print(f"\n{f'{count} pictures of {side} px, seconds':<36} package    ours   ratio  prepared   ratio")
        for name in ("vgg", "alex", "squeeze", "dists"):
            race(name, theirs(name), mine(name).to(device), pictures(count, side), repeats)
    print(f"\n{'4 pictures of 32 px, seconds':<36} by hand    ours   ratio  prepared   ratio")
    weights = {"relu2_2": 1.0, "relu3_4": 1.0}
    small = PerceptualLoss(weights, criterion="l1", backbone=ours("vgg19")).to(device)
    race("perceptual", HookLoss(weights).to(device), small, pictures(4, 32), 5 * repeats)


def race(
    name: str, other: Callable[..., Tensor], loss: FeatureLoss, images: tuple[Tensor, Tensor], repeats: int
) -> None:
    """A line each for the value, and for the value and its gradient."""
    x, y = (t.to(next(loss.network.parameters()).device) for t in images)
    target = loss.prepare(y)
    for title, way in (("value", quiet), ("value and gradient", train)):
        times = least({"other": way(other, x, y), "ours": way(loss, x, y), "prepared": way(loss, x, target)}, repeats)
        base = times["other"]
        print(
            f"{name:<12} {title:<20} {base:>10.3f} {times['ours']:>7.3f} {base / times['ours']:>7.2f}"
            f" {times['prepared']:>9.3f} {base / times['prepared']:>7.2f}"
        )


def peak(run: Callable[[], None], device: str) -> int:
    """Bytes that torch has at most in a step, above those before it."""
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated() - before
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    now = highest = 0
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        highest = max(highest, now)
    return highest


def step(device: str, repeats: int) -> None:
    print("\ntraining step, VGG-19, 512 px            seconds           ratio   peak MiB          ratio")
    layers = {
        "relu3_3": {"relu3_3": 1.0},
        "relu5_4": {"relu5_4": 1.0},
        "real-esrgan": dict(PRESETS["real-esrgan"].terms[0].layers),
    }
    for batch in (1, 4):
        x, y = (t.to(device) for t in pictures(batch, 512))
        for title, weights in layers.items():
            losses = {
                "by hand": HookLoss(weights),
                "ours": PerceptualLoss(weights, backbone=ours("vgg19")),
                "checkpoint": PerceptualLoss(weights, backbone=ours("vgg19"), checkpoint=True),
            }
            runs = {name: train(loss.to(device), x, y) for name, loss in losses.items()}
            times = least(runs, repeats if batch == 1 else max(1, repeats // 3))
            memory = {name: peak(run, device) for name, run in runs.items()}
            for name in runs:
                slower, larger = times[name] / times["by hand"], memory[name] / memory["by hand"]
                print(
                    f"{title:<12} batch {batch}  {name:<14} {times[name]:>10.3f} {slower:>15.2f}"
                    f" {memory[name] / 2**20:>10.0f} {larger:>14.2f}"
                )


def bundle(device: str, repeats: int) -> None:
    vgg = ours("vgg16")
    losses = {
        "lpips": LPIPS("vgg", backbone=vgg),
        "content": PerceptualLoss("relu3_3", backbone=vgg),
        "style": PerceptualLoss([], style_layers=["relu1_2", "relu2_2", "relu3_3"], backbone=vgg),
    }
    together = Bundle(losses).to(device)
    x, y = (t.to(device) for t in pictures(4, 256))

    def apart(x: Tensor, y: Tensor) -> Tensor:
        return torch.stack([loss(x, y) for loss in losses.values()]).sum()

    times = least({"apart": train(apart, x, y), "bundle": train(together, x, y)}, repeats)
    print("\nLPIPS, content and Gram, step on 4 pictures of 256 px: ", end="")
    print(f"apart {times['apart']:.2f} s, bundle {times['bundle']:.2f} s, ratio {times['apart'] / times['bundle']:.2f}")


def gpu(repeats: int) -> None:
    """bfloat16 against float32: how much faster, and whether distances keep their order."""
    loss = mine("vgg").cuda()
    x, y = (t.cuda() for t in pictures(32, 256))

    def run(low: bool) -> Tensor:
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=low):
            return loss(x, y)

    times = least({"float32": lambda: run(False), "bfloat16": lambda: run(True)}, repeats)
    levels = torch.linspace(0.005, 0.3, 64).view(64, 1, 1, 1)
    clean = pictures(64, 128, seed=1)[1]
    noisy = (clean + levels * torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))).clamp(0, 1)
    with torch.no_grad():
        full = loss(noisy.cuda(), clean.cuda())
        with torch.autocast("cuda", torch.bfloat16):
            low = loss(noisy.cuda(), clean.cuda())
    ranks = torch.stack([full, low]).float().argsort(1).argsort(1).float()
    print(
        f"\nLPIPS (vgg), 32 pictures of 256 px: float32 {times['float32']:.4f} s, bfloat16 {times['bfloat16']:.4f} s, "
        f"ratio {times['float32'] / times['bfloat16']:.2f}; rank correlation over 64 pairs "
        f"{float(torch.corrcoef(ranks)[0, 1]):.5f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["agreement", "speed", "step", "bundle", "gpu"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    threads = f"{platform.machine()}, {torch.get_num_threads()} threads"
    name = torch.cuda.get_device_name() if given.device == "cuda" else threads
    print(f"torch {torch.__version__}, {given.device}: {name}")
    parts: dict[str, Callable[[], None]] = {
        "agreement": agreement,
        "speed": lambda: speed(given.device, given.repeats),
        "step": lambda: step(given.device, given.repeats),
        "bundle": lambda: bundle(given.device, given.repeats),
    }
    if torch.cuda.is_available():
        parts["gpu"] = lambda: gpu(given.repeats)
    for part, run in parts.items():
        if given.only in (None, part):
            run()


if __name__ == "__main__":
    main()
