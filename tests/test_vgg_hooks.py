"""Features: of our network, inside every kind of training and deployment; and of anybody's module."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.vgg._device import accelerate
from vggapps.vgg._extractor import FeatureExtractor
from vggapps.vgg._hooks import record
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan

NARROW = Plan("narrow", "narrow", ((8, 8), (16, 16), (16,) * 4, (32,) * 4, (32,) * 4))
LAYERS = ["relu1_2", "conv3_1", "relu5_1"]


def extractor(layers: list[str] = LAYERS, **options: object) -> FeatureExtractor:
    return FeatureExtractor(initialize(VGG(NARROW, **{"head": "none"} | options)), layers)


def picture(n: int = 1, height: int = 48, width: int = 64) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(3))


def assert_close(ours: dict[str, Tensor], theirs: dict[str, Tensor], relative: float) -> None:
    assert list(ours) == list(theirs)
    for name in ours:
        difference = (ours[name].float() - theirs[name].float()).norm()
        assert difference <= relative * theirs[name].float().norm(), name


class TestFeatureExtractor:
    """Frozen, no deeper than needed, and at home wherever modules go."""

    @pytest.mark.parametrize("asked", [LAYERS, LAYERS[::-1], LAYERS * 2])
    def test_layers_come_in_the_networks_order_once(self, asked: list[str]) -> None:
        assert list(extractor(asked)(picture())) == LAYERS

    def test_one_name_needs_no_list(self) -> None:
        assert list(extractor("pool2")(picture())) == ["pool2"]

    def test_nothing_deeper_runs(self) -> None:
        extract = extractor()
        ran = []
        for name, module in extract.vgg.named_children():
            module.register_forward_hook(lambda *_, name=name: ran.append(name))
        extract(picture())
        assert ran[-1] == "relu5_1"
        extract.vgg.conv5_2.weight = None  # and what is missing there is not missed
        extract(picture())

    def test_gradients_reach_the_picture_and_not_the_weights(self) -> None:
        extract = extractor()
        image = picture().requires_grad_()
        sum(feature.square().mean() for feature in extract(image).values()).backward()
        assert image.grad.isfinite().all()
        assert image.grad.abs().amin((0, 1)).count_nonzero() > 0.9 * 48 * 64
        assert all(p.grad is None and not p.requires_grad for p in extract.parameters())

    def test_a_parents_training_mode_changes_nothing(self) -> None:
        vgg = initialize(VGG(Plan("bn", "bn", ((4,), (4,)), batch_norm=True), head="fc", classes=3))
        parent = nn.ModuleDict({"net": nn.Linear(1, 1), "loss": FeatureExtractor(vgg, ["bn1_1", "drop6", "fc8"])})
        parent.train()
        assert parent["net"].training
        assert not any(module.training for module in vgg.modules())
        assert not any(p.requires_grad for p in vgg.parameters())
        before = {name: numbers.clone() for name, numbers in vgg.state_dict().items()}
        first, second = (parent["loss"](picture()) for _ in range(2))  # dropout would differ
        assert_close(first, second, 0)
        assert all(torch.equal(before[name], numbers) for name, numbers in vgg.state_dict().items())

    def test_channels_last(self) -> None:
        extract = extractor()
        expected = extract(picture())
        fast = accelerate(copy.deepcopy(extract), "cpu", "float32")
        found = fast(picture())
        assert found["relu5_1"].is_contiguous(memory_format=torch.channels_last)
        assert_close(found, expected, 1e-5)

    def test_autocast(self) -> None:
        extract = extractor()
        with torch.autocast("cpu", torch.bfloat16):
            found = extract(picture())
        assert found["conv3_1"].dtype == torch.bfloat16
        assert_close(found, extract(picture()), 0.02)

    def test_bfloat16_weights_take_a_float32_picture(self) -> None:
        extract = extractor()
        expected = extract(picture())
        found = extract.bfloat16()(picture())
        assert {feature.dtype for feature in found.values()} == {torch.bfloat16}
        assert_close(found, expected, 0.02)

    def test_compile_in_one_graph(self) -> None:
        extract = extractor()
        compiled = torch.compile(extract, fullgraph=True, backend="aot_eager")
        image = picture().requires_grad_()
        found = compiled(image)
        assert_close(found, extract(picture()), 1e-6)
        (gradient,) = torch.autograd.grad(found["relu5_1"].sum(), image)
        (expected,) = torch.autograd.grad(extract(image)["relu5_1"].sum(), image)
        assert (gradient - expected).norm() <= 1e-5 * expected.norm()

    def test_export_and_run(self) -> None:
        extract = extractor()
        program = torch.export.export(extract, (picture(),))
        assert_close(program.module()(picture()), extract(picture()), 1e-6)

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda extract: pickle.loads(pickle.dumps(extract))])
    def test_copies(self, copied) -> None:
        extract = extractor()
        twin = copied(extract)
        assert_close(twin(picture()), extract(picture()), 0)
        assert twin.vgg.conv1_1.weight is not extract.vgg.conv1_1.weight
        assert not any(module.training for module in twin.train().vgg.modules())

    def test_distributed_data_parallel(self, tmp_path: Path) -> None:
        if not torch.distributed.is_available():
            pytest.skip("this torch is built without torch.distributed")

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.net, self.loss = nn.Conv2d(3, 3, 1), extractor()

            def forward(self, image: Tensor) -> Tensor:
                return sum(feature.square().mean() for feature in self.loss(self.net(image).sigmoid()).values())

        store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
        torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
        try:
            net = Net()
            parallel = nn.parallel.DistributedDataParallel(net)
            parallel.train()
            parallel(picture()).backward()
            expected = torch.autograd.grad(net(picture()), net.net.weight)[0]
            assert torch.allclose(net.net.weight.grad, expected)
            assert all(p.grad is None for p in net.loss.parameters())
        finally:
            torch.distributed.destroy_process_group()


class Residual(nn.Module):
    """Changes in place what its parts gave, and no module shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x)
        out += x
        return out.relu_()


