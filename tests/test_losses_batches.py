"""Prepared targets in data sets, and masks that were forgotten at one of two pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from tests.reference.narrow import perceptual, pictures
from vggapps.errors import SettingsError
from vggapps.losses import Bundle, BundleTarget, PerceptualLoss, Target
from vggapps.losses._feature_loss import FeatureLoss

X, Y = pictures(1, 5), pictures(2, 5)
MASK = torch.zeros(1, 1, 37, 46)
MASK[..., 4:30, 8:20] = 1
ONES = torch.ones(1, 1, 37, 46)


def mixed() -> PerceptualLoss:
    """Maps and moments."""
    return perceptual("relu2_1", style_layers=["relu1_1"], reduction="none")


LOSSES: dict[str, Any] = {
    "maps and moments": mixed,
    "bundle": lambda: Bundle({"a": mixed(), "pixels": lambda x, y: (x - y).abs().mean((1, 2, 3))}),
}


class Prepared(Dataset[tuple[Tensor, Any, int]]):
    """Pictures with prepared targets, as a data set gives them."""

    def __init__(self, target: Target | BundleTarget) -> None:
        self.target = target

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> tuple[Tensor, Any, int]:
        return X[index], self.target[index], index


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("workers", [0, 1])
def test_a_loaders_batches_of_prepared_targets_are_those_of_the_pictures(name: str, workers: int) -> None:
    loss = LOSSES[name]()
    expected = loss(X, Y)
    seen = []
    loader = DataLoader(
        Prepared(loss.prepare(Y)), batch_size=2, shuffle=True, num_workers=workers,
        generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    for x, target, index in loader:
        assert type(target) is type(loss.prepare(Y[:1]))
        torch.testing.assert_close(loss(x, target), expected[index])
        seen += index.tolist()
    assert sorted(seen) == list(range(5))


def test_targets_in_dictionaries_collate_and_stack_says_the_same() -> None:
    loss = mixed()
    ones = [{"x": x, "target": loss.prepare(y[None])} for x, y in zip(X, Y, strict=True)]
    batch = default_collate(ones)
    torch.testing.assert_close(loss(batch["x"], batch["target"]), loss(X, Y))
    stacked = Target.stack([one["target"] for one in ones])
    torch.testing.assert_close(loss(X, stacked), loss(X, Y))
    torch.testing.assert_close(loss(X, Target.stack([stacked[:3], stacked[3:]])), loss(X, Y))


def test_targets_that_are_no_batch_are_told() -> None:
    loss = perceptual("relu2_1", "gram")
    small, target = loss.prepare(pictures(3, 1, 20, 20)), loss.prepare(Y[:1])
    for other in (perceptual("relu1_1", "gram").prepare(Y[:1]), loss.prepare(Y[:1], mask=MASK)):
        with pytest.raises(
            SettingsError, match=r"different losses, or with a mask and without.*\(prepare all with the same"
        ):
            default_collate([target, other])
    with pytest.raises(
        SettingsError, match=r"pictures of different sizes can't be one batch \(resize the pictures to one size"
    ):
        default_collate([target, small])
    maps = perceptual("relu2_1")
    with pytest.raises(SettingsError, match="pictures of different sizes"):
        Target.stack([maps.prepare(Y[:1]), maps.prepare(pictures(3, 1, 20, 20))])
    with pytest.raises(SettingsError, match="targets of different bundles"):
        default_collate([Bundle({name: loss}).prepare(Y[:1]) for name in ("a", "b")])


# masks


def test_a_mask_forgotten_at_the_target_of_a_style_is_told_with_the_way_out() -> None:
    loss = perceptual("relu2_1", "gram-johnson")
    forgotten = loss.prepare(Y)
    with pytest.raises(SettingsError, match=r"prepared without one \(pass its own.*torch\.ones_like\(y\[:, :1"):
        loss(X, forgotten, mask=MASK)
    torch.testing.assert_close(loss(X, loss.prepare(Y, mask=MASK), mask=MASK), loss(X, Y, mask=MASK))
    whole = loss(X, loss.prepare(Y, mask=torch.ones_like(Y[:, :1])), mask=MASK)  # of a region, towards the whole
    assert whole != loss(X, Y, mask=MASK)
    torch.testing.assert_close(loss(X, loss.prepare(Y, mask=ONES), mask=ONES), loss(X, Y))


@pytest.mark.parametrize("criterion", ["l1", "cosine", "gram", "wasserstein"])
def test_a_mask_forgotten_at_the_picture_is_told_with_the_way_out(criterion: str) -> None:
    loss = perceptual("relu2_1", criterion)
    target = loss.prepare(Y, mask=MASK)
    with pytest.raises(SettingsError, match=r"the picture is given without one \(pass one: loss\(x, target, mask=mask"):
        loss(X, target)
    assert loss(X, target, mask=ONES).isfinite()


def test_of_maps_a_target_without_a_mask_serves_pictures_with_any() -> None:
    """For it is at the picture that positions are weighted."""
    loss = perceptual("relu2_1", "l2")
    target = loss.prepare(Y)
    for mask in (MASK, ONES, None):
        torch.testing.assert_close(loss(X, target, mask=mask), loss(X, Y, mask=mask))
    torch.testing.assert_close(loss(X, loss.prepare(Y, mask=MASK), map=True), loss(X, Y, map=True))


def test_each_part_remembers_its_mask_through_files_batches_and_styles(tmp_path: Path) -> None:
    loss = mixed()
    painting = pictures(6, 1, 50, 33)
    ones = torch.ones(1, 1, 50, 33)
    target = loss.prepare(Y, mask=MASK, style=painting, style_mask=ones)
    assert target.masked == ("content.relu2_1", "style.relu1_1")
    half = loss.prepare(Y, mask=MASK, style=painting)
    assert half.masked == ("content.relu2_1",)
    with pytest.raises(SettingsError, match="the target was prepared without one"):
        loss(X, half, mask=MASK)
    half.save(tmp_path / "t.safetensors")
    for kept in (Target.load(tmp_path / "t.safetensors"), half[0], half.to(torch.float32), Target.stack(list(half))):
        assert kept.masked == half.masked
    found = loss.breakdown(X, target, mask=MASK)
    torch.testing.assert_close(found["content.relu2_1"], loss.breakdown(X, Y, mask=MASK)["content.relu2_1"])


def test_a_bundle_tells_it_too() -> None:
    losses: dict[str, FeatureLoss] = {"style": perceptual("relu1_1", "gram"), "content": perceptual("relu2_1")}
    bundle = Bundle(losses)
    with pytest.raises(SettingsError, match="the target was prepared without one"):
        bundle(X, bundle.prepare(Y), mask=MASK)
    with pytest.raises(SettingsError, match="the picture is given without one"):
        bundle(X, bundle.prepare(Y, mask=MASK))
    bundle(X, bundle.prepare(Y), mask={"content": MASK})
