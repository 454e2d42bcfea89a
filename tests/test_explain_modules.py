"""Networks of others: left as they are, asked in the ways people ask, and told clearly where they don't fit."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.explanation import METHODS, ask, explain_batch, grad_cam
from vggapps.explanation._faithfulness import measure_faithfulness
from vggapps.explanation._question import Question, predicted_classes
from vggapps.explanation._sanity import randomization_test
from vggapps.objectives._objective import channel
from vggapps.vgg._wrapped import features

QUICK: dict[str, dict[str, Any]] = {
    "rise": {"samples": 6},
    "integrated-gradients": {"samples": 4},
    "smoothgrad": {"samples": 3},
}
MEAN, STD = (torch.tensor(row).view(3, 1, 1) for row in ([0.5, 0.4, 0.3], [0.2, 0.3, 0.25]))


def pictures(n: int = 2, height: int = 32, width: int = 48) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0))


def chain(classes: int = 4, colours: int = 3) -> nn.Sequential:
    """Layers in a row, with batch norm and dropout, whose weights may learn."""
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(colours, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(32, classes),
    )  # fmt: skip
    net[1].running_mean.uniform_(-0.1, 0.1)
    return net.eval()


class Giving(nn.Module):
    """A network whose output is made into something else."""

    def __init__(self, make: Callable[[Tensor], Any], classes: int = 4) -> None:
        super().__init__()
        self.net, self.make = chain(classes), make
        self.eval()

    def forward(self, x: Tensor) -> Any:
        return self.make(self.net(x))


def state(net: nn.Module) -> dict[str, Any]:
    """All that a caller could miss afterwards."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "numbers": deepcopy(net.state_dict()),
        "modes": {name: module.training for name, module in net.named_modules()},
        "hooks": {name: [len(getattr(module, kind)) for kind in hooks] for name, module in net.named_modules()},
        "learns": {name: (one.requires_grad, one.grad) for name, one in net.named_parameters()},
        "modules": [id(module) for module in net.modules()],
    }


def assert_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    numbers, others = before.pop("numbers"), after.pop("numbers")
    assert numbers.keys() == others.keys()
    assert all(torch.equal(numbers[key], others[key]) for key in numbers)
    assert before == after


def normalize(image: Tensor) -> Tensor:
    return (image - MEAN) / STD


@pytest.mark.parametrize("preprocess", [None, normalize])
def test_a_network_is_the_same_after_every_method_and_measure(preprocess: Callable[[Tensor], Tensor] | None) -> None:
    net, image = chain(), pictures(1)
    net[2].register_forward_hook(lambda *_: None)
    net[0].weight.requires_grad_(False)
    before = state(net)
    for method in METHODS:
        found = explain_batch(net, image, 1, method, preprocess=preprocess, **QUICK.get(method, {}))
    measure_faithfulness(found.question, image, found.map)
    randomization_test(found.question, image, METHODS["gradient"].run)
    assert_same(before, state(net))


@pytest.mark.parametrize("method", METHODS)
def test_a_network_is_the_same_after_an_exception(method: str) -> None:
    net, calls = chain(), [0]

    def stumble(*_: object) -> None:
        calls[0] += 1
        if calls[0] > 2:  # after score and confidence
            raise KeyError("stumbled")

    net[4].register_forward_hook(stumble)
    before = state(net)
    with pytest.raises(KeyError, match="stumbled"):
        explain_batch(net, pictures(1), 1, method, preprocess=normalize, **QUICK.get(method, {}))
    assert_same(before, state(net))


@pytest.mark.parametrize("part", ["", "1", "6"])
def test_a_network_of_which_a_part_is_in_training_mode_is_refused_and_not_run(part: str) -> None:
    net, image = chain(), pictures()
    net.get_submodule(part).train()
    before = state(net)
    for look in (
        lambda: explain_batch(net, image),
        lambda: explain_batch(net, image, 1, "rise", samples=2),
        lambda: ask(net, 1),
        lambda: predicted_classes(net, image),
        lambda: grad_cam(net, image),
        lambda: grad_cam(net, image, 1),
        lambda: Question(net, channel("0", 1)).score(image),
    ):
        with pytest.raises(SettingsError, match=r"training mode .call .*eval\(\)"):
            look()
    assert_same(before, state(net))


