"""``vggapps explain``: what it writes, prints, and refuses."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.conftest import Ran
from vggapps.explanation import Explanation
from vggapps.explanation import _faithfulness as faithfulness
from vggapps.explanation import _report as report
from vggapps.explanation._cam import grad_cam
from vggapps.explanation._methods import METHODS, input_size
from vggapps.explanation._question import Question
from vggapps.image import open_picture, read_settings, resize, save_picture
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._normalize import PLAIN
from vggapps.vgg._plan import Plan
from vggapps.weights import _backbone as loading
from vggapps.weights._load import load_vgg

NARROW = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8, 8)))
Cli = Callable[..., Ran]
LOAD = loading._loaded


def network() -> VGG:
    vgg = initialize(VGG(NARROW, head="gap", classes=3), "glorot", seed=3)
    vgg.classes = ("tench", "tabby", "house")
    return vgg.freeze()


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loading, "_loaded", lambda *_: network())
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for i, (height, width) in enumerate(((300, 400), (256, 240))):
        picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(i))
        save_picture(picture, f"photos/{i}.png")


def test_it_writes_a_figure_that_says_how_it_was_made(cli: Cli) -> None:
    ran = cli("explain", "photos/0.png", "--class", "tabby")
    assert ran.code == 0
    assert ran.out.startswith("0_why.png: tabby ")
    assert ran.out.endswith(" %\n")
    height, width = open_picture("0_why.png").size
    assert (600 < height < 660, width) == (True, 2 * 800 + 8)
    assert cli("explain", "photos/0.png", "--class", "tabby", "--no-caption", "-o", "bare.png").code == 0
    assert open_picture("bare.png").size == (600, 2 * 800 + 8)
    kept = read_settings("0_why.png")
    assert kept is not None
    assert kept["inputs"]["images"][0]["name"] == "0.png"  # type: ignore[index, call-overload]
    assert (kept["target"], kept["settings"]["method"]) == ("class:tabby", "grad-cam")  # type: ignore[index, call-overload]
    assert cli("explain", "photos/0.png", "-q").code == 0
    assert Path("0_why-2.png").exists()


def test_in_json_it_is_one_object_a_picture_and_raw_maps_are_as_they_are(cli: Cli) -> None:
    ran = cli("explain", "photos/", "--json", "--raw", "maps.npz", "--target", "class:house")
    facts = [json.loads(line) for line in ran.out.splitlines()]
    assert [one["path"] for one in facts] == ["photos/0.png", "photos/1.png"]
    with np.load("maps.npz") as maps:
        assert json.loads(str(maps["settings"]))["target"] == "class:house"
        for one in facts:
            picture = open_picture(one["path"]).rgb
            image = resize(picture, input_size(*picture.shape[2:], 224))
            cam = grad_cam(network().dense(), image, 2)
            expected = torch.nn.functional.interpolate(cam, image.shape[2:], mode="bilinear")[0, 0]
            found = maps[f"{one['path']}/grad-cam"]
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
            (about,) = one["maps"]
            assert (about["method"], about["layer"]) == ("grad-cam", "relu5_2")
            assert about["max"] == pytest.approx(expected.max().item(), rel=1e-4)
            assert about["sum"] == pytest.approx(expected.sum().item(), rel=1e-4)
            probability = network().dense()(image).mean((2, 3)).softmax(1)[0, 2]
            assert one["probability"] == pytest.approx(float(probability), rel=1e-4)
            assert Path(one["output"]).exists()


def test_on_a_common_scale_the_hottest_picture_alone_is_hot(cli: Cli) -> None:
    dark = torch.rand(1, 3, 256, 240, generator=torch.Generator().manual_seed(5)) * 0.02 + 0.44
    save_picture(dark, "photos/2.png")
    for scale in ("own", "common"):
        ran = cli("explain", "photos/", "--class", "0", "--scale", scale, "--json", "-o", f"{scale}/")
        most = [json.loads(line)["maps"][0]["max"] for line in ran.out.splitlines()]
    hottest = max(range(3), key=lambda i: most[i])
    same = [
        Path(f"own/{i}_why.png").read_bytes()[-5000:] == Path(f"common/{i}_why.png").read_bytes()[-5000:]
        for i in range(3)
    ]
    assert same == [i == hottest for i in range(3)]


def test_all_methods_go_on_one_sheet(cli: Cli) -> None:
    ran = cli("explain", "photos/1.png", "--method", "all", "--samples", "2", "--json", "--raw", "maps.npz")
    assert ran.code == 0, ran.err
    (facts,) = [json.loads(line) for line in ran.out.splitlines()]
    assert [one["method"] for one in facts["maps"]] == list(METHODS)
    with np.load("maps.npz") as maps:
        assert set(maps) == {"settings", *(f"photos/1.png/{name}" for name in METHODS)}
    height, width = open_picture("1_why.png").size
    assert 4 * 300 < width < 4 * 340
    assert height > 4 * 320


def test_how_faithful_a_map_is_can_be_measured(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure_faithfulness(question: Question, image: Tensor, map: Tensor, seed: int) -> dict[str, float]:
        assert (question.objective.text, image.shape, map.shape) == ("class:house", (1, 3, 224, 224), (1, 1, 224, 224))
        return {"deletion": 0.25, "seed": seed}

    monkeypatch.setattr(faithfulness, "measure_faithfulness", measure_faithfulness)
    words = ("explain", "photos/1.png", "--class", "house", "--evaluate", "--seed", "3")
    (one,) = json.loads(cli(*words, "--json").out)["maps"]
    assert one["faithfulness"] == {"deletion": 0.25, "seed": 3}
    assert cli(*words).out.splitlines()[1] == "  grad-cam: deletion 0.25  seed 3"
    words = ("explain", "photos/1.png", "--class", "house", "--evaluate", "--method", "integrated-gradients")
    (one,) = json.loads(cli(*words, "--json").out)["maps"]
    assert one["faithfulness"]["completeness"] < 0.05


def test_the_first_ctrl_c_keeps_what_is_done(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    run = report.explanations

    def interrupted(*arguments: Any) -> list[Explanation]:
        signal.raise_signal(signal.SIGINT)
        return run(*arguments)

    monkeypatch.setattr(report, "explanations", interrupted)
    for scale in ("own", "common"):
        ran = cli("explain", "photos/", "--scale", scale, "--raw", f"{scale}.npz")
        assert (ran.code, len(ran.out.splitlines())) == (130, 1)
        with np.load(f"{scale}.npz") as maps:
            assert set(maps) == {"settings", "photos/0.png/grad-cam"}


def test_the_same_seed_gives_the_same_file(cli: Cli) -> None:
    for name in ("a.png", "b.png"):
        ran = cli("explain", "photos/1.png", "--method", "rise", "--samples", "5", "--seed", "4", "-o", name)
        assert ran.code == 0, ran.err
    assert torch.equal(open_picture("a.png").rgb, open_picture("b.png").rgb)
    cli("explain", "photos/1.png", "--method", "rise", "--samples", "5", "-o", "c.png")
    assert not torch.equal(open_picture("a.png").rgb, open_picture("c.png").rgb)


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(cli: Cli) -> None:
    Path("photos/bad.jpg").write_text("no picture")
    for scale in ("own", "common"):
        ran = cli("explain", "photos/", "--scale", scale)
        assert ran.code == 1
        assert len(ran.out.splitlines()) == 2
        assert "bad.jpg" in ran.err
        assert "1 of 3 pictures" in ran.err
    assert cli("explain", "photos/bad.jpg").code == 3


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--class", "taby"], 2, "did you mean 'tabby'"),
        (["--class", "tabby", "--target", "class:house"], 2, "leave one of them out"),
        (["--target", "relu5_9:1"], 2, "no layer 'relu5_9'"),
        (["--layer", "relu9_9"], 2, "no layer 'relu9_9'"),
        (["--method", "gradient", "--layer", "relu4_1"], 2, "gradient takes no layer"),
        (["--method", "grad-cm"], 2, "grad-cam"),
        (["--size", "100"], 2, "224"),
        (["--raw", "maps.txt"], 2, "does not end in .npz"),
        (["-o", "-", "--json"], 2, "both be written to stdout"),
        (["--raw", "there.npz"], 4, "there.npz exists"),
        (["-o", "there.png"], 4, "there.png exists"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    cli: Cli, words: list[str], code: int, told: str
) -> None:
    for name in ("there.png", "there.npz"):
        Path(name).touch()
    ran = cli("explain", "photos/0.png", *words)
    assert (ran.code, ran.out) == (code, "")
    assert told in ran.err
    assert not Path("0_why.png").exists()


def test_a_layer_behind_the_head_that_comes_with_the_package_is_found(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_loaded", LOAD)
    seen = load_vgg("vgg19", head="none")(open_picture("photos/1.png").rgb)
    target = f"pool5:{int(seen.mean((2, 3)).argmax())}"
    ran = cli("explain", "photos/1.png", "--target", target, "--json", "-o", "why.png")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert (facts["target"], facts["maps"][0]["layer"]) == (target, "relu5_4")
    assert facts["response"] == facts["score"] > 0


def colours() -> VGG:
    """A network whose three scores are the mean red, green and blue."""
    vgg = VGG(NARROW, head="gap", classes=3, convention=PLAIN)
    for name, module in vgg.named_children():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.data.zero_()
            module.bias.data.zero_()  # type: ignore[union-attr]
            taps = module.weight.data[:3, :3, 1, 1] if name.startswith("conv") else module.weight.data[:, :3]
            taps += torch.eye(3)
    vgg.classes = ("red", "green", "blue")
    return vgg.freeze()


@pytest.mark.parametrize(("red", "blue", "likeliest"), [(0.3, 1.0, "blue"), (0.8, 0.6, "red")])
def test_what_is_explained_is_the_class_that_classify_names_and_another_of_the_whole_is_told(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, red: float, blue: float, likeliest: str
) -> None:
    """The picture is red in the middle, where ``classify`` looks, and blue around that: in 24 of the 49 last cells."""
    monkeypatch.setattr(loading, "_loaded", lambda *_: colours())
    picture = torch.zeros(1, 3, 512, 512)
    picture[:, 2] = blue
    picture[:, :, 28:-28, 28:-28] = torch.tensor([red, 0, 0]).view(3, 1, 1)
    save_picture(picture, "two.png")
    (named, *_) = json.loads(cli("classify", "two.png", "--dtype", "float32", "--json").out)["predictions"]
    assert named["label"] == "red"
    ran = cli("explain", "two.png", "--json")
    facts = json.loads(ran.out)
    assert facts["target"] == facts["middle"]["target"] == "class:red"
    assert facts["middle"]["probability"] == pytest.approx(named["probability"], abs=1e-3)
    shares = torch.tensor([red, 0, 24 / 49 * blue]).softmax(0)  # by the maxima of cells
    assert facts["probability"] == pytest.approx(float(shares[0]), abs=0.02)
    assert facts["whole"]["target"] == f"class:{likeliest}"
    assert facts["whole"]["probability"] == pytest.approx(float(shares.max()), abs=0.02)
    said = cli("explain", "two.png", "-o", "again.png").out
    assert said.startswith(f"again.png: red {100 * facts['probability']:.1f} %")
    note = f"(predicted by classify, {100 * named['probability']:.1f} % for the center; for the whole picture: blue "
    assert (note in said) == (likeliest == "blue")
    assert cli("explain", "two.png", "--class", "red", "-o", "red.png").out.count("%") == 1


def test_against_a_class_is_a_target_too(cli: Cli) -> None:
    for_, against = (
        json.loads(cli("explain", "photos/1.png", "--json", "--target", t).out) for t in ("class:house", "-class:house")
    )
    assert against["probability"] == pytest.approx(1 - for_["probability"])
    assert against["score"] == pytest.approx(-for_["score"])
    assert "middle" not in for_
    assert ": not house " in cli("explain", "photos/1.png", "--target", "-class:house").out
