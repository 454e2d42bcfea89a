"""Own plans: blocks as text, and files of such networks."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from vggapps.errors import SettingsError, VggappsError
from vggapps.image._recipe import read_recipe
from vggapps.vgg import PLANS, VGG, get_plan, initialize, plan_of_blocks
from vggapps.vgg._plan import layer_names
from vggapps.weights import load_network, load_vgg, save_weights
from vggapps.weights._backbone import file_of, is_file, plan_of

OWN = "4x2-6-8x2+10x10_bn"
IMAGE = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VGG:
    """A network with an own plan, which is also in the file ``mine.safetensors`` of the current folder."""
    monkeypatch.chdir(tmp_path)
    network = initialize(VGG(OWN, head="gap", classes=3, class_names=("cat", "dog", "owl")), seed=1).freeze()
    save_weights(network, "mine.safetensors")
    return network


@pytest.mark.parametrize(
    ("text", "blocks", "batch_norm"),
    [
        ("64x2-128x2-256x3_bn", ((64, 64), (128, 128), (256, 256, 256)), True),
        ("64-128", ((64,), (128,)), False),
        ("200+256x2", ((200, 256, 256),), False),
        ("8x2+8-4X3_BN", ((8, 8, 8), (4, 4, 4)), True),
        ("64x1", ((64,),), False),
        ("8x12", ((8,) * 12,), False),
    ],
)
def test_blocks_as_text(text: str, blocks: tuple[tuple[int, ...], ...], batch_norm: bool) -> None:
    plan = get_plan(text)
    assert (plan.blocks, plan.batch_norm, plan.configuration) == (blocks, batch_norm, "")
    assert not plan.pointwise
    assert not plan.response_norm


def test_what_is_written_is_read_again() -> None:
    numbers = random.Random(0)
    for _ in range(200):
        blocks = [
            [numbers.choice((3, 4, 64)) for _ in range(numbers.randint(1, 9))] for _ in range(numbers.randint(1, 6))
        ]
        plan = plan_of_blocks(blocks, batch_norm=numbers.random() < 0.5)
        assert get_plan(plan.name) == plan
        assert plan.blocks == tuple(map(tuple, blocks))


@pytest.mark.parametrize("name", PLANS)
def test_blocks_of_the_paper_have_the_papers_name(name: str) -> None:
    plan = PLANS[name]
    is_described = not (plan.pointwise or plan.response_norm)
    assert (plan_of_blocks(plan.blocks, plan.batch_norm) == plan) == is_described


@pytest.mark.parametrize(
    "text", ["64x", "64x2-", "64x2--128", "64x2-128y2", "0x2-64", "64x0-64", "64x2_128", "64x2-64_b"]
)
def test_wrong_notation_is_refused_with_an_example(text: str) -> None:
    for read in (get_plan, load_network):
        with pytest.raises(SettingsError, match=f"'{text}' is not plan notation .write 64x2-128x2-"):
            read(text)


@pytest.mark.parametrize("blocks", [[], [[]], [[64], []], [[0]], [[-3]]])
def test_wrong_blocks_are_refused(blocks: list[list[int]]) -> None:
    with pytest.raises(SettingsError, match="are not the blocks of a network"):
        plan_of_blocks(blocks)


@pytest.mark.parametrize("word", ["19", "16_bn", "vgg91"])
def test_a_misspelt_network_is_no_notation(word: str) -> None:
    with pytest.raises(SettingsError, match=f"there is no network '{word}'"):
        get_plan(word)


def test_the_layers_are_those_of_torchvisions_own_builder() -> None:
    from torchvision.models.vgg import make_layers

    theirs = make_layers([4, 4, "M", 6, "M", 8, 8, *[10] * 10, "M"], batch_norm=True)
    network = VGG(OWN, head="none")
    kinds = {"conv": nn.Conv2d, "bn": nn.BatchNorm2d, "relu": nn.ReLU, "pool": nn.MaxPool2d}
    assert [type(module) for module in theirs] == [kinds[name.rstrip("_0123456789")] for name in network.layer_names]
    network.load_state_dict(dict(zip(network.state_dict(), theirs.state_dict().values(), strict=True)))
    torch.testing.assert_close(network.eval()(IMAGE), theirs.eval()(network.convention(IMAGE)))


def test_a_file_says_which_plan_it_is_of(own: VGG) -> None:
    assert plan_of("mine.safetensors") == get_plan(OWN)
    for read in (
        load_network("mine.safetensors", needs="classes"),
        load_network(f"{OWN}=mine.safetensors", needs="classes"),
        load_vgg(OWN, "mine.safetensors"),
    ):
        assert (read.plan.name, read.classes) == (OWN, ("cat", "dog", "owl"))
        torch.testing.assert_close(read(IMAGE), own(IMAGE))
    assert load_network("mine.safetensors", layers=["conv3_12"]).head == "none"


def test_the_name_is_one_whatever_the_spelling(own: VGG) -> None:
    assert load_vgg("4+4-6x1-8x2+10x4+10x6_BN", "mine.safetensors").plan == own.plan


def test_a_file_of_another_program_is_read_with_its_plan_in_front(own: VGG) -> None:
    from torchvision.models.vgg import make_layers

    theirs = make_layers([4, 4, "M", 6, "M", 8, 8, *[10] * 10, "M"], batch_norm=True).eval()
    torch.save({f"features.{key}": value for key, value in theirs.state_dict().items()}, "theirs.pth")
    read = load_network(f"{OWN}=theirs.pth", convention="plain")
    torch.testing.assert_close(read(IMAGE), theirs(IMAGE))


def test_a_file_is_not_taken_for_notation_nor_notation_for_a_file(own: VGG) -> None:
    assert not is_file("64x2-128")
    assert is_file(f"{OWN}=mine.safetensors")
    assert file_of(f"{OWN}=mine.safetensors") == "mine.safetensors"
    with pytest.raises(VggappsError, match="no published weights for 64x2-128"):
        load_network("64x2-128")
    with pytest.raises(VggappsError, match=r"there is no file 64x2-128\.pth"):
        load_network("64x2-128.pth")
    Path("64x2-128").write_bytes(b"weights")  # an existing file of that name wins
    Path(f"{OWN}=mine.safetensors").write_bytes(Path("mine.safetensors").read_bytes())
    assert is_file("64x2-128")
    assert file_of(f"{OWN}=mine.safetensors") == f"{OWN}=mine.safetensors"
    with pytest.raises(VggappsError, match="64x2-128 does not state its network"):
        load_network("64x2-128")
    assert load_network(f"{OWN}=mine.safetensors").plan.name == OWN


def test_without_a_plan_in_front_a_wrong_network_is_named(own: VGG) -> None:
    with pytest.raises(VggappsError, match=f"mine.safetensors holds {OWN.replace('+', '.')}, not vgg16"):
        load_vgg("vgg16", "mine.safetensors")


def test_a_recipe_finds_the_file_of_an_own_network_again(own: VGG, cli) -> None:
    folder = Path("weights")
    folder.mkdir()
    torch.save(own.state_dict(), folder / "theirs.pth")
    Image.new("RGB", (40, 30), "teal").save("photo.png")
    words = ["explain", "photo.png", "--target", "relu3_2:3", "--convention", "imagenet", "-q"]
    assert cli(*words, "--backbone", f"{OWN}={folder}/theirs.pth", "-o", "first.png").code == 0
    facts = read_recipe("first.png", "explain")
    assert facts.settings["backbone"] == f"{OWN}=theirs.pth"  # without folders
    assert [one.name for one in facts.inputs["backbone"]] == ["theirs.pth"]
    (folder / "theirs.pth").rename("theirs.pth")
    assert cli("explain", "--settings", "first.png", "-o", "again.png", "-q").code == 0
    assert Image.open("again.png").tobytes() == Image.open("first.png").tobytes()


def test_the_table_of_layers(cli) -> None:
    plan = "64x2-128-200+256x2_bn"
    title = cli("layers", plan, "--size", 28, "--head", "gap").out.splitlines()[0]
    assert title.rstrip() == f"{plan}, a picture of 28 × 28"  # without a letter of the paper
    *rows, last = map(json.loads, cli("layers", plan, "--size", 28, "--head", "gap", "--json").out.splitlines())
    assert [row["name"] for row in rows] == [*layer_names(get_plan(plan), "gap")]
    assert last["total"]["network"] == plan
    ran = cli("layers", "64x2-128y")
    assert (ran.code, ran.err.splitlines()[0]) == (2, "error: '64x2-128y' is not plan notation")
