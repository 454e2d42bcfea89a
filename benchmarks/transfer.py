"""What transfers from ImageNet to other pictures: which layers, from how many pictures, and to other domains.

``layers photos/`` fits linear probes to features of VGG-19 after each block. ``pictures photos/`` compares fine-tuning,
a linear probe and training from scratch by the number of pictures per class. ``domains pacs/ --train photo`` trains on
one domain and tests on the others; it has a folder per domain, with a folder per class in each. Every accuracy is the
mean over seeds, which choose the training pictures, with the half-width of its 95 % confidence interval (Student's t).
Accuracies of training are those after the last epoch: none is chosen by the test pictures.
"""

from __future__ import annotations

import argparse
import csv
import random
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import stats  # type: ignore[import-untyped]
from torch import Tensor

from vggapps import VGG
from vggapps.datasets import list_pictures
from vggapps.training import (
    FinetuneSettings,
    PictureBatches,
    Pictures,
    TrainSettings,
    augment,
    fit_probe,
    read_training_data,
    start,
)
from vggapps.vgg import FeatureExtractor
from vggapps.weights import load_network

LAYERS = ("pool1", "pool2", "relu3_3", "pool3", "relu4_3", "pool4", "relu5_3", "pool5")
Classes = Mapping[str, Sequence[Path]]
Rows = Mapping[str, Mapping[str, Tensor]]


def classes_of(folder: Path, most: int, count: int | None = None, leave_out: Iterable[str] = ()) -> Classes:
    """At most this many pictures of each class, and of ``count`` classes, chosen at random but always the same."""
    found = defaultdict(list)
    for entry in list_pictures(folder).entries:
        if entry.word not in leave_out:
            found[entry.word].append(entry.path)
    chosen = sorted(random.Random(0).sample(sorted(found), count or len(found)))
    return {word: sorted(random.Random(0).sample(found[word], min(most, len(found[word])))) for word in chosen}


def drawn(classes: Classes, learn: int, test: int, seed: int) -> tuple[Classes, Classes]:
    """``learn`` pictures of each class for training and up to ``test`` others. Fewer are a part of more."""
    shuffled = {word: random.Random(f"{seed} {word}").sample(paths, len(paths)) for word, paths in classes.items()}
    return (
        {word: paths[test : test + learn] for word, paths in shuffled.items()},
        {word: paths[:test] for word, paths in shuffled.items()},
    )


def write_table(file: Path, **parts: Classes) -> str:
    """A table for ``vggapps train``, with a column ``split``."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "class", "split"])
        for split, classes in parts.items():
            writer.writerows([path.absolute(), word, split] for word, paths in classes.items() for path in paths)
    return str(file)


def batches_of(pictures: Pictures) -> PictureBatches:
    """Their central crops of 224 px."""
    return PictureBatches(pictures, augment("none", 224), 16, classes=1 + max(pictures.targets), shuffle=False)


def described(table: str, network: VGG, layers: Sequence[str] = LAYERS) -> Rows:
    """The channels' means of each layer for each picture of a table, by layer and path."""
    extract = FeatureExtractor(network, layers)
    device = next(network.parameters()).device
    rows: dict[str, dict[str, Tensor]] = {layer: {} for layer in layers}
    data = read_training_data(table)
    for pictures in (data.training, data.validation):
        for batch in track(batches_of(pictures), "features", transient=True):
            with torch.inference_mode():
                found = extract(batch.images.to(device, memory_format=torch.channels_last))
            for layer, maps in found.items():
                rows[layer].update(zip(batch.files, maps.float().mean((2, 3)).cpu(), strict=True))
    return rows


def of(rows: Mapping[str, Tensor], classes: Classes) -> tuple[Tensor, Tensor]:
    """The rows of these pictures and their classes; unreadable pictures have none."""
    pairs = [(rows[str(path)], i) for i, paths in enumerate(classes.values()) for path in paths if str(path) in rows]
    found, targets = zip(*pairs, strict=True)
    return torch.stack(found), torch.tensor(targets)


