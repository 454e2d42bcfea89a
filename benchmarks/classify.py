"""How fast pictures are classified, and how well: markdown tables, each from one run.

    python benchmarks/classify.py [--only speed|cold|accuracy] [--rounds 5] [--device cpu]
    python benchmarks/classify.py --only accuracy --data FOLDER --views center dense multi-crop --every 10

``speed``: VGG-16 with random, seeded weights, the same numbers in torchvision's network; of pictures that are in memory
and of JPEGs drawn here. Random weights are no slower than trained ones. ``cold``: ``vggapps classify`` as a process of
its own, against one that imports torch, builds VGG-19's convolutions and runs them once. ``accuracy``: any folder that
``vggapps evaluate`` takes; the views with 150 crops look at every N-th picture alone. Each group of rows is about the
same pictures, centre crops first. Rivals run in turns; medians count.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from features import processor
from PIL import Image
from torch import Tensor

from vggapps.classification import VIEWS, Classifier, Evaluation, Rate, Result, evaluate
from vggapps.datasets import Example, list_pictures, read_pictures
from vggapps.image import save_picture
from vggapps.vgg import VGG, Plan, pick_device, pick_dtype
from vggapps.weights import load_vgg

BATCHES = (1, 8)
NARROW = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8,)))
COLD = """
import torch
layers, before = [], 3
for block in ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4):
    for width in block:
        layers += [torch.nn.Conv2d(before, width, 3, padding=1), torch.nn.ReLU()]
        before = width
    layers.append(torch.nn.MaxPool2d(2))
with torch.inference_mode():
    torch.nn.Sequential(*layers).to(torch.DTYPE)(torch.rand(1, 3, 224, 224).to(torch.DTYPE))
"""


def table(*rows: Sequence[str]) -> None:
    """Markdown; the first row names the columns, the first column is text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    ruler = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    print()
    for row in (rows[0], ruler, *rows[1:]):
        cells = [
            word.ljust(w) if i == 0 else word.rjust(w) for i, (word, w) in enumerate(zip(row, widths, strict=True))
        ]
        print(f"| {' | '.join(cells)} |")


def medians(rivals: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of each, in turns, after one that doesn't count."""
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for turn in range(rounds + 1):
        for name, run in rivals.items():
            start = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def draw_jpegs(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Smooth noise with some grain, of about the sizes of ImageNet's pictures."""
    generator = torch.Generator().manual_seed(seed)
    paths = []
    for number in range(count):
        height, width = ((375, 500), (500, 375), (333, 500))[number % 3]
        smooth = F.interpolate(torch.rand(1, 3, 12, 16, generator=generator), (height, width), mode="bicubic")
        grain = 0.04 * torch.randn(smooth.shape, generator=generator)
        paths.append(folder / f"{number}.jpg")
        save_picture((smooth + grain).clamp(0, 1), paths[-1])
    return paths


def of_torchvision(vgg: VGG, device: torch.device) -> Callable[[Tensor], Tensor]:
    """torchvision's network with our weights: normalised pictures to scores."""
    theirs = torchvision.models.vgg16(weights=None, init_weights=False)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), vgg.state_dict().values(), strict=True)))
    return theirs.eval().to(device)


