"""Classifying: what goes in, what comes out, many pictures, and the command."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import VGG19_Weights

from tests.conftest import IMAGES, Ran
from vggapps.classification import Classifier
from vggapps.errors import PictureError, SettingsError, WeightsError
from vggapps.image import open_picture
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan
from vggapps.weights._files import save_weights
from vggapps.weights._labels import find_label, imagenet

NARROW = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8,)))


def network(seed: int = 0, classes: int = 7) -> VGG:
    vgg = initialize(VGG(NARROW, head="gap", classes=classes), seed=seed).freeze()
    vgg.get_parameter("fc8.weight").mul_(100)  # so that classes differ
    return vgg


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eleven pictures of odd sizes, one of them broken: enough for reading in another process."""
    generator = np.random.default_rng(0)
    where = tmp_path / "pictures"
    where.mkdir()
    for number in range(11):
        size = (200 + 13 * number, 330 - 17 * number, 3)
        Image.fromarray(generator.integers(0, 256, size, np.uint8)).save(where / f"{number:02}.png")
    whole = (where / "04.png").read_bytes()
    (where / "04.png").write_bytes(whole[: len(whole) // 2])
    return where


def test_the_labels_are_imagenets() -> None:
    assert [label.name for label in imagenet()] == VGG19_Weights.IMAGENET1K_V1.meta["categories"]
    ids = [label.wordnet for label in imagenet()]
    assert ids == sorted(set(ids))  # ILSVRC's order is that of the ids


@pytest.mark.parametrize("word", ["n02123045", "281", "tabby", "Tabby"])
def test_a_class_goes_by_many_names(word: str) -> None:
    assert (find_label(word).index, find_label(word).wordnet) == (281, "n02123045")


def test_a_wrong_class_is_told_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'tabby'"):
        find_label("taby")
    with pytest.raises(SettingsError, match="the last one is 999"):
        find_label("1000")


def test_a_picture_is_the_same_in_every_form(folder: Path) -> None:
    classify = Classifier(network(), dtype="float32")
    path = folder / "00.png"
    with Image.open(path) as image:
        forms: list[Any] = [path, str(path), path.read_bytes(), open_picture(path), image, open_picture(path).rgb[0]]
        found = classify(forms)
    assert all(one == found[0] for one in found)
    assert [p.probability for p in found[0]] == sorted((p.probability for p in found[0]), reverse=True)
    batch = open_picture(path).rgb.expand(2, -1, -1, -1)
    assert classify(batch, top=2) == [found[0][:2]] * 2


def test_an_ensemble_averages_probabilities(folder: Path) -> None:
    path = folder / "01.png"
    one, other = network(1), network(2)
    alone = [Classifier(vgg, dtype="float32").probabilities(path) for vgg in (one, other)]
    together = Classifier([one, other], dtype="float32").probabilities(path)
    torch.testing.assert_close(together, (alone[0] + alone[1]) / 2)
    with pytest.raises(SettingsError, match="have different classes"):
        Classifier([one, network(classes=9)])


def test_the_callers_network_stays_as_it_was() -> None:
    vgg = network()
    before = {key: value.clone() for key, value in vgg.state_dict().items()}
    Classifier(vgg, dtype="bfloat16")
    assert vgg.head == "gap"
    for key, value in vgg.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before[key])


def test_names_and_temperature_travel_with_the_weights(tmp_path: Path, folder: Path) -> None:
    vgg = initialize(VGG("vgg11", head="gap", classes=2)).freeze()
    vgg.classes, vgg.temperature = ("cat", "dog"), 4.0
    save_weights(vgg, tmp_path / "mine.safetensors")
    classify = Classifier(tmp_path / "mine.safetensors", dtype="float32")
    found = classify(folder / "00.png")
    assert {p.label for p in found} == {"cat", "dog"}
    assert {p.wordnet for p in found} == {""}
    vgg.temperature = 1.0
    hot = Classifier(vgg, dtype="float32").probabilities(folder / "00.png")
    torch.testing.assert_close(classify.probabilities(folder / "00.png"), (hot.log() / 4).softmax(0))


@pytest.mark.parametrize(
    ("backbone", "error", "text"),
    [
        ("vgg16-features", WeightsError, "has no head and so no classes"),
        ("vgg19-installed", WeightsError, "has no head and so no classes"),
        ("vg16", SettingsError, "did you mean 'vgg16'"),
        ([], SettingsError, "no backbone"),
        (VGG(NARROW, head="none"), WeightsError, "has no head"),
    ],
)
def test_what_names_no_classes_is_refused(backbone: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Classifier(backbone)


@pytest.mark.parametrize("workers", [0, 1])
def test_many_pictures_come_in_order_and_a_broken_one_is_told_in_its_place(folder: Path, workers: int) -> None:
    classify = Classifier(network(), dtype="float32", batch=3)
    paths = sorted(folder.iterdir())
    results = list(classify.run(paths, workers))
    assert [r.index for r in results] == list(range(11))
    assert isinstance(results[4].error, PictureError)
    for path, result in zip(paths, results, strict=True):
        if result.error is None:
            torch.testing.assert_close(result.probabilities, classify.probabilities(path), rtol=1e-4, atol=1e-6)


def test_the_installed_head_knows_a_picture_of_each_of_many_classes() -> None:
    folder = IMAGES / "imagenet-train"
    if not folder.is_dir():
        pytest.skip("the development pictures are not here")
    paths = sorted(folder.iterdir())[::40]
    classify = Classifier("vgg19-gap")
    right = sum(
        int(path.name[:3]) in [p.index for p in classify.best(r.probabilities)]
        for path, r in zip(paths, classify.run(paths), strict=True)
        if r.probabilities is not None
    )
    assert right >= len(paths) // 2  # chance is one in two hundred; these are pictures that it was trained on


def test_the_command_prints_a_table(cli: Callable[..., Ran], folder: Path) -> None:
    ran = cli("classify", folder / "00.png", "--top", 3, "--backbone", "vgg19-gap")
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines()]
    assert len(rows) == 3
    assert all(row[1] == "%" and find_label(row[-1]).name == " ".join(row[2:-1]) for row in rows)


def test_the_command_prints_json_and_goes_on_after_a_broken_file(cli: Callable[..., Ran], folder: Path) -> None:
    ran = cli("classify", folder / "03.png", folder / "04.png", "--json", "--backbone", "vgg19-gap")
    assert ran.code == 1
    record, last = [json.loads(line) for line in ran.out.splitlines()]
    assert last["total"] == {"pictures": 1, "failed": 1}
    assert list(record) == ["schema", "path", "predictions", "backbone", "views"]
    assert (record["path"], record["views"], record["backbone"]) == (str(folder / "03.png"), "center", ["vgg19-gap"])
    assert len(record["predictions"]) == 5
    for prediction in record["predictions"]:
        assert set(prediction) == {"index", "label", "wordnet", "probability"}
        assert imagenet()[prediction["index"]].wordnet == prediction["wordnet"]
    assert "04.png" in ran.err
    assert ran.err.endswith("1 of 2 pictures failed\n")


def test_the_command_prints_csv_and_shards_share_the_rows(cli: Callable[..., Ran], folder: Path) -> None:
    (folder / "04.png").unlink()
    for path in sorted(folder.iterdir())[4:]:
        path.unlink()
    everything = cli("classify", folder, "--csv", "--backbone", "vgg19-gap").out
    rows = list(csv.DictReader(io.StringIO(everything)))
    assert list(rows[0]) == ["path", "rank", "index", "label", "wordnet", "probability"]
    assert [row["rank"] for row in rows] == list("12345") * 4
    parts = [cli("classify", folder, "--csv", "--shard", f"{i}/2", "--backbone", "vgg19-gap").out for i in (1, 2)]
    found = [row for part in parts for row in csv.DictReader(io.StringIO(part))]
    assert sorted((r["path"], r["rank"], r["label"]) for r in found) == [
        (r["path"], r["rank"], r["label"]) for r in rows
    ]


def test_the_command_shows_what_decided(cli: Callable[..., Ran], folder: Path, tmp_path: Path) -> None:
    why = tmp_path / "why.png"
    ran = cli("classify", folder / "00.png", "--explain", why, "--backbone", "vgg19-gap")
    assert ran.code == 0
    assert ran.err.startswith(f"{why}: evidence for ")
    assert open_picture(why).size == open_picture(folder / "00.png").size
    assert cli("classify", folder / "00.png", "--explain", why, "--backbone", "vgg19-gap").code == 4


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["missing.png"], 3, "missing.png"),
        (["04.png"], 3, "04.png"),
        (["00.png", "--views", "centre"], 2, "did you mean 'center'"),
        (["00.png", "--backbone", "vg16"], 2, "did you mean 'vgg16'"),
        (["00.png", "--json", "--csv"], 2, "both write to stdout"),
        (["00.png", "--shard", "3/2"], 2, "no such share"),
    ],
)
def test_errors_say_what_is_wrong(
    cli: Callable[..., Ran], folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, text: str
) -> None:
    monkeypatch.chdir(folder)
    ran = cli("classify", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert text in ran.err


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_says_the_same(folder: Path) -> None:
    path = folder / "00.png"
    on_cpu = Classifier(network(), dtype="float32").probabilities(path)
    on_gpu = Classifier(network(), dtype="float32", device="cuda").probabilities(path)
    torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-2, atol=1e-4)  # TF32