def probe_accuracy(rows: Mapping[str, Tensor], learn: Classes, tests: Iterable[Classes]) -> list[float]:
    """Accuracies in percent on several test parts of a probe of these rows."""
    weight, bias = fit_probe(*of(rows, learn), len(learn))
    pairs = [of(rows, test) for test in tests]
    return [100 * float((F.linear(x, weight, bias).argmax(1) == y).float().mean()) for x, y in pairs]


def trained_accuracy(folder: Path, settings: TrainSettings | FinetuneSettings, learn: Classes, test: Classes) -> float:
    """Accuracy in percent after the last epoch; the run is in the folder."""
    run = start(write_table(folder / "parts.csv", train=learn, val=test), folder / "run", settings, overwrite=True)
    for _ in track(run.steps(), settings.recipe, total=run.total, transient=True):
        pass
    return 100 * float(run.rows[-1]["validation_top1"])


def summary(values: Sequence[float]) -> str:
    """Mean and half-width of its 95 % confidence interval."""
    mean = statistics.mean(values)
    if len(values) == 1:
        return f"{mean:.1f}"
    return f"{mean:.1f} ± {stats.t.ppf(0.975, len(values) - 1) * stats.sem(values):.1f}"


def measure_layers(arguments: argparse.Namespace, classes: Classes) -> Table:
    """Accuracy of a probe of each layer, by number of training pictures."""
    counts = arguments.pictures
    table = Table("layer", "channels", *(f"{count} per class" for count in counts), title="Linear probes by layer, %")
    with tempfile.TemporaryDirectory() as place:
        rows = described(write_table(Path(place, "all.csv"), **both(classes)), pretrained(arguments))
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for seed in range(arguments.seeds):
        for count in counts:
            learn, test = drawn(classes, count, arguments.test, seed)
            for layer in LAYERS:
                found[layer, count] += probe_accuracy(rows[layer], learn, [test])
    for layer in LAYERS:
        channels = len(next(iter(rows[layer].values())))
        table.add_row(layer, str(channels), *(summary(found[layer, count]) for count in counts))
    if arguments.plot:
        plot(found, counts, arguments.plot)
    return table


def both(classes: Classes) -> dict[str, Classes]:
    """All pictures in two parts, as a table must have them."""
    return {
        "train": {word: paths[1:] for word, paths in classes.items()},
        "val": {word: paths[:1] for word, paths in classes.items()},
    }


def pretrained(arguments: argparse.Namespace) -> VGG:
    return load_network(arguments.backbone, layers=LAYERS, device=arguments.device)


def measure_pictures(arguments: argparse.Namespace, classes: Classes) -> Table:
    """Accuracy of fine-tuning, of a probe and from scratch, by number of training pictures."""
    kinds: dict[str, TrainSettings | FinetuneSettings | None] = {
        f"fine-tuned after {layer}": FinetuneSettings(
            weights=arguments.backbone, epochs=arguments.epochs, freeze_to=layer
        )
        for layer in arguments.freeze_to
    }
    kinds["linear probe"] = None
    kinds["from scratch"] = TrainSettings(
        arch=arguments.arch, size=arguments.size, epochs=arguments.scratch_epochs, batch=32, mixup=0
    )
    table = Table("pictures per class", *kinds, title=f"Accuracy on {len(classes)} classes, %")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows = described(write_table(folder / "all.csv", **both(classes)), pretrained(arguments), ["pool5"])["pool5"]
        for count in arguments.pictures:
            found: dict[str, list[float]] = defaultdict(list)
            for seed in range(arguments.seeds):
                learn, test = drawn(classes, count, arguments.test, seed)
                for kind, settings in kinds.items():
                    found[kind] += (
                        [trained_accuracy(folder, settings, learn, test)]
                        if settings
                        else probe_accuracy(rows, learn, [test])
                    )
                print(count, seed, {kind: round(values[-1], 1) for kind, values in found.items()}, flush=True)
            table.add_row(str(count), *(summary(found[kind]) for kind in kinds))
    return table


