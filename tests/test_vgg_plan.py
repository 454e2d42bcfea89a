"""The configurations against published numbers, and the arithmetic against what the network does."""

from __future__ import annotations

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vggapps.errors import SettingsError
from vggapps.vgg._facts import layer_facts, minimum_side
from vggapps.vgg._network import VGG
from vggapps.vgg._normalize import PLAIN
from vggapps.vgg._plan import PLANS, Plan, get_plan, layer_names

PARAMETERS = {
    "vgg11": 132_863_336,
    "vgg11_lrn": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16_c": 133_638_952,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_c_bn": 133_647_400,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
}
MULTIPLY_ADDS = {
    "vgg11": 7_609_090_048,
    "vgg13": 11_308_466_176,
    "vgg16_c": 11_770_888_192,
    "vgg16": 15_470_264_320,
    "vgg19": 19_632_062_464,
}
LETTERS = {"A": "vgg11", "A-LRN": "vgg11_lrn", "B": "vgg13", "C": "vgg16_c", "D": "vgg16", "E": "vgg19"}

# The table that every course on VGG-16 shows: output, parameters, multiply-adds at 224 pixels.
VGG16 = [
    ("conv1_1", (64, 224, 224), 1_792, 86_704_128),
    ("conv1_2", (64, 224, 224), 36_928, 1_849_688_064),
    ("pool1", (64, 112, 112), 0, 0),
    ("conv2_1", (128, 112, 112), 73_856, 924_844_032),
    ("conv2_2", (128, 112, 112), 147_584, 1_849_688_064),
    ("pool2", (128, 56, 56), 0, 0),
    ("conv3_1", (256, 56, 56), 295_168, 924_844_032),
    ("conv3_2", (256, 56, 56), 590_080, 1_849_688_064),
    ("conv3_3", (256, 56, 56), 590_080, 1_849_688_064),
    ("pool3", (256, 28, 28), 0, 0),
    ("conv4_1", (512, 28, 28), 1_180_160, 924_844_032),
    ("conv4_2", (512, 28, 28), 2_359_808, 1_849_688_064),
    ("conv4_3", (512, 28, 28), 2_359_808, 1_849_688_064),
    ("pool4", (512, 14, 14), 0, 0),
    ("conv5_1", (512, 14, 14), 2_359_808, 462_422_016),
    ("conv5_2", (512, 14, 14), 2_359_808, 462_422_016),
    ("conv5_3", (512, 14, 14), 2_359_808, 462_422_016),
    ("pool5", (512, 7, 7), 0, 0),
    ("fc6", (4096,), 102_764_544, 102_760_448),
    ("fc7", (4096,), 16_781_312, 16_777_216),
    ("fc8", (1000,), 4_097_000, 4_096_000),
]
FIELDS = {
    "vgg16": {"conv1_1": 3, "conv2_2": 14, "conv3_3": 40, "conv4_3": 92, "conv5_3": 196, "pool5": 212},
    "vgg19": {"conv1_2": 5, "conv2_1": 10, "conv3_4": 48, "conv4_4": 116, "conv5_4": 252, "pool5": 268},
}


def on_meta(plan: str | Plan, **options: object) -> VGG:
    with torch.device("meta"):
        return VGG(plan, **options).eval()


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_parameters(name: str, count: int) -> None:
    assert sum(p.numel() for p in on_meta(name).parameters()) == count
    assert sum(fact.parameters for fact in layer_facts(name)) == count


@pytest.mark.parametrize(("name", "count"), MULTIPLY_ADDS.items())
def test_multiply_adds_as_an_independent_counter_has_them(name: str, count: int) -> None:
    assert sum(fact.multiply_adds for fact in layer_facts(name)) == count
    with FlopCounterMode(display=False) as counter:
        on_meta(name)(torch.rand(1, 3, 224, 224, device="meta"))
    assert counter.get_total_flops() == 2 * count


