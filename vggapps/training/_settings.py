"""Settings of training, and the recipes that fill in what is not given."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar, Literal

from vggapps.errors import SettingsError, argument, unknown
from vggapps.settings import check, setting
from vggapps.vgg._plan import Device, Dtype, Head
from vggapps.vgg._settings import device_setting

Recipe = Literal["modern", "paper", "finetune"]
Optimizer = Literal["sgd", "nesterov", "adamw"]
Schedule = Literal["cosine", "plateau", "constant"]
Augmentation = Literal["auto", "crops", "shifts", "paper", "none"]

RECIPES: dict[Recipe, dict[str, Any]] = {
    "modern": {
        "epochs": 30, "batch": 128, "optimizer": "nesterov", "learning_rate": 0.05, "weight_decay": 5e-4,
        "schedule": "cosine", "warmup": 3.0, "label_smoothing": 0.1, "mixup": 0.2, "cutmix": 0.0, "ema": 0.999,
        "clip": 5.0, "arch": "vgg16_bn", "weights": "none", "head": "gap", "init": "he", "augment": "auto",
        "freeze_to": "none", "layer_decay": 1.0,
    },
    # Section 3.1 of the paper. The patience of its learning rate schedule and the clipping are not stated there.
    "paper": {
        "epochs": 74, "batch": 256, "optimizer": "sgd", "learning_rate": 0.01, "weight_decay": 5e-4,
        "schedule": "plateau", "warmup": 0.0, "label_smoothing": 0.0, "mixup": 0.0, "cutmix": 0.0, "ema": 0.0,
        "clip": 0.0, "arch": "vgg16", "weights": "none", "head": "fc", "init": "glorot", "augment": "paper",
        "freeze_to": "none", "layer_decay": 1.0,
    },
    "finetune": {
        "epochs": 20, "batch": 32, "optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.05,
        # Label smoothing and mixup draw a head away from the probe that it begins with: 4 points worse with 5 pictures
        # per class, 1 with 30 (3 seeds, 10 classes of Caltech-101).
        "schedule": "cosine", "warmup": 1.0, "label_smoothing": 0.0, "mixup": 0.0, "cutmix": 0.0, "ema": 0.99,
        "clip": 5.0, "arch": "vgg19", "weights": "auto", "head": "gap", "init": "he", "augment": "auto",
        "freeze_to": "auto", "layer_decay": 0.1,
    },
}  # fmt: skip
"""What each recipe sets; every value can be replaced by an option."""

OPTIMIZATION, AUGMENTATION, NETWORK, SPEED = "Optimization", "The pictures", "The network", "Speed and memory"
_run = partial(setting, panel="The run")
_optimization = partial(setting, panel=OPTIMIZATION)


@dataclass(frozen=True)
class FitSettings:
    """Settings of :func:`~vggapps.training.fit`, for any network."""

    epochs: int = _run(30, minimum=1, metavar="N", help="Passes over the data.")
    optimizer: Optimizer = _optimization("adamw", help="SGD with momentum 0.9, plain or Nesterov's; or AdamW.")
    learning_rate: float = _optimization(1e-3, minimum=0, metavar="RATE", help="The highest learning rate.")
    weight_decay: float = _optimization(
        0.0, minimum=0, help="Weight decay of weights; biases and normalization layers have none."
    )
    schedule: Schedule = _optimization(
        "cosine", help="Learning rate: falls to 0 as a cosine; divided by 10, three times, on a plateau; or constant."
    )
    warmup: float = _optimization(0.0, minimum=0, metavar="EPOCHS", help="Epochs of linear warm-up.")
    patience: int = _optimization(
        5, minimum=1, metavar="N", help="Epochs without improvement before the plateau schedule lowers the rate."
    )
    clip: float = _optimization(
        0.0, minimum=0, metavar="NORM", help="Largest norm of the gradient; larger ones are scaled down; 0: no limit."
    )
    ema: float = _optimization(
        0.0, minimum=0, maximum=0.99999, metavar="DECAY", help="Decay of the averaged weights that are used; 0: none."
    )
    accumulate: int = setting(
        1, minimum=1, metavar="N", help="Batches whose gradients are added up for one step.", panel=SPEED
    )
    dtype: Dtype = setting(
        "auto", help="Dtype of convolutions; auto is bfloat16 if the device has instructions for it.", panel=SPEED
    )
    compile: bool = setting(False, help="Compile the network, which pays for runs of many minutes.", panel=SPEED)
    seed: int = _run(0, minimum=0, metavar="N", help="Seed of weights, order and augmentation.")

    def __post_init__(self) -> None:
        check(self)
        if self.schedule == "plateau" and self.warmup:
            raise _without_effect("warmup", self.warmup, "another schedule than plateau")
        if self.schedule != "plateau" and self.patience != 5:
            raise _without_effect("patience", self.patience, f"{argument('schedule', 'plateau')}")


def _without_effect(name: str, value: Any, needed: str) -> SettingsError:
    return SettingsError(f"{argument(name, value)} has an effect only with {needed}", "leave it out")


def _by_recipe(name: str, help: str, **more: Any) -> Any:
    """A field that the recipe fills in; the help lists the recipes' values."""
    values: dict[str, list[str]] = {}
    for recipe, table in RECIPES.items():
        values.setdefault(f"{table[name]:g}" if isinstance(table[name], float) else str(table[name]), []).append(recipe)
    listed = "; ".join(f"{value} ({', '.join(of)})" for value, of in values.items())
    return setting(None, help=f"{help} Default: {next(iter(values)) if len(values) == 1 else listed}.", **more)


