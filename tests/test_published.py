"""The networks and pictures that the published values were computed from are made right."""

from __future__ import annotations

import pytest
import torch

from tests.reference.published import FILE, D, features, pictures, seeded


@pytest.mark.parametrize("arch", FILE["weights"]["networks"])
def test_seeded_networks_have_the_recorded_sums(arch: str) -> None:
    recorded, parameters = FILE["weights"]["networks"][arch], list(seeded(arch).parameters())
    assert len(parameters) == recorded["parameters"]
    assert sum(p.numel() for p in parameters) == recorded["numel"]
    assert float(sum(p.abs().sum() for p in parameters)) == pytest.approx(recorded["abs_sum_all"], rel=1e-9)
    for at, parameter in (("first", parameters[0]), ("last", parameters[-1])):
        assert parameter.flatten()[:3].tolist() == pytest.approx(recorded[at]["first3"], rel=1e-9)


@pytest.mark.parametrize("name", FILE["inputs"]["pictures"])
def test_pictures_have_the_recorded_sums(name: str) -> None:
    recorded, picture = FILE["inputs"]["pictures"][name], pictures()[name]
    assert list(picture.shape) == recorded["shape"]
    assert float(picture.sum()) == pytest.approx(recorded["sum"], rel=1e-9)
    assert picture.flatten()[:3].tolist() == pytest.approx(recorded["first3"], rel=1e-9)


def test_our_network_sees_what_torchvisions_sees() -> None:
    mean, std = (torch.tensor(v, dtype=D).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x = (pictures()["noise1"] - mean) / std
    torch.testing.assert_close(features("vgg19", "noise1", "relu4_2"), seeded("vgg19")[:23](x), rtol=1e-6, atol=1e-9)
