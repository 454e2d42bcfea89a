"""The training of painters: its loss is that of style transfer, and a training can be interrupted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.image import open_picture, resize
from vggapps.losses._moments import moments
from vggapps.losses._variation import total_variation
from vggapps.painters import PainterSettings, train_painter
from vggapps.painters._loss import PainterLoss, Wanted
from vggapps.painters._motion import known, moved, random_motion
from vggapps.style import StylizeSettings, load_backbone
from vggapps.style._styles import Painting
from vggapps.training import Pictures
from vggapps.training._pictures import Files

ASSETS = Path(__file__).parents[1] / "assets"
VILLAGE, HILLS = "content/village.jpg", "style/starry-hills.jpg"
SETTINGS = StylizeSettings(dtype="float32", device="cpu")
QUICK = PainterSettings(steps=3, batch=2, crop=64, size=128, dtype="float32", device="cpu")


def random(seed: int, *size: int) -> Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    folder = tmp_path_factory.mktemp("photos")
    paths = tuple(str(folder / f"{index}.png") for index in range(5))
    for seed, path in enumerate(paths):
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (90, 120, 3), np.uint8)).save(path)
    return Pictures(paths, (0,) * 5, Files(paths))


def test_the_loss_is_that_of_style_transfer_at_both_sizes() -> None:
    """Written out: relative distances of covariance and mean, relative squared error of content, total variation."""
    vgg, style, photo, painted = load_backbone(SETTINGS), *(random(seed, 1, 3, 64, 64) for seed in range(3))
    loss = PainterLoss(vgg, [[Painting(style, None, 1.0)]], (64, 64), SETTINGS)
    found = loss(painted, Wanted(photo, torch.tensor([0]), 0.5))
    weights = SETTINGS.style_layer_weights
    values = []
    for side in (64, 32):
        one, other, wanted = (vgg.features(resize(x, (side, side)), SETTINGS.layers) for x in (painted, style, photo))
        layers = []
        for layer, weight in weights.items():
            x, y = moments(one[layer]), moments(other[layer])
            covariance = (x.covariance - y.covariance).norm() / y.covariance.norm()
            layers.append(weight * 0.5 * (covariance + (x.mean - y.mean).norm() / y.mean.norm()))
        content = (one["relu4_2"] - wanted["relu4_2"]).square().mean() / wanted["relu4_2"].square().mean()
        variation = total_variation(resize(painted, (side, side))).mean()
        values.append(sum(layers) / sum(weights.values()) + 0.3 * content + 4 * variation)
    torch.testing.assert_close(found, sum(values) / 2, rtol=1e-4, atol=0)


def test_each_picture_of_a_batch_has_its_own_style() -> None:
    vgg, photos, painted = load_backbone(SETTINGS), random(0, 2, 3, 64, 64), random(1, 2, 3, 64, 64)
    styles = [[Painting(random(seed, 1, 3, 64, 64).square(), None, 1.0)] for seed in (2, 3)]
    loss = PainterLoss(vgg, styles, (64, 64), SETTINGS)
    both = loss(painted, Wanted(photos, torch.tensor([1, 0]), 0.7))
    alone = [
        loss(painted[i : i + 1], Wanted(photos[i : i + 1], torch.tensor([row]), 0.7)) for i, row in enumerate((1, 0))
    ]
    torch.testing.assert_close(both, sum(alone) / 2)


def test_what_moves_with_the_photo_costs_nothing() -> None:
    """A painting that is the photo moves as the photo does; noise that stays in its place does not."""
    vgg, photo = load_backbone(SETTINGS), open_picture(ASSETS / VILLAGE, longer_side=128).rgb
    motion = random_motion(1, (96, 128))
    still = PainterLoss(vgg, [[Painting(photo, None, 1.0)]], (96, 128), SETTINGS)
    moving = PainterLoss(vgg, [[Painting(photo, None, 1.0)]], (96, 128), SETTINGS, motion_weight=3.0)
    wanted, noise = Wanted(photo, torch.tensor([0]), 0.5), random(1, 1, 3, 96, 128)

    def cost(painted: Tensor, copy: Tensor) -> float:
        both = moving(torch.cat([painted, copy]), replace(wanted, motion=motion)) - still(painted, wanted)
        return float(both)

    assert cost(photo, moved(photo, motion)) == pytest.approx(0, abs=1e-6)
    copy = moved(photo, motion)
    inside = known(motion).expand_as(copy)
    expected = 3 * float((copy - noise)[inside].abs().mean())
    assert cost(photo, noise) == pytest.approx(expected, rel=1e-4)


def test_a_motion_of_whole_pixels_is_a_shift() -> None:
    picture, motion = random(0, 1, 3, 20, 30), torch.tensor([4.0, -3.0]).view(1, 2, 1, 1).expand(1, 2, 20, 30)
    copy = moved(picture, motion)
    torch.testing.assert_close(copy[:, :, 3:, :-4], picture[:, :, :-3, 4:])
    inside = known(motion)[0, 0]
    assert inside[3:, :-4].all()
    assert int(inside.sum()) == 17 * 26


def test_a_training_goes_on_where_it_was_interrupted(photos: Pictures) -> None:
    styles = {"dark": random(5, 1, 3, 96, 96) / 2, "light": random(6, 1, 3, 96, 96) / 2 + 0.5}

    def weights(**more: Any) -> dict[str, Tensor]:
        for step in train_painter(styles, photos, QUICK, **more):
            last = step
        return last.network().state_dict()

    for step in train_painter(styles, photos, QUICK):
        if step.index == 1:
            state = step.state()
            break
    whole, resumed = weights(), weights(state=state)
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_a_painter_learns() -> None:
    """After a few steps on one photo, what it paints has a smaller loss than the photo, with which it begins."""
    photo, style = (open_picture(ASSETS / name, longer_side=128).rgb for name in (VILLAGE, HILLS))
    paths = (str(ASSETS / VILLAGE),)
    *_, last = train_painter({"hills": style}, Pictures(paths, (0,), Files(paths)), replace(QUICK, steps=14))
    painter = last.network().eval()
    loss = PainterLoss(load_backbone(SETTINGS), [[Painting(style, None, 1.0)]], (96, 128), SETTINGS)
    wanted = Wanted(photo, torch.tensor([0]), 0.5)
    with torch.no_grad():
        assert loss(painter(photo, painter.mix({"hills": 1})), wanted) < 0.97 * loss(photo, wanted)


def test_a_training_needs_a_style(photos: Pictures) -> None:
    with pytest.raises(SettingsError, match="no style"):
        train_painter({}, photos, QUICK)


def test_a_file_of_photos_that_cannot_be_read_is_reported(photos: Pictures, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    paths = (*photos.open.paths[:1], str(broken))
    steps = list(train_painter({"a": random(5, 1, 3, 96, 96)}, Pictures(paths, (0, 0), Files(paths)), QUICK))
    assert any("broken.png" in line for step in steps for line in step.unreadable)
