"""Explanations: against captum's and pytorch-grad-cam's, how faithful they are, and whether they heed the weights.

    python benchmarks/explain.py [--only agreement|faithfulness|sanity] [--methods grad-cam lrp ...] [--count 8]
    python benchmarks/explain.py --only faithfulness --pictures FOLDER --dtype bfloat16

On the installed VGG-19 with its head, at 224 pixels. ``agreement``: float32, one picture; the largest difference,
relative to the largest value. Theirs of the whole network where they take it; captum's LRP knows no such head, so it
explains a channel of relu5_4. CAMs are compared as pytorch-grad-cam gives them: positive part, scaled to [0, 1],
enlarged. ``faithfulness``: of the class that the network finds, means over the pictures. ``sanity``: rank correlation
with the trained network's map, on two of the pictures. Needs the development packages ``captum`` and ``grad-cam``.
RISE, Score-CAM and Ablation-CAM take most of the time: ``--methods`` leaves them out.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from classify import table
from torch import Tensor, nn

from vggapps.explanation import (
    METHODS,
    Question,
    ask,
    completeness,
    explain_batch,
    input_size,
    lrp,
    measure_faithfulness,
    predicted_classes,
    randomization_test,
)
from vggapps.image import open_picture, resize, scan_folder
from vggapps.vgg import VGG, accelerate
from vggapps.weights import load_vgg

warnings.filterwarnings("ignore")
PICTURES = Path(__file__).parents[1] / "assets" / "content"
CHANNEL = 200
CAMS = {
    "grad-cam": "GradCAM",
    "grad-cam++": "GradCAMPlusPlus",
    "layer-cam": "LayerCAM",
    "hires-cam": "HiResCAM",
    "score-cam": "ScoreCAM",
    "ablation-cam": "AblationCAM",
}


def opened(folder: Path, count: int) -> list[Tensor]:
    """So many pictures, from all over the folder; their middle, 224 pixels a side."""
    files = scan_folder(folder, deep=False).pictures
    found = []
    for file in files[:: max(1, len(files) // count)][:count]:
        rgb = open_picture(file).rgb
        large = resize(rgb, input_size(rgb.shape[2], rgb.shape[3], 224))
        top, left = (large.shape[2] - 224) // 2, (large.shape[3] - 224) // 2
        found.append(large[:, :, top : top + 224, left : left + 224].clone())
    return found


class Channel(nn.Module):
    """The mean over positions of relu5_4's channels, of layers that captum knows."""

    def __init__(self, vgg: VGG) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for name, module in vgg.named_children():
            pool = name.startswith("pool")
            layers.append(nn.MaxPool2d(2) if pool else nn.ReLU() if name.startswith("relu") else module)
            if name == "relu5_4":
                break
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).flatten(1)


def theirs(name: str, vgg: VGG, image: Tensor, index: int) -> Tensor | None:
    """A package's explanation; None where no package has the method in the same form."""
    from captum import attr

    x, blank = image.clone().requires_grad_(), ask(vgg, index).blank(image)
    if name in CAMS:
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        with getattr(pytorch_grad_cam, CAMS[name])(vgg, [vgg.get_submodule("relu5_4")]) as cam:
            return torch.from_numpy(cam(x, [ClassifierOutputTarget(index)]))[None]
    rivals: dict[str, Callable[[], Tensor]] = {
        "gradient": lambda: attr.Saliency(vgg).attribute(x, index, abs=False),
        "gradient-x-input": lambda: attr.Saliency(vgg).attribute(x, index, abs=False) * (image - blank),
        "guided-backprop": lambda: attr.GuidedBackprop(vgg).attribute(x, index),
        "deconvnet": lambda: attr.Deconvolution(vgg).attribute(x, index),
        "integrated-gradients": lambda: attr.IntegratedGradients(vgg).attribute(
            x, blank, index, n_steps=50, internal_batch_size=10
        ),
        "occlusion": lambda: attr.Occlusion(vgg).attribute(x, (3, 32, 32), (3, 16, 16), blank, index)[:, :1],
        "lrp": lambda: attr.LRP(Channel(vgg)).attribute(vgg.convention(image).requires_grad_(), CHANNEL),
    }
    return rivals[name]().detach() if name in rivals else None