@pytest.mark.parametrize(("name", "shape", "parameters", "multiply_adds"), VGG16, ids=[row[0] for row in VGG16])
def test_the_table_of_vgg16(name: str, shape: tuple[int, ...], parameters: int, multiply_adds: int) -> None:
    fact = {fact.name: fact for fact in layer_facts("vgg16")}[name]
    assert (fact.shape, fact.parameters, fact.multiply_adds) == (shape, parameters, multiply_adds)
    assert fact.bytes == 4 * torch.Size(shape).numel()


def test_only_pools_and_layers_with_weights_matter() -> None:
    rows = [fact.name for fact in layer_facts("vgg16") if fact.kind in ("conv", "linear", "pool")]
    assert rows == [row[0] for row in VGG16]


@pytest.mark.parametrize("head", ["fc", "conv", "gap", "none"])
@pytest.mark.parametrize("name", PLANS)
def test_facts_are_what_the_network_does(name: str, head: str) -> None:
    vgg = on_meta(name, head=head)
    features = vgg.features(torch.rand(1, 3, 230, 288, device="meta"), vgg.layer_names)
    facts = {fact.name: fact for fact in layer_facts(name, (230, 288), head)}
    assert list(features) == list(facts) == list(layer_names(get_plan(name), head))
    for layer, feature in features.items():
        assert facts[layer].shape == feature.shape[1:], layer
        assert facts[layer].parameters == sum(p.numel() for p in getattr(vgg, layer).parameters()), layer


@pytest.mark.parametrize("name", FIELDS)
def test_receptive_fields(name: str) -> None:
    fields = {fact.name: fact.receptive_field for fact in layer_facts(name)}
    assert {layer: fields[layer] for layer in FIELDS[name]} == FIELDS[name]


@pytest.mark.parametrize(
    ("name", "layer"), [("vgg16", "relu3_1"), ("vgg16_c", "conv4_3"), ("vgg19", "pool3"), ("vgg19", "pool5")]
)
def test_receptive_field_is_the_footprint_of_a_gradient(name: str, layer: str) -> None:
    """Positive weights and average pooling let every pixel that one position can see show in its gradient."""
    wide = get_plan(name)
    narrow = Plan(name, "narrow", tuple((1,) * len(block) for block in wide.blocks), wide.pointwise)
    vgg = VGG(narrow, head="none", pooling="average", convention=PLAIN).double()
    for parameter in vgg.parameters():
        torch.nn.init.constant_(parameter, 1.0)
    image = torch.full((1, 3, 352, 352), 0.5, dtype=torch.float64, requires_grad=True)
    feature = vgg.features(image, [layer])[layer]
    middle = feature.shape[-1] // 2
    (gradient,) = torch.autograd.grad(feature[0, 0, middle, middle], image)
    rows, columns = gradient[0, 0].nonzero().unbind(1)
    fact = {fact.name: fact for fact in layer_facts(narrow)}[layer]
    assert fact.receptive_field == rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1

    (neighbour,) = torch.autograd.grad(vgg.features(image, [layer])[layer][0, 0, middle - 1, middle], image)
    assert fact.stride == rows.min() - neighbour[0, 0].nonzero()[:, 0].min()


def test_layers_are_named_and_ordered_as_in_the_paper() -> None:
    assert layer_names(get_plan("vgg11_bn"))[:7] == (
        *("conv1_1", "bn1_1", "relu1_1", "pool1"),
        *("conv2_1", "bn2_1", "relu2_1"),
    )
    assert layer_names(get_plan("A-LRN"))[:4] == ("conv1_1", "relu1_1", "lrn1_1", "pool1")
    assert layer_names(get_plan("vgg16"), "fc")[-8:] == (
        *("pool5", "fc6", "relu6", "drop6"),
        *("fc7", "relu7", "drop7", "fc8"),
    )
    assert layer_names(get_plan("vgg16"), "gap")[-3:] == ("pool5", "gap", "fc8")
    convolutions = [name for name in layer_names(get_plan("vgg19")) if name.startswith("conv")]
    assert convolutions == [f"conv{b}_{i}" for b, n in enumerate((2, 2, 4, 4, 4), 1) for i in range(1, n + 1)]


@pytest.mark.parametrize(("letter", "name"), LETTERS.items())
def test_a_letter_is_a_name(letter: str, name: str) -> None:
    assert get_plan(letter) is get_plan(letter.lower()) is get_plan(name) is get_plan(PLANS[name])