@dataclass(frozen=True, kw_only=True)
class RunSettings(FitSettings):
    """Settings of a training run of a classifier; those that are not given are the recipe's."""

    recipe: ClassVar[Recipe] = "modern"  # TrainSettings makes it a field

    epochs: int = _by_recipe("epochs", "Passes over the data.", minimum=1, metavar="N", panel="The run")
    batch: int = _by_recipe("batch", "Pictures in a batch.", minimum=1, metavar="N", panel="The run")
    validation: float = _run(0.2, minimum=0.01, maximum=0.9, metavar="SHARE", help="Share held out for validation.")
    stop_after: int = _run(
        0, minimum=0, metavar="N", help="Stop after N epochs without a better validation accuracy; 0: never."
    )

    arch: str = _by_recipe(
        "arch", "A network, vgg16_bn, or an own one: 32x2-64x2-128x3_bn.", metavar="NAME", panel=NETWORK
    )
    weights: str = _by_recipe(
        "weights", "Weights to start from: none, auto, a name of `vggapps weights list`, or a file.",
        metavar="NAME|FILE|none", panel=NETWORK, files=True,
    )  # fmt: skip
    head: Head = _by_recipe("head", "Layers after the convolutions.", metavar="gap|fc", panel=NETWORK)
    init: str = _by_recipe(
        "init", "Random weights: he, glorot, paper, or staged=FILE: the first four convolutions and the fully "
        "connected layers of a trained network.", metavar="he|glorot|paper|staged=FILE", panel=NETWORK,
    )  # fmt: skip
    freeze_to: str = _by_recipe(
        "freeze_to", "The last layer whose weights stay as they are: auto, that before the last convolution; none "
        "trains all.", metavar="LAYER|auto|none", panel=NETWORK,
    )  # fmt: skip
    normalize: bool = setting(
        False, help="First rescale channels to a mean of 1, exactly (networks without batch norm).", panel=NETWORK
    )

    size: int | None = setting(
        None, minimum=8, maximum=1024, metavar="PIXELS", panel=AUGMENTATION,
        help="Side of the training crops. Default: 224; of smaller pictures their side.",
    )  # fmt: skip
    scales: str = setting(
        "256", metavar="S|S-S", panel=AUGMENTATION,
        help="Shorter side for paper augmentation: 256, 384, or jittered: 256-512.",
    )  # fmt: skip
    augment: Augmentation = _by_recipe("augment", "Augmentation of the pictures.", panel=AUGMENTATION)
    flip: bool = setting(True, help="Mirror pictures at random; not for digits or text.", panel=AUGMENTATION)
    mixup: float = _by_recipe("mixup", "Alpha of MixUp; 0: none.", minimum=0, metavar="ALPHA", panel=AUGMENTATION)
    cutmix: float = _by_recipe("cutmix", "Alpha of CutMix; 0: none.", minimum=0, metavar="ALPHA", panel=AUGMENTATION)
    balance: bool | None = setting(
        None, panel=AUGMENTATION,
        help="Draw all classes equally often. Default: if the largest is more than 3 times the smallest.",
    )  # fmt: skip

    optimizer: Optimizer = _by_recipe(
        "optimizer", "SGD with momentum 0.9, plain or Nesterov's; or AdamW.", panel=OPTIMIZATION
    )
    learning_rate: float = _by_recipe(
        "learning_rate", "The highest learning rate, for the recipe's optimizer and batch; by default it is scaled "
        "with the batch, and a fifth for modern without batch norm.", minimum=0, metavar="RATE", panel=OPTIMIZATION,
    )  # fmt: skip
    layer_decay: float = _by_recipe(
        "layer_decay", "Learning rate of each block relative to the one after it.", minimum=0, maximum=1,
        metavar="FACTOR", panel=OPTIMIZATION,
    )  # fmt: skip
    weight_decay: float = _by_recipe("weight_decay", "Weight decay of weights.", minimum=0, panel=OPTIMIZATION)
    schedule: Schedule = _by_recipe(
        "schedule", "Learning rate: falls to 0 as a cosine; divided by 10, three times, on a plateau; or constant.",
        panel=OPTIMIZATION,
    )  # fmt: skip
    warmup: float = _by_recipe(
        "warmup", "Epochs of linear warm-up, at most a fifth of all.", minimum=0, metavar="EPOCHS", panel=OPTIMIZATION
    )
    label_smoothing: float = _by_recipe(
        "label_smoothing", "Label smoothing.", minimum=0, maximum=0.9, panel=OPTIMIZATION
    )
    ema: float = _by_recipe(
        "ema", "Decay of the averaged weights that are kept; 0: none.", minimum=0, maximum=0.99999, metavar="DECAY",
        panel=OPTIMIZATION,
    )  # fmt: skip
    clip: float = _by_recipe(
        "clip", "Largest norm of the gradient; 0: no limit.", minimum=0, metavar="NORM", panel=OPTIMIZATION
    )

    device: Device = device_setting(SPEED)
    workers: int | None = setting(
        None, minimum=0, maximum=256, metavar="N", panel=SPEED,
        help="Processes that read pictures. Default: 0 on a CPU; one for each of up to 16 cores beside a GPU.",
    )  # fmt: skip
    cache: bool | None = setting(
        None, panel=SPEED,
        help="Compute the frozen layers once. Default: if nothing is augmented before them and there is room.",
    )  # fmt: skip
    checkpointing: bool = setting(
        False, help="Recompute activations in the backward pass: less memory, about a third more time.", panel=SPEED
    )
    tensorboard: bool = setting(False, help="Also log for TensorBoard.", panel=SPEED)

    def __post_init__(self) -> None:
        recipe = self.recipe if isinstance(self.recipe, str) else type(self.recipe).__name__
        if recipe not in RECIPES:
            raise unknown("recipe", recipe, RECIPES)
        table = RECIPES[self.recipe]
        given = {name for name in table if getattr(self, name) is not None}
        for name in table.keys() - given:
            object.__setattr__(self, name, table[name])
        check(self)
        if "warmup" not in given:
            object.__setattr__(self, "warmup", 0.0 if self.schedule == "plateau" else min(self.warmup, self.epochs / 5))
        adaptive = self.optimizer == "adamw"
        if adaptive != (table["optimizer"] == "adamw"):
            # A rate of SGD is far too high for AdamW: those of a recipe for this optimizer are used.
            table = RECIPES["finetune" if adaptive else "modern"]
        if "weight_decay" not in given:
            object.__setattr__(self, "weight_decay", table["weight_decay"])
        if "learning_rate" not in given:
            # With the batch for SGD (Goyal et al. 2017, arXiv 1706.02677, section 2.1), with its root for Adam
            # (Malladi et al., NeurIPS 2022, arXiv 2205.10287).
            scale = (self.batch / table["batch"]) ** (0.5 if adaptive else 1)
            plain = table is RECIPES["modern"] and self.weights == "none" and not self.arch.endswith("_bn")
            object.__setattr__(self, "learning_rate", table["learning_rate"] * scale / (5 if plain else 1))
        super().__post_init__()
        if self.head not in ("gap", "fc"):
            raise SettingsError(f"{argument('head', self.head)} has no classes", "use gap or fc")
        self.scale_range()
        if self.scales != "256" and self.augment != "paper":
            raise _without_effect("scales", self.scales, f"{argument('augment', 'paper')}")
        if "init" in given and self.weights != "none" and self.init != table["init"]:
            raise _without_effect("init", self.init, f"{argument('weights', 'none')}")
        if self.cache and self.freeze_to == "none":
            raise _without_effect("cache", True, "frozen layers")

    def scale_range(self) -> tuple[int, int]:
        """The bounds of ``scales``."""
        found = re.fullmatch(r"(\d{2,4})(?:-(\d{2,4}))?", self.scales, re.ASCII)
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if low > high:
            raise SettingsError(f"{argument('scales')} is {self.scales}", "give it as 256, 384 or 256-512")
        return low, high

    def fit_settings(self) -> FitSettings:
        """Those of the loop."""
        return FitSettings(**{field.name: getattr(self, field.name) for field in fields(FitSettings)})


@dataclass(frozen=True, kw_only=True)
class TrainSettings(RunSettings):
    """Settings of ``vggapps train``."""

    recipe: Recipe = _run(  # type: ignore[misc]
        "modern", help="What converges for VGG with batch norm; the paper's section 3.1; or fine-tuning."
    )


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(RunSettings):
    """Settings of ``vggapps finetune``."""

    recipe: ClassVar[Recipe] = "finetune"
