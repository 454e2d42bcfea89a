"""Random views: they move about, fill nothing in, and are the same for every picture of a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms.functional import center_crop

from vggapps.image import square
from vggapps.visualization._render import Views


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(views: Views, image: Tensor, size: tuple[int, int] = (20, 24), times: int = 20) -> list[Tensor]:
    moving = generator()
    return [views(image, size, moving) for _ in range(times)]


def test_a_flat_picture_stays_flat_however_it_is_seen() -> None:
    """A constant border, black or grey, would show here."""
    image = torch.full((1, 3, 28, 32), 0.8)
    for view in drawn(Views(jitter=12, scale=1.5, rotate=45), image):
        torch.testing.assert_close(view, torch.full((1, 3, 20, 24), 0.8))


def test_no_value_is_seen_that_the_picture_has_not() -> None:
    image = 0.3 + 0.4 * torch.rand(2, 3, 28, 32, generator=generator(1))
    for view in drawn(Views(jitter=10, scale=1.4, rotate=30), image):
        assert float(view.min()) >= 0.3
        assert float(view.max()) <= 0.7


def test_without_movement_the_middle_is_seen_as_it_is() -> None:
    image = torch.rand(1, 3, 28, 32, generator=generator(1))
    (view,) = drawn(Views(jitter=0, scale=1, rotate=0), image, times=1)
    torch.testing.assert_close(view, image[:, :, 4:24, 4:28], atol=1e-5, rtol=0)


def test_jitter_moves_by_up_to_its_pixels_and_to_all_sides() -> None:
    columns = torch.arange(32.0).expand(1, 3, 28, 32)
    moves = [float(view[0, 0, 10, 12] - 16) for view in drawn(Views(4, scale=1, rotate=0), columns, times=100)]
    assert -4 <= min(moves) < -3
    assert 3 < max(moves) <= 4
    assert abs(sum(moves) / 100) < 1


def test_all_pictures_of_a_batch_are_seen_from_the_same_place() -> None:
    image = torch.rand(1, 3, 28, 32, generator=generator(1)).expand(3, -1, -1, -1)
    for view in drawn(Views(4), image, times=3):
        torch.testing.assert_close(view[0], view[1])
        torch.testing.assert_close(view[0], view[2])


def test_the_same_generator_gives_the_same_views_and_torchs_own_is_left_alone() -> None:
    image = torch.rand(1, 3, 28, 32, generator=generator(1))
    before = torch.get_rng_state()
    first, second = drawn(Views(4), image), drawn(Views(4), image)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])
    assert torch.equal(before, torch.get_rng_state())


def test_a_square_is_the_middle_of_a_picture_unsqueezed() -> None:
    image = torch.rand(1, 3, 20, 31, generator=generator(1))
    assert torch.equal(square(image, 20), center_crop(image, [20, 20]))
    assert square(image, 48).shape == (1, 3, 48, 48)