def ours(name: str, vgg: VGG, image: Tensor, index: int) -> Tensor:
    if name == "lrp":  # captum's default is LRP-0
        return lrp(ask(vgg, f"relu5_4:{CHANNEL}"), image, "zero")
    found = METHODS[name].run(ask(vgg, index), image)
    if name not in CAMS:
        return found
    from pytorch_grad_cam.utils.image import scale_cam_image

    scaled = scale_cam_image(found[0].relu().numpy(), (224, 224))  # for each layer, and again for all together
    return torch.from_numpy(scale_cam_image(scaled))[None]


def agreement(vgg: VGG, images: list[Tensor], methods: Sequence[str]) -> None:
    rows = [("method", "relative difference", "ours s", "theirs s")]
    image, index = images[0], predicted_classes(vgg, images[0])[0]
    for name in methods:
        began = time.perf_counter()
        other = theirs(name, vgg, image, index)
        between = time.perf_counter()
        if other is None:
            continue
        mine = ours(name, vgg, image, index)
        ended = time.perf_counter()
        difference = float((mine - other).abs().max() / other.abs().max())
        rows.append((name, f"{difference:.1e}", f"{ended - between:.2f}", f"{between - began:.2f}"))
    table(*rows)


def faithfulness(vgg: VGG, images: list[Tensor], methods: Sequence[str]) -> None:
    columns = ("deletion", "insertion", "road", "drop", "increase", "completeness")
    rows = [("method", *columns, "seconds", "to measure")]
    for name in methods:
        measured: list[dict[str, float]] = []
        for image in images:
            found = explain_batch(vgg, image, None, name)
            began = time.perf_counter()
            values = measure_faithfulness(found.question, found.image, found.map)
            values |= {"seconds": found.seconds, "to measure": time.perf_counter() - began}
            if METHODS[name].signed and METHODS[name].pixels:
                values["completeness"] = float(completeness(found.question, found.image, found.map))
            measured.append(values)
        means = {column: statistics.fmean(values[column] for values in measured) for column in measured[0]}
        cells = [f"{means[column]:.3f}" if column in means else "" for column in (*columns, "seconds", "to measure")]
        rows.append((name, *cells))
    table(*rows)


def sanity(vgg: VGG, images: list[Tensor], methods: Sequence[str]) -> None:
    rows: list[Sequence[str]] = []
    for name in methods:

        def shown(question: Question, image: Tensor, name: str = name) -> Tensor:
            return explain_batch(question.network, image, question.objective, name).map

        found = [randomization_test(ask(vgg, predicted_classes(vgg, image)[0]), image, shown) for image in images[:2]]
        ranks = [statistics.fmean(float(step.spearman) for step in steps) for steps in zip(*found, strict=True)]
        likeness = statistics.fmean(float(steps[-1].ssim) for steps in found)
        rows = rows or [("method", *(step.layer for step in found[0]), "SSIM at the end")]
        rows.append((name, *(f"{rank:.2f}" for rank in ranks), f"{likeness:.2f}"))
    table(*rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["agreement", "faithfulness", "sanity"])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto", choices=["auto", "float32", "bfloat16"])
    given = parser.parse_args()
    if not given.pictures.is_dir():
        parser.error(f"there is no folder {given.pictures}: name one with --pictures")
    images = opened(given.pictures, given.count)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {len(images)} pictures")
    for part in (agreement, faithfulness, sanity):
        if given.only not in (None, part.__name__):
            continue
        # Agreement in float32: the packages' own statistics would be rounded, too.
        exact = part is agreement
        vgg = accelerate(
            load_vgg("vgg19", head="gap"), "cpu" if exact else given.device, "float32" if exact else given.dtype
        )
        print(f"\n{part.__name__}, {vgg.conv1_1.weight.dtype}\n")
        part(vgg, images, given.methods)


if __name__ == "__main__":
    main()
