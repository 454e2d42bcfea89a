"""Training runs in folders: what they leave, how they are resumed, and what stops them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.conftest import Ran
from vggapps.errors import DivergedError, OutOfMemoryError, OutputExistsError, PictureError, SettingsError, WeightsError
from vggapps.training import FinetuneSettings, TrainSettings
from vggapps.training import _estimate as estimation
from vggapps.training._start import resume, start
from vggapps.weights import load_network, save_weights

Cli = Callable[..., Ran]
COLORS = {"blue": (40, 60, 200), "green": (50, 180, 60), "red": (210, 50, 40)}
SMALL = {"arch": "8-8_bn", "epochs": 3, "batch": 8, "size": 16, "workers": 0, "ema": 0.5, "learning_rate": 0.1}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three classes, each of one colour with noise, 12 pictures of 16 px each; in the current folder."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for name, color in COLORS.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            pixels = np.clip(np.asarray(color) + generator.normal(0, 30, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def settings(**changes: Any) -> TrainSettings:
    return TrainSettings(**SMALL | changes)


def weights(folder: str | Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / f"{name}.safetensors")


def log_of(folder: str) -> list[dict[str, str]]:
    with Path(folder, "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def trained(photos: Path, folder: str, stop: int | None = None, **changes: Any) -> None:
    """Run to the end, or to a step after which it is asked to stop."""
    taken = 0

    def stops() -> bool:
        nonlocal taken
        taken += 1
        return taken == stop

    for _ in start(str(photos), folder, settings(**changes)).steps(stops):
        pass


def test_two_commands_give_a_classifier_of_ones_own_classes(cli: Cli, photos: Path) -> None:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    ran = cli("train", "photos", "-o", "run", *options)
    assert ran.code == 0, ran.err
    assert ran.out == "run/best.safetensors\n"
    assert "3 classes: 29 pictures for training, 7 for validation" in ran.err or "3 classes: " in ran.err
    assert "epoch 3 of 3: loss " in ran.err
    assert "use it: vggapps classify --backbone run/best.safetensors photo.jpg" in ran.err
    made = {path.name for path in Path("run").iterdir()}
    assert made == {
        "best.safetensors", "last.safetensors", "log.csv", "log.jsonl", "curves.png", "run.json",
        "checkpoint.pt", "checkpoint-before.pt",
    }  # fmt: skip
    found = cli("classify", "--backbone", "run/best.safetensors", "photos/red/0.png", "--json")
    best = json.loads(found.out.splitlines()[0])["predictions"][0]
    assert best["label"] == "red"
    evaluated = cli("evaluate", "photos", "--backbone", "run/best.safetensors", "--json")
    assert json.loads(evaluated.out)["top1_error"]["percent"] < 20
    explained = cli("explain", "photos/red/0.png", "--backbone", "run/best.safetensors", "-o", "why.png")
    assert explained.code == 0, explained.err


def test_the_result_has_classes_convention_and_size(photos: Path) -> None:
    trained(photos, "run")
    network = load_network("run/best.safetensors", needs="classes")
    assert network.classes == ("blue", "green", "red")
    assert (network.convention.name, network.convention.resize, network.convention.crop) == ("imagenet", 16, 16)
    assert network.plan.name == "8-8_bn"


def test_the_log_has_a_row_per_epoch_and_the_best_weights_are_those_of_the_best_row(photos: Path) -> None:
    run = start(str(photos), "run", settings(seed=1))
    best: dict[str, torch.Tensor] = {}
    for one in run.steps():
        if one.is_best:
            best = weights("run")
    rows = log_of("run")
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert float(rows[-1]["learning_rate"]) < float(rows[0]["learning_rate"])
    assert run.best is not None
    assert run.best["validation_top1"] == max(float(row["validation_top1"]) for row in rows)
    kept = weights("run", "best")
    assert all(torch.equal(kept[name], best[name]) for name in best)


@pytest.mark.parametrize("stop", [1, 4, 6, 9])
def test_a_resumed_run_ends_with_the_bits_of_one_that_never_stopped(photos: Path, stop: int) -> None:
    trained(photos, "whole")
    trained(photos, "parts", stop)
    for _ in resume("parts").steps():
        pass
    whole, parts = weights("whole"), weights("parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    for one, other in zip(log_of("whole"), log_of("parts"), strict=True):
        assert one | {"seconds": ""} == other | {"seconds": ""}


def test_a_killed_run_goes_on_from_its_last_checkpoint(photos: Path) -> None:
    trained(photos, "whole")
    for one in start(str(photos), "killed", settings()).steps():
        if one.step.epoch == 2:
            break  # without a word to the run
    run = resume("killed")
    assert run.done == 4
    for _ in run.steps():
        pass
    assert all(torch.equal(value, weights("killed")[name]) for name, value in weights("whole").items())


def test_of_a_damaged_checkpoint_the_one_before_is_taken(cli: Cli, photos: Path) -> None:
    trained(photos, "whole")
    trained(photos, "parts", stop=9)
    file = Path("parts/checkpoint.pt")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    ran = cli("train", "--resume", "parts")
    assert ran.code == 0, ran.err
    assert "checkpoint.pt is damaged; checkpoint-before.pt is used" in ran.err
    assert all(torch.equal(value, weights("parts")[name]) for name, value in weights("whole").items())


def test_a_run_that_has_ended_is_not_resumed(cli: Cli, photos: Path) -> None:
    trained(photos, "run")
    ran = cli("train", "--resume", "run")
    assert (ran.code, ran.err) == (
        2,
        "error: the run in run has ended: all 3 epochs are done\n"
        "hint: start a new run from its last.safetensors, in another folder\n",
    )


def test_a_run_is_not_resumed_with_other_pictures_or_settings(cli: Cli, photos: Path) -> None:
    trained(photos, "run", stop=2)
    assert "has its own data and settings" in cli("train", "--resume", "run", "--epochs", 5).err
    assert "has its own data and settings" in cli("train", "photos", "--resume", "run").err
    Image.new("RGB", (16, 16)).save(photos / "red" / "new.png")
    with pytest.raises(SettingsError, match="not those with which the run began"):
        resume("run")
    with pytest.raises(WeightsError, match="no checkpoint in photos"):
        resume("photos")


def test_a_run_is_not_replaced_unasked(cli: Cli, photos: Path) -> None:
    trained(photos, "run", stop=1)
    with pytest.raises(OutputExistsError, match="there is a run in run"):
        start(str(photos), "run", settings())
    with pytest.raises(OutputExistsError, match="photos is not empty"):
        start(str(photos), "photos", settings())
    assert start(str(photos), "run", settings(), overwrite=True).done == 0
    assert "name a folder of pictures" in cli("train", "--epochs", 3).err


def test_a_diverging_run_stops_and_keeps_the_last_good_epoch(photos: Path) -> None:
    run = start(str(photos), "run", settings())
    steps = run.steps()
    while not next(steps).step.ends_epoch:
        pass
    run.loss.forward = lambda outputs, _: outputs.sum() * float("nan")  # type: ignore[method-assign]
    with pytest.raises(DivergedError, match=r"the loss became nan in epoch 2, step 5, with .*\.png"):
        next(steps)
    assert resume("run").done == 4
    assert torch.isfinite(weights("run")["conv1_1.weight"]).all()


def test_a_run_stops_when_it_no_longer_improves(photos: Path) -> None:
    run = start(str(photos), "run", settings(epochs=30, learning_rate=0.0, stop_after=2, ema=0.0))
    list(run.steps())
    assert run.best is not None
    assert run.rows[-1]["epoch"] == run.best["epoch"] + 2


def test_broken_pictures_are_left_out_and_counted(cli: Cli, photos: Path) -> None:
    for name in ("red", "blue"):
        (photos / name / "broken.jpg").write_bytes(b"not a picture")
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    ran = cli("train", "photos", "-o", "run", *options)
    assert ran.code == 0, ran.err
    assert [row["unreadable"] for row in log_of("run")] == ["2", "2", "2"]
    assert "2 pictures could not be read" in ran.err


def test_too_little_memory_is_said_before_the_start(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(str(photos), "run", settings())
    monkeypatch.setattr(estimation, "free_memory", lambda device: 1000)
    with pytest.raises(OutOfMemoryError, match=r"training needs about .* GB of memory, and 0\.0 GB are free"):
        _ = run.estimate


def test_checkpointing_changes_neither_gradients_nor_statistics(photos: Path) -> None:
    trained(photos, "plain", epochs=1)
    trained(photos, "checkpointed", epochs=1, checkpointing=True)
    other = weights("checkpointed")
    for name, value in weights("plain").items():
        torch.testing.assert_close(other[name], value, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("cache", [True, False])
def test_fine_tuning_learns_the_classes(photos: Path, cache: bool) -> None:
    trained(photos, "base", epochs=1)
    save_weights(load_network("base/last.safetensors"), "body.safetensors")  # without the head
    tuning = FinetuneSettings(
        weights="body.safetensors", arch="8-8_bn", freeze_to="pool1", epochs=2, batch=8, size=16, workers=0,
        cache=cache, seed=3,
    )  # fmt: skip
    run = start(str(photos), "tuned", tuning)
    frozen = {name: value.clone() for name, value in run.network.state_dict().items() if "1_1" in name}
    list(run.steps())
    assert run.best is not None
    assert run.best["validation_top1"] > 0.8
    made = weights("tuned")
    assert all(torch.equal(made[name], frozen[name]) for name in frozen if "num_batches" not in name)
    assert not torch.equal(made["conv2_1.weight"], weights("base")["conv2_1.weight"])


def test_a_head_for_the_same_classes_is_kept(photos: Path) -> None:
    trained(photos, "base", epochs=2)
    run = start(str(photos), "more", settings(weights="base/last.safetensors", arch="vgg16_bn"))
    assert any("with its head" in line for line in run.notes)
    head = weights("base")["fc8.weight"]
    assert torch.equal(run.network.get_parameter("fc8.weight").cpu(), head)


def test_a_folder_that_can_not_be_written_is_said_before_the_work(photos: Path) -> None:
    Path("file").touch()
    with pytest.raises(PictureError, match="file is a file, and a run needs a folder"):
        start("nosuch", "file", settings())
    with pytest.raises(PictureError, match="file is a file, and a run needs a folder"):
        start("nosuch", "file/run", settings())