@pytest.mark.parametrize("squeezed", [False, True])
def test_of_one_output_the_probability_is_the_sigmoid_and_one_can_ask_against_it(squeezed: bool) -> None:
    net: nn.Module = Giving((lambda y: y[:, 0]) if squeezed else (lambda y: y), classes=1)
    image = pictures(3)
    logits = net(image).flatten().detach()
    for_, against = explain_batch(net, image, 0, "gradient"), explain_batch(net, image, "-class:0", "gradient")
    torch.testing.assert_close(for_.confidence, logits.sigmoid())
    torch.testing.assert_close(against.confidence, 1 - logits.sigmoid())
    torch.testing.assert_close(against.score, -logits)
    assert predicted_classes(net, image) == [0, 0, 0]
    torch.testing.assert_close(explain_batch(net, image).confidence, logits.sigmoid())
    for_, against = (explain_batch(net, image, target, "occlusion", patch=8) for target in (0, "-class:0"))
    torch.testing.assert_close(against.map, -for_.map)


def test_how_faithful_a_map_of_one_output_is_follows_the_sigmoid() -> None:
    """Against a network of two outputs, 0 and the logit, whose softmax is that sigmoid."""
    one = chain(1)
    two = Giving(lambda y: torch.cat([torch.zeros_like(y), y], 1), classes=1)
    image, map_ = pictures(1), torch.rand(1, 1, 32, 48, generator=torch.Generator().manual_seed(3))
    expected, found = measure_faithfulness(ask(two, 1), image, map_), measure_faithfulness(ask(one, 0), image, map_)
    assert found == pytest.approx(expected, abs=1e-6)
    opposite, against = (
        measure_faithfulness(ask(two, 0), image, map_),
        measure_faithfulness(ask(one, "-class:0"), image, map_),
    )
    assert against == pytest.approx(opposite, abs=1e-6)
    assert len({round(found[name], 6) for name in ("deletion", "insertion", "road-morf", "road-lerf")}) == 4


def test_less_a_class_is_as_likely_as_all_others_together() -> None:
    net, image = chain(), pictures()
    shares = net(image).softmax(1).detach()
    torch.testing.assert_close(ask(net, "-class:2").confidence(image), 1 - shares[:, 2])
    torch.testing.assert_close(ask(net, "class:2 - class:1").confidence(image), shares[:, 2] - shares[:, 1])
    torch.testing.assert_close(
        ask(net, ["class:0", "-class:3"]).confidence(image), torch.stack([shares[0, 0], 1 - shares[1, 3]])
    )


