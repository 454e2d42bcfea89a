"""What is learnt on features, against closed forms, toy problems with known answers, and votes counted by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import typer
from torch import Tensor

from tests.conftest import Ran
from vggapps.cli import app as door
from vggapps.cli import probe as command
from vggapps.errors import SettingsError
from vggapps.features import _fitting as fitting
from vggapps.features import _radial as radial
from vggapps.features._describe import Descriptor
from vggapps.features._files import FeatureTable
from vggapps.features._fitting import Data, logistic, moments, ridge
from vggapps.features._heads import save_head
from vggapps.features._learning import calibrate
from vggapps.features._probe import neighbor_votes, probe, top
from vggapps.features._splits import split
from vggapps.features._targets import teacher_of
from vggapps.weights._load import load_vgg

ABOUT = Descriptor("vgg19", "vgg19-installed", "pool5", "avg")
KINDS = ["linear", "mlp", "radial", "knn"]


def table(features: np.ndarray) -> FeatureTable:
    paths = tuple(f"{number}.png" for number in range(len(features)))
    return FeatureTable(paths, features.astype(np.float32), ABOUT)


def clouds(count: int = 240, classes: int = 3, numbers: int = 8, apart: float = 8) -> tuple[FeatureTable, Tensor]:
    """Gaussian clouds of deviation 1 around points that lie on axes of their own, so far from the origin."""
    generator = np.random.default_rng(0)
    words = np.arange(count) % classes
    rows = generator.normal(size=(count, numbers)) + apart * np.eye(classes, numbers)[words]
    return table(rows), torch.from_numpy(words)


def plain(rows: np.ndarray, targets: Tensor) -> Data:
    """Data as they are, nothing subtracted."""
    return Data(rows.astype(np.float32), targets, False, torch.zeros(rows.shape[1]), torch.ones(rows.shape[1]))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is summed over blocks is summed over several, the last one not full."""
    monkeypatch.setattr(fitting._read, "__defaults__", (7,))
    monkeypatch.setattr(Data.blocks, "__defaults__", (7,))


def test_moments_are_numpys(small_blocks: None) -> None:
    rows = np.random.default_rng(0).normal(3, 2, (40, 5)).astype(np.float32)
    rows[:, 2] = 4
    index = np.arange(0, 40, 2)
    mean, deviation = moments(rows, index)
    np.testing.assert_allclose(mean, rows[index].mean(0), rtol=1e-5)
    wanted = rows[index].std(0)
    wanted[2] = 1  # what never varies is not divided by nothing
    np.testing.assert_allclose(deviation, wanted, rtol=1e-5)
    signs = np.array([[-4, 9.0], [4, -1]], np.float32)
    np.testing.assert_allclose(moments(signs, np.arange(2), root=True)[0], [0, 1])


