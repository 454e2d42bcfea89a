"""Our optimization alone: its cost in plain passes, the border, other threads and dtypes, single settings."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from unittest import mock

import torch
from features import plain
from neutral import Judge

from vggapps.image import open_picture, save_picture
from vggapps.style import StylizeSettings, load_backbone, stylize, stylize_steps
from vggapps.weights import load_vgg


def plain_pass(size: int, rounds: int) -> float:
    """Seconds of one float32 forward and backward pass to relu5_1, written with ``conv2d``; the median."""
    run = plain(load_vgg("vgg19", head="none"), torch.device("cpu"))
    times = []
    for _ in range(rounds):
        image = torch.rand(1, 3, size, size, requires_grad=True)
        start = time.perf_counter()
        run(image).square().mean().backward()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def passes(content: Path, style: Path) -> None:
    """The default run at 512 px in plain passes at 512 x 512, both timed in turn."""
    before, vgg = plain_pass(512, 3), load_backbone(StylizeSettings())
    start = time.perf_counter()
    for step in stylize_steps(content, style, vgg=vgg):  # noqa: B007
        pass
    run = time.perf_counter() - start
    one = statistics.median([before, plain_pass(512, 3)])
    print(
        f"default run at {step.size[1]} x {step.size[0]} px: {run:.1f} s, {step.evaluations} evaluations; a plain "
        f"float32 pass at 512 x 512: {one:.2f} s; ratio {run / one:.1f}"
    )


def rim(pair: str, content: Path, style: Path, size: int, out: Path | None) -> None:
    """With and without a margin: what it costs, and how the border looks."""
    photo = torch.tensor([200, 210, 230]).div(255).view(1, 3, 1, 1).expand(1, 3, 3 * size // 4, size)
    photo = open_picture(content, longer_side=size).rgb if content.exists() else photo.contiguous()
    settings, judge = StylizeSettings(size=size), Judge(photo, open_picture(style).rgb)
    vgg = load_backbone(settings)
    for margin in (0, 16):
        with mock.patch("vggapps.style._transfer.MARGIN", margin):
            start = time.process_time()  # of the processor: the ratio holds on a machine that does other things, too
            image = stylize(photo, style, settings, vgg=vgg).rgb
            seconds = time.process_time() - start
        if out:
            save_picture(image, out_file(out, pair, f"margin-{margin}"), overwrite=True)
        rough, colors = zip(*(ring(image, i) for i in range(min(image.shape[2:]) // 2 - 1)), strict=True)
        inside = statistics.mean(rough[6:])
        ratios = " ".join(f"{r / inside:.2f}" for r in rough[:6])
        drift = " ".join(f"{255 * float((c - colors[9]).abs().mean()):.0f}" for c in colors[:6])
        judged = "  ".join(f"{d:.4f}" for d in judge(image))
        print(f"{pair:44} margin {margin:2}  {seconds:6.1f} s  {judged}  {ratios}  | {drift}")


def ring(image: torch.Tensor, i: int) -> tuple[float, torch.Tensor]:
    """Mean difference of neighbours on the ring of pixels that many from the border, and its mean colour."""
    inner = image[0, :, i : image.shape[2] - i, i : image.shape[3] - i]
    sides = [inner[:, 0], inner[:, -1], inner[:, :, 0], inner[:, :, -1]]
    rough = torch.cat([(side[:, 1:] - side[:, :-1]).abs() for side in sides], 1).mean()
    return float(rough), torch.cat(sides, 1).mean(1)


def alike(pair: str, content: Path, style: Path, size: int) -> None:
    """How far results of other threads and dtypes are from those of one thread in bfloat16, in 8-bit levels."""

    def result(threads: int, dtype: str) -> torch.Tensor:
        torch.set_num_threads(threads)
        return stylize(content, style, size=size, dtype=dtype).rgb

    reference = result(1, "bfloat16")
    for threads, dtype in ((1, "bfloat16"), (2, "bfloat16"), (1, "float32")):
        difference = 255 * (result(threads, dtype) - reference).abs()
        print(f"{pair:44} {threads} threads, {dtype}: mean {difference.mean():.1f}, largest {difference.max():.0f}")


def settings_of(text: str) -> StylizeSettings:
    """``steps=60,style_loss=gram`` as settings."""
    found: dict[str, object] = {}
    for word in filter(None, text.split(",")):
        key, value = word.split("=")
        several = isinstance(getattr(StylizeSettings(), key), tuple)
        found[key] = tuple(value.split("+")) if several else number_or_text(value)
    return StylizeSettings(**found)  # type: ignore[arg-type]


def number_or_text(value: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def out_file(folder: Path, pair: str, who: str) -> Path:
    return folder / f"{pair.replace(':', '_by_')}.{who.replace(' ', '-')}.png"