def speed(device: torch.device, rounds: int, count: int) -> None:
    vgg = load_vgg("vgg16", None, seed=1)
    theirs = of_torchvision(vgg, device)
    ours = {f"Classifier, {dtype}": Classifier(vgg, device=str(device), dtype=dtype) for dtype in ("auto", "float32")}
    transform = torchvision.models.VGG16_Weights.IMAGENET1K_V1.transforms()

    @torch.inference_mode()
    def rival(shown: Tensor) -> Tensor:
        return theirs(vgg.convention(shown)).softmax(1)

    @torch.inference_mode()
    def rival_from_files(paths: Sequence[Path], batch: int) -> list[Tensor]:
        found = []
        for start in range(0, len(paths), batch):
            pictures = [Image.open(path).convert("RGB") for path in paths[start : start + batch]]
            shown = torch.stack([transform(picture) for picture in pictures]).to(device)
            found.append(theirs(shown).softmax(1).cpu())
        return found

    @torch.inference_mode()
    def network(classifier: Classifier, shown: Tensor) -> Tensor:
        return classifier.networks[0](shown).float().mean((2, 3)).softmax(1)

    def from_files(classifier: Classifier, paths: Sequence[Path], batch: int) -> list[Result]:
        classifier.batch = batch
        return list(classifier.run(paths, workers=0))

    print(f"\n### Speed: VGG-16, centre crops; auto is {str(pick_dtype('auto', device)).removeprefix('torch.')} here")
    rows: list[tuple[str, ...]] = [("pictures per second", "batch", "network", "ratio", "from JPEGs", "ratio")]
    with tempfile.TemporaryDirectory() as folder:
        paths = draw_jpegs(Path(folder), count)
        for batch in BATCHES:
            shown = torch.rand(batch, 3, 224, 224, generator=torch.Generator().manual_seed(2)).to(device)
            inner = medians(
                {"torchvision, float32": lambda x=shown: rival(x)}
                | {name: lambda c=c, x=shown: network(c, x) for name, c in ours.items()},
                rounds,
            )
            outer = medians(
                {"torchvision, float32": lambda b=batch: rival_from_files(paths, b)}
                | {name: lambda c=c, b=batch: from_files(c, paths, b) for name, c in ours.items()},
                rounds,
            )
            for name, seconds in inner.items():
                ratios = [times["torchvision, float32"] / times[name] for times in (inner, outer)]
                speeds = [batch / seconds, count / outer[name]]
                cells = [f"{number:.2f}" for pair in zip(speeds, ratios, strict=True) for number in pair]
                rows.append((name, f"{batch}", *cells))
        table(*rows)
        _agreement(vgg, theirs, ours["Classifier, float32"], device)
        for name, classifier in ours.items():
            read = medians(
                {
                    "reading": lambda c=classifier: list(read_pictures(paths, c.scales, workers=0)),
                    "all": lambda c=classifier: from_files(c, paths, 8),
                },
                rounds,
            )
            print(
                f"{name}: reading and scaling takes {1000 * read['reading'] / count:.1f} ms a picture of about 500x375,"
                f" {100 * read['reading'] / read['all']:.1f} % of Classifier.run without workers at batch 8"
            )
        geometry(paths[0])


@torch.inference_mode()
def _agreement(vgg: VGG, theirs: Callable[[Tensor], Tensor], ours: Classifier, device: torch.device) -> None:
    shown = torch.rand(8, 3, 224, 224, generator=torch.Generator().manual_seed(3)).to(device)
    expected = theirs(vgg.convention(shown))
    greatest = (ours.networks[0](shown).float().mean((2, 3)) - expected).abs().max()
    print(f"\nGreatest difference of float32 scores, 8 pictures: {greatest:.1e}; the greatest score is ", end="")
    print(f"{expected.abs().max():.2g}\n")


def geometry(picture: Path) -> None:
    """What passes through the network for one picture, counted there; a narrow one has the same windows."""
    with Image.open(picture) as image:
        print(f"\n### Views of one picture of {image.width}x{image.height}, for networks trained at 256")
    rows: list[tuple[str, ...]] = [("views", "scales", "crops", "whole pictures", "sides of their maps")]
    for views in VIEWS:
        classifier = Classifier(VGG(NARROW, head="fc", classes=2), views=views, device="cpu", dtype="float32")
        seen: list[tuple[int, int, int]] = []
        classifier.networks[0].register_forward_hook(
            lambda _, given, scores, seen=seen: seen.append((len(given[0]), scores.shape[3], scores.shape[2]))
        )
        list(classifier.run([picture], workers=0))
        crops = sum(n for n, width, height in seen if width == height == 1)
        maps = [f"{width}x{height}" for _, width, height in seen if (width, height) != (1, 1)]
        sides = ", ".join(dict.fromkeys(maps))
        rows.append((views, ", ".join(map(str, classifier.scales)), f"{crops}", f"{len(maps)}", sides))
    table(*rows)


