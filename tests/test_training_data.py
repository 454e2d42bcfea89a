"""Data sets for training: their parts, what is held out, what is noted before the training."""

from __future__ import annotations

import statistics
import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vggapps.errors import PictureError, SettingsError
from vggapps.image import size_of
from vggapps.training._holdout import copies, held_out
from vggapps.training._pictures import TrainingData, read_training_data


def picture(path: Path, seed: int | None = None, size: tuple[int, int] = (10, 8), mode: str = "RGB") -> Path:
    """A picture of noise, different for each path or the same for the same seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size, 3) if mode == "RGB" else size
    own = zlib.crc32("/".join(path.parts[-3:]).encode())
    noise = np.random.default_rng(own if seed is None else seed).integers(0, 256, shape, np.uint8)
    Image.fromarray(noise).save(path)
    return path


def classes(folder: Path, **counts: int) -> Path:
    for name, count in counts.items():
        for number in range(count):
            picture(folder / name / f"{number}.png")
    return folder


def held(data: TrainingData) -> set[str]:
    return set(data.validation.names)


# Held-out pictures


def test_held_out_pictures_stay_when_others_are_added_or_removed(tmp_path: Path) -> None:
    before = read_training_data(str(classes(tmp_path, cat=25, dog=25)))
    trained, tested = set(before.training.names), held(before)
    for number in range(25):
        picture(tmp_path / "cat" / f"new{number}.png")
    classes(tmp_path, horse=5)
    after = read_training_data(str(tmp_path))
    assert tested <= held(after)
    assert trained <= set(after.training.names)
    (tmp_path / "cat" / "3.png").unlink()
    assert held(after) - {str(tmp_path / "cat" / "3.png")} <= held(read_training_data(str(tmp_path)))


def test_the_held_out_share_is_that_asked_for() -> None:
    names = [f"{n}.jpg" for n in range(20_000)]
    for share in (0.01, 0.2, 0.9):
        found = np.mean(held_out(names, [0] * len(names), range(len(names)), share))
        assert abs(found - share) < 5 * np.sqrt(share * (1 - share) / len(names))


@pytest.mark.parametrize("share", [0.01, 0.2, 0.9])
def test_every_class_with_two_pictures_is_in_both_parts(share: float) -> None:
    counts = [1, 2, 2, 2, 3, 3, 4, 5, 8] * 5
    targets = [target for target, count in enumerate(counts) for _ in range(count)]
    found = held_out([str(n) for n in range(len(targets))], targets, range(len(targets)), share)
    tested = Counter(target for target, is_held in zip(targets, found, strict=True) if is_held)
    for target, count in enumerate(counts):
        assert tested[target] == 0 if count == 1 else 0 < tested[target] < count


def test_copies_stay_on_one_side(tmp_path: Path) -> None:
    for number in range(40):
        for folder in "ab":
            picture(tmp_path / "cat" / folder / f"{number}.png", seed=number)
    picture(tmp_path / "dog" / "0.png")
    data = read_training_data(str(tmp_path))
    tested = {Path(name).name for name in held(data)}
    assert not tested & {Path(name).name for name in data.training.names if "cat" in name}
    assert len(held(data)) == 2 * len(tested) > 0


def test_pictures_with_copies_in_another_class_are_noted_and_not_validated(tmp_path: Path) -> None:
    for number in range(8):
        picture(tmp_path / "cat" / f"{number}.png")
        picture(tmp_path / "dog" / f"{number}.png")
        for name in ("cat", "dog"):
            picture(tmp_path / name / f"same{number}.png", seed=number)
    data = read_training_data(str(tmp_path), validation=0.9)
    assert len(held(data)) >= 2
    assert not any("same" in name for name in held(data))
    assert any("16 pictures have copies in another class" in note for note in data.notes)


def test_files_are_copies_if_all_their_bytes_agree(tmp_path: Path) -> None:
    end = b"z" * 5000
    contents = [b"a" + end, b"b" + end, b"a" + end, b"ab" + end, b"", b"", b"c" + end[1:] + b"y"]
    paths = [tmp_path / str(number) for number in range(len(contents))]
    for path, data in zip(paths, contents, strict=True):
        path.write_bytes(data)
    keys = copies([*paths, tmp_path / "missing", tmp_path / "gone"])
    assert keys is not None
    for i, one in enumerate(contents):
        assert [keys[i] == keys[j] for j in range(len(contents))] == [one == other for other in contents]
    assert keys[-1] != keys[-2]


# Layouts


@pytest.mark.parametrize("name", ["val", "Valid", "validation", "test"])
def test_folders_train_and_val_are_the_parts(tmp_path: Path, name: str) -> None:
    classes(tmp_path / "train", cat=3, dog=4)
    classes(tmp_path / name, cat=2, dog=1)
    data = read_training_data(str(tmp_path))
    assert data.classes == ("cat", "dog")
    assert Counter(data.training.targets) == {0: 3, 1: 4}
    assert Counter(data.validation.targets) == {0: 2, 1: 1}
    assert all(Path(path).parent.name == data.classes[t] for path, t in zip(*data_of(data), strict=True))


def data_of(data: TrainingData) -> tuple[tuple[str, ...], tuple[int, ...]]:
    parts = (data.training, data.validation)
    return sum((p.names for p in parts), ()), sum((p.targets for p in parts), ())


def test_what_is_beside_the_parts_is_noted(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        classes(tmp_path / part, cat=2, dog=2)
    picture(tmp_path / "loose.png")
    notes = read_training_data(str(tmp_path)).notes
    assert f"{tmp_path / 'test'} is left out: val is used for validation" in notes
    assert any(note.startswith("1 pictures beside") for note in notes)


def test_copies_of_training_pictures_are_not_validated(tmp_path: Path) -> None:
    for part, seeds in (("train", range(6)), ("val", range(4, 8))):
        for seed in seeds:
            picture(tmp_path / part / ("cat", "dog")[seed % 2] / f"{seed}.png", seed)
    data = read_training_data(str(tmp_path))
    assert {Path(name).stem for name in held(data)} == {"6", "7"}
    assert "2 pictures for validation are copies of training pictures and left out" in data.notes


def test_a_class_without_training_pictures_is_an_error_that_names_the_nearest(tmp_path: Path) -> None:
    classes(tmp_path / "train", cat=2, dog=2)
    classes(tmp_path / "val", catt=2)
    with pytest.raises(SettingsError, match=r"val/catt: there is no class 'catt' \(did you mean 'cat'"):
        read_training_data(str(tmp_path))


def test_a_table_may_name_the_parts(tmp_path: Path) -> None:
    classes(tmp_path, x=6)
    lines = ["", "File, Class,Split", '"x/0.png", cat, train', "x/1.png,dog,TRAIN", "", "x/2.png,cat,val"]
    (tmp_path / "t.csv").write_text("\n".join([*lines, "x/3.png,dog,val", "x/4.png,dog,test"]))
    data = read_training_data(str(tmp_path / "t.csv"))
    assert [Path(name).name for name in data.training.names] == ["0.png", "1.png"]
    assert [Path(name).name for name in data.validation.names] == ["2.png", "3.png"]
    assert "1 pictures of the part test are left out: val is used" in data.notes
    (tmp_path / "t.csv").write_text("\n".join([*lines, "x/3.png,dog,vla"]))
    with pytest.raises(SettingsError, match="line 7: its part is 'vla'"):
        read_training_data(str(tmp_path / "t.csv"))


def test_a_table_without_parts_is_divided_and_numbers_are_in_their_order(tmp_path: Path) -> None:
    rows = [f"{picture(tmp_path / f'{n}.png').name},{n % 12}" for n in range(36)]
    (tmp_path / "t.csv").write_text("\n".join(["file,index", *rows]))
    data = read_training_data(str(tmp_path / "t.csv"))
    assert data.classes == tuple(map(str, range(12)))
    assert set(data.training.targets) == set(data.validation.targets) == set(range(12))
    assert len(data.training) + len(data.validation) == 36


# What is noted or refused before a training


def test_notes_tell_what_is_left_out_and_what_is_rare(tmp_path: Path) -> None:
    classes(tmp_path, cat=9, dog=2, emu=1)
    (tmp_path / "ant").mkdir()
    (tmp_path / "cat" / "readme.txt").write_text("text")
    data = read_training_data(str(tmp_path))
    notes = "\n".join(data.notes)
    assert data.classes == ("cat", "dog", "emu")
    assert "class folders without a picture are left out: ant" in notes
    assert "1 files are left out: they are not pictures" in notes
    assert "not validated, for lack of pictures: emu" in notes
    assert "cat has" in notes
    assert "dog has 1" in notes or "emu has 1" in notes
    assert not read_training_data(str(classes(tmp_path / "even", cat=5, dog=5))).notes


def test_what_can_not_be_trained_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="one class, cat"):
        read_training_data(str(classes(tmp_path / "one", cat=3)))
    with pytest.raises(SettingsError, match="no picture for validation"):
        read_training_data(str(classes(tmp_path / "few", cat=1, dog=1)))
    with pytest.raises(PictureError, match="no such folder"):
        read_training_data(str(tmp_path / "gone"))
    for path in classes(tmp_path / "bad", cat=3, dog=3).rglob("*.png"):
        path.write_text(f"no picture: {path}")
    with pytest.raises(PictureError, match="none of a sample of pictures can be read"):
        read_training_data(str(tmp_path / "bad"))


def test_size_and_greyness_are_those_of_most_pictures(tmp_path: Path) -> None:
    for number in range(5):
        picture(tmp_path / "cat" / f"{number}.png", size=(20 + number, 60), mode="L")
        picture(tmp_path / "dog" / f"{number}.jpg", size=(60, 20 + number), mode="L")
    data = read_training_data(str(tmp_path))
    assert data.is_grey
    assert data.side == int(statistics.median(min(size_of(name)) for name in data.training.names))
    picture(Path(data.training.names[0]))
    Path(data.training.names[1]).write_bytes(b"no picture")
    assert not read_training_data(str(tmp_path)).is_grey


# torchvision


def idx(path: Path, array: np.ndarray) -> None:
    """A file of the MNIST family, as http://yann.lecun.com/exdb/mnist described it."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + array.tobytes())