@pytest.mark.parametrize(
    "targets",
    [
        [3, 1], (3, 1), torch.tensor([3, 1]), np.array([3, 1]), [torch.tensor(3), np.int64(1)],
        torch.tensor([3, 1], dtype=torch.uint8), ["class:3", "class:1"], ["class:3", np.uint8(1)],
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("method", ["gradient", "grad-cam", "rise"])
def test_targets_are_numbers_of_any_kind(targets: Any, method: str) -> None:
    net, image, options = chain(), pictures(), QUICK.get(method, {})
    expected = torch.cat([explain_batch(net, image[i : i + 1], c, method, **options).map for i, c in enumerate((3, 1))])
    torch.testing.assert_close(explain_batch(net, image, targets, method, **options).map, expected)
    one = explain_batch(net, image[:1], targets[0], method, **options)
    torch.testing.assert_close(one.map, expected[:1])


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (1.0, "a target can't be 1.0, a float"),
        (torch.tensor(1.5), "a target can't be 1.5"),
        (True, "a target can't be True"),
        (None, "a target can't be None"),
        ({}, "a target can't be {}"),
        ([], "list of targets is empty"),
        (torch.tensor([[1], [2]]), r"a target can't be \[1\], a list"),
        (4, "no channel 4"),
        (torch.tensor([0, 1, 2]), "3 classes for 2 pictures"),
    ],
)
def test_what_is_no_target_is_told_in_a_line(target: Any, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as caught:
        ask(chain(), target).score(pictures())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda y: (y, y[:, 0]), r"returns a tuple with 0: \(2, 4\), 1: \(2,\), not a tensor.*network\(image\)\[0\]"),
        (lambda y: {"out": y}, r"Giving returns a dict with 'out': \(2, 4\), not a tensor.*network\(image\)\['out'\]"),
        (lambda y: None, "Giving returns a NoneType, not a tensor"),
        (lambda y: y.mean(), "returns one number"),
        (lambda y: y.flatten(), "batch of 2 pictures .* returns 8"),
        (lambda y: y[0], "batch of 2 pictures .* returns 4"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("target", [None, 1])
def test_an_output_that_is_no_row_of_scores_is_told(make: Callable[[Tensor], Any], told: str, target: Any) -> None:
    for method in ("gradient", "grad-cam", "rise", "lrp", "ablation-cam"):
        with pytest.raises(SettingsError, match=told):
            explain_batch(
                Giving(make), pictures(), target, method, **({"layer": "net.5"} if method.endswith("cam") else {})
            )


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (pictures(1)[0], r"shape is 3 x 32 x 48.*image\[None\]"),
        (pictures(1)[0, 0], "shape is 32 x 48"),
        (torch.empty(0, 3, 8, 8), "shape is 0 x 3 x 8 x 8"),
        (np.zeros((32, 48, 3)), "a ndarray, not a tensor .*open_picture"),
        ("cat.jpg", "a str, not a tensor"),
        (pictures(1).mean(1, keepdim=True), "can't take pictures of 1 x 32 x 48: .*expected input"),
    ],
)
def test_what_is_no_picture_is_told(image: Any, told: str) -> None:
    for target in (None, 1):
        with pytest.raises(SettingsError, match=told) as caught:
            explain_batch(chain(), image, target)
        assert "\n" not in str(caught.value)


def test_a_module_that_does_not_run_has_no_output() -> None:
    net = chain()
    net.unused = nn.Identity().eval()  # type: ignore[assignment]
    net.forward = lambda x: net[:10](x)  # type: ignore[method-assign]
    with pytest.raises(SettingsError, match="nothing was recorded of unused: it has not run"):
        features(net, pictures(), ["unused"])


def test_a_network_of_one_size_says_which_pictures_it_got_and_a_preprocess_helps() -> None:
    torch.manual_seed(0)
    fixed = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 3)).eval()
    for method in METHODS:
        with pytest.raises(SettingsError, match="Sequential can't take pictures of 1 x 32 x 48: mat1 and mat2"):
            explain_batch(fixed, pictures(1)[:, :1], 0, method, **QUICK.get(method, {}))

    def small_and_grey(image: Tensor) -> Tensor:
        return nn.functional.interpolate(image.mean(1, keepdim=True), (16, 16), mode="bilinear", antialias=True)

    for method in METHODS:
        found = explain_batch(fixed, pictures(), 0, method, preprocess=small_and_grey, **QUICK.get(method, {}))
        assert found.map.shape == (2, 1, 32, 48) or method == "lrp"
        torch.testing.assert_close(found.score, fixed(small_and_grey(pictures()))[:, 0].detach())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_pictures_come_in_the_networks_own_precision(dtype: torch.dtype) -> None:
    image = pictures()
    expected = explain_batch(chain(), image, 1, "grad-cam").map
    found = explain_batch(chain().to(dtype), image, 1, "grad-cam")
    assert found.map.dtype == torch.float32
    torch.testing.assert_close(found.map, expected, rtol=0.1, atol=0.03 * float(expected.max()))
