"""Contextual losses: what place, order and scale of features mean to them, and what comparing all pairs may take."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.reference import distribution as twins
from vggapps.errors import SettingsError
from vggapps.losses import _distribution as distribution
from vggapps.losses._contextual import cobi, contextual, id_mrf, self_similarity
from vggapps.losses._distribution import mmd, relaxed_emd

Loss = Callable[[Tensor, Tensor], Tensor]


def maps(seed: int, height: int = 4, width: int = 3) -> Tensor:
    return torch.randn(1, 6, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).square()


def shuffled(features: Tensor) -> Tensor:
    order = torch.randperm(features[0, 0].numel(), generator=torch.Generator().manual_seed(0))
    return features.flatten(2)[:, :, order].view_as(features)


@pytest.mark.parametrize("bandwidth", [0.1, 1.0])
@pytest.mark.parametrize("epsilon", [1e-5, 1e-2])
def test_constants_are_where_the_formula_has_them(bandwidth: float, epsilon: float) -> None:
    x, y = maps(1), maps(2, 3, 5)
    options = {"bandwidth": bandwidth, "epsilon": epsilon}
    assert float(contextual(x, y, **options)) == pytest.approx(twins.contextual(x[0].numpy(), y[0].numpy(), **options))
    options |= {"spatial_weight": 0.6, "grid": 3.0}
    assert float(cobi(x, y, **options)) == pytest.approx(twins.cobi(x[0].numpy(), y[0].numpy(), **options))


def test_contextual_does_not_ask_where_features_are_and_cobi_does() -> None:
    x, y = maps(1), maps(2)
    torch.testing.assert_close(contextual(shuffled(x), y), contextual(x, y))
    torch.testing.assert_close(contextual(x, shuffled(y)), contextual(x, y))
    assert float(cobi(shuffled(x), x)) > float(cobi(x, x)) + 0.01


def test_the_spatial_weight_goes_from_features_to_places() -> None:
    x, y = maps(1), maps(2)
    torch.testing.assert_close(cobi(x, y, spatial_weight=0.0), contextual(x, y))
    assert float(cobi(x, y, spatial_weight=1.0)) == pytest.approx(0, abs=1e-9)  # each place is its own nearest


def test_indifferent_features_share_alike() -> None:
    """Without features all targets are equally near: each gets one part of as many."""
    for loss in (contextual, id_mrf):
        assert float(loss(torch.zeros(1, 6, 4, 3), torch.zeros(1, 6, 4, 3))) == pytest.approx(math.log(12))


def test_equal_pictures_are_more_like_than_others() -> None:
    for loss in (contextual, cobi, id_mrf):
        assert float(loss(maps(1), maps(1))) < 0.01 < float(loss(maps(1), maps(2)))


def test_self_similarity_sees_neither_turns_nor_lengths_of_features() -> None:
    """Only the angles between a picture's own features."""
    y = maps(1)
    turn, _ = torch.linalg.qr(maps(2, 6, 1)[0, :, :, 0] + torch.randn(6, 6, dtype=y.dtype))
    x = torch.einsum("ij,njhw->nihw", turn, y) * torch.linspace(0.5, 2, 12, dtype=y.dtype).view(1, 1, 4, 3)
    assert float(self_similarity(x, y)) == pytest.approx(0, abs=1e-12)
    assert float(self_similarity(shuffled(y), y)) > 0.1


@pytest.mark.parametrize("loss", [id_mrf, self_similarity])
def test_maps_of_different_sizes_are_told_where_places_must_match(loss: Loss) -> None:
    with pytest.raises(SettingsError, match=r"3 × 4 and 5 × 3 \(resize"):
        loss(maps(1), maps(2, 3, 5))


class Largest(TorchDispatchMode):
    """How many numbers the largest tensor made has."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, list | tuple) else [made]:
            self.numbers = max(self.numbers, tensor.untyped_storage().nbytes() // 8 if torch.is_tensor(tensor) else 0)
        return made


def numbers_kept_and_largest(loss: Loss, x: Tensor, y: Tensor) -> tuple[int, int]:
    """What autograd keeps between the passes, and the largest tensor made in either."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // 8
        return tensor

    with Largest() as largest:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            found = loss(x.requires_grad_(), y.requires_grad_())
        torch.autograd.grad(found.sum(), (x, y))
    return sum(kept.values()), largest.numbers


@pytest.mark.parametrize("loss", [contextual, cobi, id_mrf, self_similarity, mmd, relaxed_emd])
def test_no_matrix_of_all_pairs_is_ever_made_or_kept(loss: Loss, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, pairs = maps(1, 24, 20), maps(2, 24, 20), (24 * 20) ** 2
    _, whole = numbers_kept_and_largest(loss, x, y)
    assert whole >= pairs  # which the count sees
    monkeypatch.setattr(distribution, "ENTRIES_AT_ONCE", 2**12)
    kept, largest = numbers_kept_and_largest(loss, x, y)
    assert kept < pairs / 2
    assert largest < pairs / 5
