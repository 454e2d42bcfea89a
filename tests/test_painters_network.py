"""A painter against formulas: what it does before the training, at strength 0, between styles, and in parts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.painters._network import STRENGTHS, ConditionalNorm, Painter, statistics_of


@pytest.fixture
def painter() -> Painter:
    """With random weights, as if it were trained."""
    torch.manual_seed(0)
    made = Painter(["waves", "night"], channels=8, blocks=2)
    for name, parameter in made.named_parameters():
        nn.init.normal_(parameter, mean=float("norms" in name), std=0.3)
    return made


def photo(height: int = 40, width: int = 52) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_an_untrained_painter_returns_the_photo() -> None:
    untrained = Painter(["waves"])
    assert torch.equal(untrained(photo(41, 50), untrained.mix({"waves": 1})), photo(41, 50))


def test_strength_0_returns_the_photo(painter: Painter) -> None:
    assert torch.equal(painter(photo(), painter.mix({"night": 1}, strength=0)), photo())
    assert not torch.allclose(painter(photo(), painter.mix({"night": 1}, strength=0.1)), photo(), atol=1e-3)


def test_a_normalization_is_torchs_with_the_scale_and_shift_of_the_style() -> None:
    norm, maps = ConditionalNorm(6, 2), torch.randn(2, 6, 9, 7)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    found = norm(maps, torch.eye(2), statistics_of(maps))
    for row in range(2):
        expected = F.instance_norm(maps[row : row + 1], weight=norm.weight[row], bias=norm.bias[row])
        torch.testing.assert_close(found[row : row + 1], expected)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_style_has_scales_and_shifts_of_its_own_for_some_strengths(painter: Painter, strength: float) -> None:
    mix = painter.mix({"night": 3}, strength).view(2, len(STRENGTHS))
    assert mix[1, STRENGTHS.index(strength)] == 1
    assert mix.sum() == 1


@pytest.mark.parametrize(("strength", "weights"), [(0.1, (0.4, 0, 0)), (0.4, (0.4, 0.6, 0)), (0.8, (0, 0.4, 0.6))])
def test_between_them_they_are_interpolated(painter: Painter, strength: float, weights: tuple[float, ...]) -> None:
    assert painter.mix({"waves": 1}, strength)[0, :3].tolist() == pytest.approx(weights, abs=1e-6)


def test_a_mixture_is_in_proportion_to_the_weights(painter: Painter) -> None:
    one, other = painter.mix({"waves": 1}), painter.mix({"night": 1})
    torch.testing.assert_close(painter.mix({"waves": 1, "night": 3}), 0.25 * one + 0.75 * other)


def test_pictures_of_a_batch_do_not_touch_each_other(painter: Painter) -> None:
    pair, mixes = torch.cat([photo(), photo().flip(3)]), torch.cat([painter.mix({n: 1}) for n in painter.styles])
    alone = torch.cat([painter(pair[i : i + 1], mixes[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(painter(pair, mixes), alone)


def test_a_part_with_the_statistics_of_the_whole_is_a_part_of_the_whole(painter: Painter) -> None:
    whole, mix = photo(120, 96), painter.mix({"waves": 1}, 0.7)
    statistics = painter.statistics(whole, mix)
    painted = painter(whole, mix)
    torch.testing.assert_close(painter(whole, mix, statistics), painted)
    top, bottom = 60 - 4 - painter.reach, 60 + painter.reach
    part = painter(whole[:, :, top:bottom], mix, statistics)
    torch.testing.assert_close(part[:, :, painter.reach : painter.reach + 4], painted[:, :, 56:60])


def test_the_reach_is_that_of_the_gradient(painter: Painter) -> None:
    """Measured on one pixel, without statistics, which depend on the whole picture."""
    whole, mix = photo(128, 128), painter.mix({"waves": 1})
    statistics = painter.statistics(whole, mix)
    whole.requires_grad_()
    painter(whole, mix, statistics)[0, :, 66, 66].sum().backward()
    assert whole.grad is not None
    rows = whole.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    reached = max(66 - int(rows[0]), int(rows[-1]) - 66)
    assert painter.reach - 8 < reached <= painter.reach


@pytest.mark.parametrize(
    ("styles", "strength", "words"),
    [
        ({"wave": 1}, 0.5, "waves"),
        ({"waves": -1, "night": 2}, 0.5, "positive"),
        ({}, 0.5, "positive"),
        ({"waves": 1}, 1.5, "strength is 1.5"),
    ],
)
def test_what_is_wrong_is_said(painter: Painter, styles: dict[str, float], strength: float, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        painter.mix(styles, strength)
    assert words in f"{caught.value.message} {caught.value.hint}"