class TestRecord:
    """The same for any module, by hooks that never stay."""

    def test_our_network(self) -> None:
        extract = extractor()
        with record(extract.vgg, LAYERS) as features:
            extract.vgg(picture())
        assert_close(features, extract(picture()), 0)

    def test_torchvisions_convolutions_are_not_overwritten_by_its_relu(self) -> None:
        theirs = torchvision.models.vgg11(weights=None, init_weights=False).features.eval()
        ours = VGG("vgg11", head="none").eval()
        ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
        with torch.no_grad(), record(theirs, ["0", "1", "8"]) as features:
            theirs(ours.convention(picture()))
        expected = ours.freeze().features(picture(), ["conv1_1", "relu1_1", "conv3_2"])
        assert features["0"].min() < 0
        assert_close(dict(zip(expected, features.values(), strict=True)), expected, 1e-6)

    def test_hidden_in_place_operations(self) -> None:
        net = Residual()
        with record(net, "conv") as features:
            net(picture())
        assert torch.equal(features["conv"], net.conv(picture()))

    def test_nested_names_of_a_resnet(self) -> None:
        net = torchvision.models.resnet18(weights=None).eval()
        with record(net, ["layer3.0.conv1", "layer1", "avgpool"]) as features:
            net(picture())
        assert {name: tuple(f.shape) for name, f in features.items()} == {
            "layer1": (1, 64, 12, 16),
            "layer3.0.conv1": (1, 256, 3, 4),
            "avgpool": (1, 512, 1, 1),
        }
        assert torch.equal(features["layer1"], nn.Sequential(*list(net.children())[:5])(picture()))

    def test_every_pass_fills_anew(self) -> None:
        net = Residual()
        with record(net, ["conv"]) as features:
            net(picture())
            first = features["conv"]
            net(1 - picture())
        assert not torch.equal(first, features["conv"])

    def test_gradients_flow_through_what_is_recorded(self) -> None:
        net, image = Residual(), picture().requires_grad_()
        with record(net, ["conv"]) as features:
            net(image)
        features["conv"].sum().backward()
        assert image.grad.abs().sum() > 0

    def test_hooks_are_gone_also_after_an_exception(self) -> None:
        net = Residual()
        with record(net, ["conv"]):
            assert len(net.conv._forward_hooks) == 1
            net(picture())
        assert not net.conv._forward_hooks
        with pytest.raises(RuntimeError), record(net, ["conv"]):
            net(torch.zeros(1, 7, 4, 4))
        assert not net.conv._forward_hooks

    def test_wrong_name(self) -> None:
        net = torchvision.models.resnet18(weights=None)
        with pytest.raises(SettingsError, match=r"no module of ResNet 'layer5\.0' \(did you mean 'layer\d\.0'"):
            record(net, ["layer1", "layer5.0"]).__enter__()
        assert not net.layer1._forward_hooks

    def test_what_is_not_a_tensor(self) -> None:
        net = nn.Sequential(nn.LSTM(4, 4))
        with pytest.raises(SettingsError, match=r"0 returns a tuple.*, not a tensor"), record(net, ["0"]):
            net(torch.zeros(1, 1, 4))
        assert not net[0]._forward_hooks

    def test_what_has_not_run_is_told_when_the_block_ends(self) -> None:
        net = nn.ModuleDict({"used": nn.Conv2d(3, 3, 1), "idle": nn.Conv2d(3, 3, 1)})
        with (
            pytest.raises(SettingsError, match=r"nothing was recorded of idle: it has not run .*call the ModuleDict"),
            record(net, ["used", "idle"]),
        ):
            net["used"](picture())
        assert not net["idle"]._forward_hooks
        with pytest.raises(KeyError, match="mine"), record(net, ["idle"]):  # another error is not covered up
            raise KeyError("mine")

    @pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # dynamo looks at it
    def test_compiled_code_that_runs_no_hooks_is_told(self) -> None:
        torch._dynamo.reset()
        net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
        compiled = torch.compile(net, backend="eager")
        compiled(picture())
        words = r"recorded of _orig_mod\.0: compiled .*passed to torch\.compile"
        with pytest.raises(SettingsError, match=words), record(compiled, ["_orig_mod.0"]):
            compiled(picture())
        words = r"recorded of 0: it has not run .* not the result of torch\.compile"
        with pytest.raises(SettingsError, match=words), record(net, ["0"]):
            compiled(picture())
        with record(net, ["0"]) as features:
            net(picture())
        assert torch.equal(features["0"], net[0](picture()))