@pytest.mark.parametrize("strength", [1e-4, 0.3])
def test_ridge_is_least_squares_with_a_row_for_each_weight(strength: float, small_blocks: None) -> None:
    """mean |W x + b - y|² + s |W|² as one least-squares problem, which numpy.linalg.lstsq solves."""
    generator = np.random.default_rng(0)
    rows, logits = generator.normal(1, 2, (50, 6)), generator.normal(5, 3, (50, 4))
    index = np.sort(generator.permutation(50)[:38])
    ((weight, bias),) = ridge(plain(rows, torch.from_numpy(logits)), index)(strength)
    x, y = rows[index].astype(np.float32), logits[index] - logits[index].mean(1, keepdims=True)
    a = np.vstack(
        [np.hstack([x, np.ones((38, 1))]) / np.sqrt(38), np.hstack([np.sqrt(strength) * np.eye(6), np.zeros((6, 1))])]
    )
    solved = np.linalg.lstsq(a, np.vstack([y / np.sqrt(38), np.zeros((6, 4))]), rcond=None)[0]
    np.testing.assert_allclose(weight, solved[:6].T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bias, solved[6], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("in_memory", [0, 1 << 30])
def test_logistic_regression_is_where_the_gradient_of_its_loss_is_zero(
    classes: int, in_memory: int, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the weights: mean (p - onehot) xᵀ + s W = 0; for the biases: mean (p - onehot) = 0."""
    monkeypatch.setattr(fitting, "_IN_MEMORY", in_memory)  # rows in an array, or in a temporary file
    found, targets = clouds(60, classes, apart=1)
    rows = found.features
    ((weight, bias),) = logistic(plain(rows, targets), np.arange(60), classes)(0.1)
    scores = rows @ weight.numpy().T + bias.numpy()
    error = np.exp(scores) / np.exp(scores).sum(1, keepdims=True) - np.eye(classes)[targets]
    np.testing.assert_allclose(error.T @ rows / 60 + 0.1 * weight.numpy(), 0, atol=1e-4)
    np.testing.assert_allclose(error.mean(0), 0, atol=1e-4)


def test_without_scikit_learn_nothing_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"scikit-learn.*vggapps\[probe\]"):
        probe(*clouds(), "abc")


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_apart_is_told_apart(kind: str) -> None:
    found, targets = clouds()
    report, head = probe(found, targets, "abc", kind, hidden=64)
    assert (report.top1, report.top5, report.learnt, report.tested) == (1, 1, 192, 48)
    assert (head is None) == (kind == "knn")


@pytest.mark.parametrize("kind", KINDS)
def test_labels_that_mean_nothing_are_told_by_chance(kind: str) -> None:
    """Three deviations of the share of right guesses among 240, a third each: 9 %."""
    found, targets = clouds(1200, apart=0)
    report, _ = probe(found, targets, "abc", kind, hidden=32, epochs=5)
    assert report.tested == 240
    assert report.top1 == pytest.approx(1 / 3, abs=0.09)


@pytest.mark.parametrize(("kind", "least"), [("linear", 0.97), ("mlp", 0.9)])
def test_a_linear_teacher_is_learnt(kind: str, least: float) -> None:
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(1500, 12))
    logits = torch.from_numpy(rows @ generator.normal(size=(12, 7)) * 2 + 100).float()
    report, head = probe(table(rows), logits, "abcdefg", kind, hidden=256)
    assert head
    assert report.top1 > least
    assert report.top5 >= report.top1
    if kind == "linear":  # ridge finds the teacher's logits themselves, up to a number for each row
        ours = head(torch.from_numpy(rows).float())
        torch.testing.assert_close(ours, logits - logits.mean(1, keepdim=True), atol=0.02, rtol=0.01)
        assert report.temperature == pytest.approx(1, abs=0.02)


def test_soft_target_steps_after_ridge_bring_the_head_nearer_to_the_teachers_probabilities() -> None:
    """A teacher whose logits are no linear function: ridge is nearest in squares, not in probabilities."""
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(800, 6))
    logits = torch.from_numpy(8 * np.tanh(2 * rows @ generator.normal(size=(6, 5)))).float()
    _, tested = split(logits, 0.2)
    distance = []
    for epochs in (0, 60):
        _, head = probe(table(rows), logits, "abcde", epochs=epochs)
        assert head
        ours = (head(torch.from_numpy(rows[tested]).float()) / fitting.SOFT).log_softmax(1)
        distance.append(float(F.kl_div(ours, (logits[tested] / fitting.SOFT).softmax(1), reduction="batchmean")))
    assert distance[1] < 0.98 * distance[0]


@pytest.mark.parametrize("scale", [3.0, 0.5])
def test_logits_that_are_too_large_have_their_scale_as_temperature(scale: float) -> None:
    """Classes drawn from softmax(z), and scale · z as logits; a teacher's softmax(z) is exact."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(20_000, 6, generator=generator)
    drawn = torch.multinomial(z.softmax(1), 1, generator=generator)[:, 0]
    assert calibrate(scale * z, drawn) == pytest.approx(scale, rel=0.05)
    assert calibrate(scale * z, z) == pytest.approx(scale, rel=1e-6)


def test_neighbours_vote_and_of_equal_votes_the_nearer_win() -> None:
    angles = torch.tensor([0.0, 10, 20, 30, 90]).deg2rad()
    rows = torch.stack([angles.cos(), angles.sin()], 1)
    votes = neighbor_votes(rows[:1], rows, torch.tensor([2, 0, 0, 1, 1]), 3, [1, 2, 3, 5])
    assert {k: int(scores.argmax()) for k, scores in votes.items()} == {1: 2, 2: 2, 3: 0, 5: 0}
    assert votes[5].round().tolist() == [[2, 2, 1]]


def test_top_counts_the_right_class_among_the_first() -> None:
    scores = torch.tensor([[3.0, 2, 1], [3, 2, 1], [3, 2, 1], [1, 2, 3]])
    right = torch.tensor([0, 1, 2, 2])
    assert [top(scores, right, count) for count in (1, 2, 5)] == [0.5, 0.75, 1]
    assert top(scores, F.one_hot(right, 3).float(), 1) == 0.5


def test_each_class_gives_its_share_to_the_test() -> None:
    targets = torch.tensor([0] * 50 + [1] * 10 + [2] * 2 + [3])
    learn, tested = split(targets, 0.2, seed=3)
    assert np.bincount(targets[tested], minlength=4).tolist() == [10, 2, 1, 0]
    assert sorted([*learn, *tested]) == list(range(63))
    assert split(targets, 0.2, seed=3)[1].tolist() == tested.tolist() != split(targets, 0.2, seed=4)[1].tolist()
    with pytest.raises(SettingsError, match="too few"):
        split(torch.tensor([0, 1]), 0.2)


@pytest.mark.parametrize("kind", ["linear", "mlp", "radial"])
def test_a_written_head_gives_its_logits_at_the_end_of_the_network(kind: str, tmp_path: Path) -> None:
    found, targets = clouds(numbers=512, apart=2)
    _, head = probe(found, targets, ["tree", "house", "cat"], kind, hidden=16, root=True, epochs=3)
    assert head
    save_head(tmp_path / "head.safetensors", head)
    vgg = load_vgg("vgg19", tmp_path / "head.safetensors")
    assert (vgg.head, vgg.classes, vgg.temperature) == ("gap", ("tree", "house", "cat"), head.temperature)
    rows = torch.from_numpy(found.features)
    x = rows[:, :, None, None].expand(-1, -1, 7, 7)  # a map whose mean is the row
    for name in vgg.layer_names[vgg.layer_names.index("gap") :]:
        x = vgg.get_submodule(name)(x)
    torch.testing.assert_close(x, head(rows), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("pool", ["pyramid", "none"])
def test_what_no_network_could_end_with_is_not_written(pool: str, tmp_path: Path) -> None:
    found, targets = clouds()
    about = replace(ABOUT, pool=pool)
    _, head = probe(replace(found, settings=about), targets, ["tree", "house", "cat"])
    assert head
    with pytest.raises(SettingsError, match="no network has a head on pool5"):
        save_head(tmp_path / "head.safetensors", head)


def test_radial_basis_functions_with_a_centre_for_each_row_are_kernel_ridge_regression(small_blocks: None) -> None:
    """With K(x, y) = exp(-|x - y|² / 4d): scores K(x, X) (K + n s)⁻¹ (Y - mean) + mean, of standardised rows."""
    found, targets = clouds(count=60, apart=3)
    rows = found.features
    index = np.arange(len(rows))
    data = Data(rows, targets, False, *moments(rows, index))
    data = radial.with_basis(data, torch.cat([block for block, _ in data.blocks(index)]))
    ((weight, bias),) = radial.ridge(data, index, 3)(1e-2)
    assert data.basis
    x = (rows - rows.mean(0)) / rows.std(0)
    kernel = np.exp(-((x[:, None] - x[None]) ** 2).sum(2) / (4 * x.shape[1]))
    y = 10 * np.eye(3)[targets]
    mean = y.mean(0)
    wanted = kernel @ np.linalg.solve(kernel + len(x) * 1e-2 * np.eye(len(x)), y - mean) + mean
    np.testing.assert_allclose(data.basis(torch.from_numpy(x).float()) @ weight.T + bias, wanted, atol=1e-2)


def test_centres_are_where_the_clouds_are() -> None:
    found, targets = clouds(apart=30)
    data = plain(found.features, targets)
    centres = radial.centers(data, np.arange(len(found.features)), 12, seed=1)
    means = np.stack([found.features[targets == k].mean(0) for k in range(3)])
    distances = np.linalg.norm(centres.numpy()[:, None] - means[None], axis=2)
    assert (distances.min(1) < 4).all()  # no centre lies between clouds
    assert (distances.min(0) < 4).all()  # and each cloud has one


def test_a_teachers_rows_are_found_by_path_where_it_has_paths(tmp_path: Path) -> None:
    logits = np.arange(6, dtype=np.float32).reshape(3, 2)
    beside = tmp_path / "t.json"
    np.save(tmp_path / "t.npy", logits)
    beside.write_text(json.dumps({"paths": ["c", "a", "b"], "labels": ["left", "right"]}))
    found, names = teacher_of(["a", "c"], tmp_path / "t.npy")
    assert (found.tolist(), names) == ([[2, 3], [0, 1]], ("left", "right"))
    with pytest.raises(SettingsError, match="no row for d"):
        teacher_of(["a", "d"], tmp_path / "t.npy")
    beside.write_text(json.dumps({"paths": ["a", "a", "b"]}))
    with pytest.raises(SettingsError, match="several rows of one picture"):
        teacher_of(["a", "b"], tmp_path / "t.npy")
    beside.unlink()
    found, names = teacher_of(["a", "b", "c"], tmp_path / "t.npy")
    assert (found.tolist(), names) == (logits.tolist(), ("0", "1"))
    with pytest.raises(SettingsError, match="3 rows for 2 pictures"):
        teacher_of(["a", "b"], tmp_path / "t.npy")
    np.save(tmp_path / "t.npy", logits[:, :1])
    with pytest.raises(SettingsError, match="one class"):
        teacher_of(["a", "b", "c"], tmp_path / "t.npy")


def test_the_command_learns_measures_and_writes(
    cli: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command(name="probe")(command.probe)
    app.callback()(lambda: None)
    monkeypatch.setattr(door, "app", app)
    monkeypatch.chdir(tmp_path)
    found, targets = clouds()
    monkeypatch.setattr("vggapps.features._files.load_features", lambda _: found)
    with Path("labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([path, "abc"[target]] for path, target in zip(found.paths, targets, strict=True))
    ran = cli("probe", "f.npy", "--labels", "labels.csv", "-o", "head.safetensors")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0] == "classes             3  labels.csv: a, b, c"
    low = 100 / (1 + 1.959964**2 / 48)  # Wilson's bound where nothing is wrong
    assert lines[1] == f"top-1         100.00%  accuracy on 48 held-out pictures (95 % interval {low:.1f} to 100.0)"
    assert lines[2].startswith("L2 strength")
    assert lines[3].startswith("temperature     1.000  not fitted because of too few mistakes on 240 pictures")
    assert ran.err == "head.safetensors: 3 classes on pool5 of vgg19\n"
    again = cli("probe", "f.npy", "--labels", "labels.csv", "-o", "head.safetensors")
    assert (again.code, again.err.splitlines()[0]) == (4, "error: head.safetensors exists")
    facts = json.loads(cli("probe", "f.npy", "--labels", "labels.csv", "--kind", "knn", "--json").out)
    assert (facts["schema"], facts["top1"], facts["temperature"], facts["layer"]) == (1, 1.0, None, "pool5")
    assert (facts["classes"], facts["names"]) == (3, ["a", "b", "c"])
    assert cli("probe", "f.npy", "--kind", "knn", "-o", "h.safetensors").code == 2
    assert cli("probe", "f.npy", "--labels", "labels.csv", "--kind", "liner").err.startswith(
        "error: there is no --kind"
    )