@pytest.mark.parametrize(("head", "side"), [("none", 32), ("gap", 32), ("conv", 224)])
def test_the_smallest_picture(head: str, side: int) -> None:
    assert minimum_side(get_plan("vgg19"), head) == side
    assert layer_facts("vgg19", side, head)
    with pytest.raises(SettingsError, match=f"use at least {side} pixels"):
        layer_facts("vgg19", (side, side - 1), head)


@pytest.mark.parametrize("size", [0, -5, (0, 224), (224, 0)])
def test_no_picture_has_no_pixels(size: int | tuple[int, int]) -> None:
    with pytest.raises(SettingsError, match="too few"):
        layer_facts("vgg16", size)


class TestCommand:
    """``vggapps layers``"""

    def test_table(self, cli) -> None:
        ran = cli("layers", "vgg16")
        assert (ran.code, ran.err) == (0, "")
        lines = {line.split()[0]: " ".join(line.split()) for line in ran.out.splitlines() if line.strip()}
        assert lines["conv3_1"] == "conv3_1 256 × 56 × 56 295,168 924,844,032 24 4 3.06"
        assert lines["pool5"] == "pool5 512 × 7 × 7 212 32 0.10"
        assert lines["fc6"] == "fc6 4096 102,764,544 102,760,448 all 0.02"
        assert lines["total"].startswith("total 138,357,544 15,470,264,320 ")

    def test_a_narrow_window_cuts_no_number(self, cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "40")
        assert "conv1_2 64 × 1024 × 1024" in cli("layers", "vgg16", "--size", "1024").out

    def test_json(self, cli) -> None:
        ran = cli("layers", "E", "--size", "640x480", "--head", "conv", "--json")
        rows = {row["name"]: row for row in map(json.loads, ran.out.splitlines()[:-1])}
        assert rows["relu5_4"] == {
            "schema": 1,
            "name": "relu5_4",
            "kind": "relu",
            "shape": [512, 30, 40],
            "parameters": 0,
            "multiply_adds": 0,
            "receptive_field": 252,
            "stride": 16,
            "bytes": 4 * 512 * 30 * 40,
        }
        assert rows["fc8"]["shape"] == [1000, 9, 14]

    def test_the_last_line_of_json_has_the_sums(self, cli) -> None:
        *rows, last = map(json.loads, cli("layers", "vgg16", "--size", "320x240", "--json").out.splitlines())
        total = last["total"]
        assert not any("total" in row for row in rows)
        assert (total["network"], total["layers"], total["size"]) == ("vgg16", len(rows), [320, 240])
        for key in ("parameters", "multiply_adds", "bytes"):
            assert total[key] == sum(row[key] for row in rows)
        assert total["parameters"] == 138_357_544  # Simonyan and Zisserman, table 2: 138 million

    def test_what_sees_everything_has_no_field(self, cli) -> None:
        last = json.loads(cli("layers", "--json").out.splitlines()[-2])
        assert (last["name"], last["receptive_field"], last["stride"]) == ("fc8", None, None)

    @pytest.mark.parametrize(
        ("arguments", "line", "hint"),
        [
            (["vgg166"], "there is no network 'vgg166'", "did you mean 'vgg16'?"),
            (["vgg16", "--head", "fcc"], "there is no --head 'fcc'", "did you mean 'fc'?"),
            (
                ["vgg16", "--size", "big"],
                "--size is 'big'",
                "give a side, 224, or width and height, 640x480",
            ),
            (["vgg16", "--size", "0"], "--size is '0'", "give a side"),
            (["vgg16", "--size", "3x4x5"], "--size is '3x4x5'", "give a side"),
            (["vgg16", "--size", "640x16"], "640 × 16 pixels are too few for vgg16", "use at least 32"),
        ],
    )
    def test_wrong_words(self, cli, arguments: list[str], line: str, hint: str) -> None:
        ran = cli("layers", *arguments)
        assert (ran.code, ran.out) == (2, "")
        assert f"error: {line}" in ran.err
        assert f"hint: {hint}" in ran.err