def measure_domains(arguments: argparse.Namespace) -> Table:
    """Accuracy in each domain after training on one of them."""
    source: str = arguments.train
    others: list[str] = arguments.others
    domains = {name: classes_of(Path(arguments.data, name), arguments.most) for name in (source, *others)}
    table = Table("trained on " + source, source, *others, title="Accuracy by domain, %")
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    settings = FinetuneSettings(weights=arguments.backbone, epochs=arguments.epochs)
    network = pretrained(arguments)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows: dict[str, dict[str, Tensor]] = {layer: {} for layer in LAYERS}
        for name, classes in domains.items():
            for layer, more in described(write_table(folder / f"{name}.csv", **both(classes)), network).items():
                rows[layer].update(more)
        for seed in range(arguments.seeds):
            learn, held = drawn(domains[source], arguments.most, arguments.test, seed)
            tests = {source: held} | {name: domains[name] for name in others}
            for layer in LAYERS:
                for name, accuracy in zip(tests, probe_accuracy(rows[layer], learn, tests.values()), strict=True):
                    found[f"probe of {layer}", name].append(accuracy)
            found["fine-tuned", source].append(trained_accuracy(folder, settings, learn, held))
            tuned = load_network(folder / "run" / "last.safetensors", needs="classes", device=arguments.device)
            for name in others:
                data = read_training_data(write_table(folder / "other.csv", train=learn, val=domains[name]))
                found["fine-tuned", name].append(accuracy_of(tuned, data.validation))
    for kind in dict.fromkeys(kind for kind, _ in found):
        table.add_row(kind, *(summary(found[kind, name]) for name in (source, *others)))
    return table


def accuracy_of(network: VGG, pictures: Pictures) -> float:
    """Accuracy in percent on the central crops."""
    device, right, count = next(network.parameters()).device, 0, 0
    for batch in track(batches_of(pictures), "testing", transient=True):
        with torch.inference_mode():
            logits = network(batch.images.to(device, memory_format=torch.channels_last))
        right += int((logits.argmax(1).cpu() == batch.targets).sum())
        count += len(batch.targets)
    return 100 * right / count


def plot(found: Mapping[tuple[str, int], Sequence[float]], counts: Sequence[int], file: str) -> None:
    """The accuracies by layer; bars are from the lowest to the highest seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for count in counts:
        means = [statistics.mean(found[layer, count]) for layer in LAYERS]
        spread = [
            [mean - min(found[layer, count]) for layer, mean in zip(LAYERS, means, strict=True)],
            [max(found[layer, count]) - mean for layer, mean in zip(LAYERS, means, strict=True)],
        ]
        axes.errorbar(LAYERS, means, spread, fmt="o-", capsize=4, label=f"{count} pictures per class")
    axes.set(ylabel="accuracy, %", ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    figure.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["layers", "pictures", "domains"])
    parser.add_argument("data", help="a folder with a folder per class; for domains, with such folders")
    parser.add_argument("--train", default="photo", help="the domain to train on")
    parser.add_argument("--others", nargs="+", default=["art_painting", "cartoon", "sketch"], help="those to test on")
    parser.add_argument("--backbone", default="auto")
    parser.add_argument("--classes", type=int, help="number of classes, chosen at random; all by default")
    parser.add_argument("--leave-out", nargs="*", default=["BACKGROUND_Google"], help="classes to leave out")
    parser.add_argument("--pictures", type=int, nargs="+", default=[5, 15, 30], help="training pictures per class")
    parser.add_argument("--test", type=int, default=20, help="test pictures per class at most, of one seed")
    parser.add_argument("--most", type=int, default=60, help="pictures per class at most")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20, help="of fine-tuning")
    parser.add_argument("--freeze-to", nargs="+", default=["pool4", "relu5_3"], help="where fine-tuning begins")
    parser.add_argument("--arch", default="32-64x2-128x2-256x2-512x2_bn", help="the network from scratch")
    parser.add_argument("--size", type=int, default=128, help="its pictures, in pixels")
    parser.add_argument("--scratch-epochs", type=int, default=40)
    parser.add_argument("--plot", help="a file for the picture of layers, layers.png")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if arguments.part == "domains":
        Console().print(measure_domains(arguments))
        return
    classes = classes_of(Path(arguments.data), arguments.most, arguments.classes, arguments.leave_out)
    Console().print({"layers": measure_layers, "pictures": measure_pictures}[arguments.part](arguments, classes))


if __name__ == "__main__":
    main()