def cold(rounds: int) -> None:
    """Processes from start to end, files in the system's cache."""
    with tempfile.TemporaryDirectory() as folder:
        (path,) = draw_jpegs(Path(folder), 1)
        rivals = {"vggapps classify": ["-m", "vggapps", "classify", str(path)]}
        rivals |= {f"torch, {dtype}": ["-c", COLD.replace("DTYPE", dtype)] for dtype in ("float32", "bfloat16")}

        def start(arguments: list[str]) -> None:
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

        times = medians({name: lambda a=arguments: start(a) for name, arguments in rivals.items()}, rounds)
    print(
        "\n### Cold start: one picture, a process of its own; torch: import it, build VGG-19's convolutions, run once"
    )
    ours = times["vggapps classify"]
    table(
        ("process", "seconds", "vggapps takes"),
        *((name, f"{seconds:.2f}", f"{ours / seconds:.2f} times") for name, seconds in times.items()),
    )


def accuracy(data: str, views: Sequence[str], backbone: str, every: int, device: torch.device) -> None:
    """A group of rows for each set of pictures, its centre crops first, for all others are compared with them."""
    print(f"\n### Accuracy of {backbone} on {Path(data).name}, percent with 95 % intervals")
    rows: list[tuple[str, ...]] = [
        ("views", "pictures", "top-1", "top-5", "ECE", "right/wrong, unlike center", "pictures/s")
    ]
    groups: dict[int, list[str]] = {}
    for name in views:
        groups.setdefault(every if name.startswith("multi-crop") else 1, ["center"]).append(name)
    for step, group in sorted(groups.items()):
        base: dict[int, bool] = {}
        for name in dict.fromkeys(group):
            classifier = Classifier(backbone.split(","), views=name, device=str(device))  # type: ignore[arg-type]
            examples = list_pictures(data).examples(classifier.labels)[::step]
            right: dict[int, bool] = {}
            found = evaluate(_noted(classifier, examples, right), examples, classifier.labels)
            base = base or right
            gained = sum(right[i] > base[i] for i in right)
            lost = sum(right[i] < base[i] for i in right)
            rows.append(_row(name, found, f"{gained}/{lost}" if name != "center" else "-"))
    table(*rows)


def _noted(classifier: Classifier, examples: Sequence[Example], right: dict[int, bool]) -> Iterator[Result]:
    """Results on their way, and which of them are right."""
    for result in classifier.run([example.path for example in examples]):
        if result.probabilities is not None:
            right[result.index] = int(result.probabilities.argmax()) == examples[result.index].index
        yield result


def _row(views: str, found: Evaluation, unlike: str) -> tuple[str, ...]:
    top5 = _accuracy(found.top5_error) if found.top5_error else "-"
    numbers = (_accuracy(found.top1_error), top5, f"{found.ece:.1f}", unlike, f"{found.pictures_per_second:.2f}")
    return (views, f"{found.pictures}", *numbers)


def _accuracy(error: Rate) -> str:
    return f"{100 - error.percent:.1f} ({100 - error.high:.1f} to {100 - error.low:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["speed", "cold", "accuracy"], help="one part; accuracy needs --data")
    parser.add_argument("--rounds", type=int, default=5, help="the median of so many counts")
    parser.add_argument("--pictures", type=int, default=24, help="JPEGs that are drawn for speed")
    parser.add_argument("--data", help="pictures whose classes are known, for accuracy")
    parser.add_argument("--views", nargs="+", default=list(VIEWS), choices=VIEWS, metavar="VIEWS")
    parser.add_argument("--backbone", default="vgg19-gap", help="for accuracy")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="multi-crop looks at every N-th picture")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto")
    given = parser.parse_args()
    if given.only == "accuracy" and not given.data:
        parser.error("--only accuracy needs --data FOLDER")
    device = pick_device(given.device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # float32 is float32
    print(f"torch {torch.__version__}; {processor(device)}; {torch.get_num_threads()} threads; {given.rounds} rounds")
    if given.only in (None, "speed"):
        speed(device, given.rounds, given.pictures)
    if given.only in (None, "cold"):
        cold(given.rounds)
    if given.data and given.only in (None, "accuracy"):
        accuracy(given.data, given.views, given.backbone, given.every, device)


if __name__ == "__main__":
    main()