def test_a_data_set_of_torchvision_is_read_by_its_name(tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    generator = np.random.default_rng(0)
    levels = {part: generator.integers(0, 256, (n, 28, 28), np.uint8) for part, n in (("train", 30), ("t10k", 20))}
    for part, images in levels.items():
        idx(raw / f"{part}-images-idx3-ubyte", images)
        idx(raw / f"{part}-labels-idx1-ubyte", np.arange(len(images), dtype=np.uint8) % 10)
    data = read_training_data(f"torchvision:FashionMNIST={tmp_path}")
    assert data.classes[:2] == ("T-shirt/top", "Trouser")
    assert (len(data.training), len(data.validation), data.is_grey, data.side) == (30, 20, True, 28)
    assert data.training.names[17] == "FashionMNIST train 17"
    assert data.validation.targets == tuple(range(10)) * 2
    some = data.validation.subset([3, 5]).subset([1])
    assert np.array_equal(np.asarray(some.open(0)), levels["t10k"][5][..., None].repeat(3, 2))


def test_other_names_of_torchvision_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="did you mean 'FashionMNIST'"):
        read_training_data("torchvision:FashionMnist")
    with pytest.raises(PictureError, match=r"python -c .*CIFAR10\('\.', download=True\)"):
        read_training_data("torchvision:CIFAR10")
    with pytest.raises(SettingsError, match="can't be used"):
        read_training_data("torchvision:CocoDetection")
