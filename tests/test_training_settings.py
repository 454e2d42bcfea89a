"""Recipes: the paper's constants, and how options replace them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import nn

from vggapps.errors import SettingsError
from vggapps.settings import from_dict, to_dict
from vggapps.training import RECIPES, FinetuneSettings, FitSettings, TrainSettings
from vggapps.training._optimizers import DROP, DROPS, make_optimizer
from vggapps.vgg import VGG
from vggapps.vgg._plan import get_plan


def test_the_recipe_paper_is_section_3_1_of_the_paper() -> None:
    """Simonyan & Zisserman, ICLR 2015 (arXiv 1409.1556), section 3.1; quotations in the comments."""
    paper = TrainSettings(recipe="paper")
    assert paper.batch == 256  # "The batch size was set to 256"
    assert paper.weight_decay == 5e-4  # "the L2 penalty multiplier set to 5 · 10^-4"
    assert paper.learning_rate == 1e-2  # "The learning rate was initially set to 10^-2"
    assert (DROP, DROPS) == (0.1, 3)  # "decreased by a factor of 10 ... In total ... 3 times"
    assert paper.schedule == "plateau"  # "when the validation set accuracy stopped improving"
    assert paper.epochs == 74  # "the learning was stopped after 370K iterations (74 epochs)"
    assert (paper.label_smoothing, paper.mixup, paper.cutmix, paper.ema, paper.clip) == (0, 0, 0, 0, 0)
    assert (paper.head, paper.arch, paper.augment) == ("fc", "vgg16", "paper")
    (group, _) = make_optimizer(nn.Linear(2, 2), paper.fit_settings()).param_groups
    assert (group["momentum"], group["nesterov"]) == (0.9, False)  # "momentum ... 0.9"
    dropout = [m.p for m in VGG("vgg11", classes=2).modules() if isinstance(m, nn.Dropout)]
    assert dropout == [0.5, 0.5]  # "dropout regularisation for the first two fully-connected layers (... 0.5)"


@pytest.mark.parametrize(("text", "bounds"), [("256", (256, 256)), ("384", (384, 384)), ("256-512", (256, 512))])
def test_the_scales_of_the_paper_are_fixed_or_jittered(text: str, bounds: tuple[int, int]) -> None:
    assert TrainSettings(recipe="paper", scales=text).scale_range() == bounds


@pytest.mark.parametrize("text", ["", "256-", "512-256", "0", "256-512-768", "large"])
def test_other_scales_are_an_error(text: str) -> None:
    with pytest.raises(SettingsError, match="give it as 256, 384 or 256-512"):
        TrainSettings(scales=text)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_sets_the_same_fields_which_exist(recipe: Any) -> None:
    known = {field.name for field in fields(TrainSettings)}
    assert RECIPES[recipe].keys() == RECIPES["modern"].keys() <= known
    made = TrainSettings(recipe=recipe)
    assert not [name for name in RECIPES[recipe] if getattr(made, name) is None]
    get_plan(made.arch)


def test_options_replace_what_the_recipe_sets() -> None:
    assert TrainSettings(mixup=0.0).mixup == 0
    assert TrainSettings(recipe="paper", head="gap", optimizer="adamw").optimizer == "adamw"
    assert FinetuneSettings(epochs=3).epochs == 3
    assert FinetuneSettings().recipe == "finetune"


def test_another_optimizer_has_the_rate_and_decay_of_the_recipe_that_is_for_it() -> None:
    modern, tuned = TrainSettings(optimizer="adamw", batch=32), FinetuneSettings()
    assert (modern.learning_rate, modern.weight_decay) == (tuned.learning_rate, tuned.weight_decay)
    assert TrainSettings(optimizer="adamw", weight_decay=0.1).weight_decay == 0.1
    other = FinetuneSettings(optimizer="sgd", batch=128, weights="auto")
    assert (other.learning_rate, other.weight_decay) == (TrainSettings().learning_rate, TrainSettings().weight_decay)


def test_the_rate_of_adamw_follows_the_root_of_the_batch() -> None:
    assert FinetuneSettings(batch=128).learning_rate == pytest.approx(2 * FinetuneSettings(batch=32).learning_rate)


def test_learning_rates_follow_the_batch_unless_they_are_given() -> None:
    """Linear scaling: Goyal et al. 2017 (arXiv 1706.02677), section 2.1."""
    assert TrainSettings(batch=256).learning_rate == 2 * TrainSettings().learning_rate
    assert TrainSettings(recipe="paper", batch=64).learning_rate == pytest.approx(0.0025)
    assert TrainSettings(batch=256, learning_rate=0.01).learning_rate == 0.01
    assert TrainSettings(arch="vgg16").learning_rate == pytest.approx(TrainSettings().learning_rate / 5)


def test_warm_up_takes_at_most_a_fifth_of_a_run() -> None:
    assert TrainSettings().warmup == 3
    assert TrainSettings(epochs=5).warmup == 1
    assert TrainSettings(schedule="plateau").warmup == 0
    with pytest.raises(SettingsError, match=r"warmup=2\.0 has an effect only with another schedule"):
        TrainSettings(schedule="plateau", warmup=2.0)


@pytest.mark.parametrize("settings", [TrainSettings(recipe="paper", seed=3), FinetuneSettings(cache=False)])
def test_settings_survive_a_checkpoint(settings: TrainSettings | FinetuneSettings) -> None:
    assert from_dict(type(settings), to_dict(settings)) == settings


def test_wrong_words_are_refused_with_the_choices() -> None:
    with pytest.raises(SettingsError, match=r"no recipe 'moden' .did you mean 'modern'"):
        TrainSettings(recipe="moden")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"no optimizer 'adam' .did you mean 'adamw'"):
        TrainSettings(optimizer="adam")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="use gap or fc"):
        TrainSettings(head="none")


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (TrainSettings, {"scales": "384"}),
        (TrainSettings, {"cache": True}),
        (TrainSettings, {"patience": 2}),
        (FinetuneSettings, {"init": "glorot"}),
    ],
)
def test_an_option_without_effect_is_refused(kind: type[TrainSettings], values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="has an effect only with"):
        kind(**values)


def test_weights_of_one_dimension_do_not_decay() -> None:
    network = VGG("8-8_bn", head="gap", classes=2)
    groups = make_optimizer(network, FitSettings(weight_decay=0.1)).param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            is_weight = isinstance(module, nn.Conv2d | nn.Linear) and name == "weight"
            assert decays[id(parameter)] == (0.1 if is_weight else 0)
    assert len(decays) == len(list(network.parameters()))
    assert torch.is_tensor(groups[0]["params"][0])
