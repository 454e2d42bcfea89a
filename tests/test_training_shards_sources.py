"""Where shards are found, their parts, and what is refused."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest

from tests.test_training_shards import contents, picture, sample, samples, tar
from vggapps.errors import PictureError, SettingsError
from vggapps.training._pictures import read_training_data
from vggapps.training._shards import expanded

# Parts


@pytest.mark.parametrize(
    "names",
    [
        ("train-000.tar", "train-001.tar", "val-000.tar"),
        ("train.tar", "train1.tar", "validation.tar"),
        ("imagenet1k-train-0000.tar", "imagenet1k-train-0001.tar", "imagenet1k-valid-0000.tar"),
        ("train/0.tar", "train/1.tar", "test/0.tar"),
    ],
)
def test_names_of_shards_tell_the_parts(tmp_path: Path, names: tuple[str, ...]) -> None:
    for number, name in enumerate(names):
        tar(tmp_path / name, samples(range(number * 10, number * 10 + 4 + number)))
    data = read_training_data(str(tmp_path))
    assert Counter(name.rpartition("/")[0] for name in data.training.names) == {names[0]: 4, names[1]: 5}
    assert Counter(name.rpartition("/")[0] for name in data.validation.names) == {names[2]: 6}
    assert data.notes == ()


def test_shards_of_neither_part_are_noted(tmp_path: Path) -> None:
    for number, name in enumerate(["train-0", "val-0", "test-0", "extra-0", "latest"]):
        tar(tmp_path / f"{name}.tar", samples(range(number * 10, number * 10 + 4)))
    (tmp_path / "train-1.tar.gz").write_bytes(b"")
    (tmp_path / "._train-0.tar").write_bytes(b"")
    data = read_training_data(str(tmp_path))
    assert (len(data.training), len(data.validation)) == (4, 4)
    assert data.notes == (
        "compressed tar files are left out: train-1.tar.gz",
        "shards of neither part, train and val, are left out: extra-0.tar, latest.tar, test-0.tar",
    )


def test_words_that_only_contain_the_name_of_a_part_do_not_name_it(tmp_path: Path) -> None:
    for number, name in enumerate(["train-0", "latest", "eval"]):
        tar(tmp_path / f"{name}.tar", samples(range(number * 10, number * 10 + 10)))
    data = read_training_data(str(tmp_path))
    assert len(data.training) + len(data.validation) == 30
    assert data.notes == ()


def test_samples_are_held_out_by_their_names_whatever_shard_they_are_in(tmp_path: Path) -> None:
    def held(folder: str, size: int, numbers: range) -> set[str]:
        for start in range(0, len(numbers), size):
            tar(tmp_path / folder / f"s{start:04d}.tar", samples(numbers[start : start + size]))
        return {name.rpartition("/")[2] for name in read_training_data(str(tmp_path / folder)).validation.names}

    before = held("few", 50, range(100))
    assert 5 <= len(before) <= 35
    assert held("many", 7, range(100)) == before
    assert before <= held("more", 50, range(150))


def test_copies_stay_on_one_side_and_are_not_validated(tmp_path: Path) -> None:
    files = [file for n in range(60) for file in sample(f"{n:04d}", n % 2, seed=n % 20)]
    data = read_training_data(str(tar(tmp_path / "a.tar", files)))
    trained, tested = ({part.open(i).tobytes() for i in range(len(part))} for part in (data.training, data.validation))
    assert tested
    assert not trained & tested
    tar(tmp_path / "two" / "train.tar", samples(range(10)))
    tar(tmp_path / "two" / "val.tar", samples(range(6, 14)))
    two = read_training_data(str(tmp_path / "two"))
    assert len(two.validation) == 4
    assert two.notes == ("4 pictures for validation are copies of training pictures and left out",)


def test_members_that_agree_in_size_and_end_alone_are_no_copies(tmp_path: Path) -> None:
    tail = bytes(5000)  # behind the picture, where it is not read
    padded = [(name, (data + tail) if "png" in name else data) for name, data in samples(range(12))]
    sizes = {len(data) for name, data in padded if "png" in name}
    assert len(sizes) < 12
    tar(tmp_path / "train.tar", padded[:12])
    tar(tmp_path / "val.tar", padded[12:])
    assert len(read_training_data(str(tmp_path)).validation) == 6


def test_a_class_of_the_validation_alone_is_an_error_that_names_the_member(tmp_path: Path) -> None:
    tar(tmp_path / "train.tar", samples(range(4), ["cat", "dog"]))
    tar(tmp_path / "val.tar", sample("7", "catt"))
    with pytest.raises(SettingsError, match=r"val\.tar/7\.png: there is no class 'catt' \(did you mean 'cat'"):
        read_training_data(str(tmp_path))


# Sources


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("{000..002}", ["000", "001", "002"]),
        ("{8..11}", ["8", "9", "10", "11"]),
        ("{08..10}", ["08", "09", "10"]),
        ("{9..010}", ["009", "010"]),
        ("x{a,b}y{1..2}", ["xay1", "xay2", "xby1", "xby2"]),
        ("{a{1..2},c}", ["a1", "c", "a2", "c"]),
        ("{a}{}{b", ["{a}{}{b"]),
    ],
)
def test_braces_are_expanded_as_a_shell_does(text: str, names: list[str]) -> None:
    assert list(expanded(text)) == names


def test_a_file_a_folder_and_braces_name_the_same_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for shard in range(2):
        tar(Path(f"s/part-{shard:02d}.tar"), samples(range(shard * 10, shard * 10 + 10)))
    whole = contents(read_training_data("s"))
    assert len(whole) == 20
    assert (
        contents(read_training_data("s/part-{00..01}.tar"))
        == contents(read_training_data(str(tmp_path / "s")))
        == whole
    )
    assert set(contents(read_training_data("s/part-01.tar"))) == {name for name in whole if "part-01" in name}
    Path("s/part-00.tar").rename("s/part-{00..01}.tar")
    assert set(contents(read_training_data("s/part-{00..01}.tar"))) == {
        f"part-{{00..01}}.tar/000{n}.png" for n in range(10)
    }
    with pytest.raises(PictureError, match=r"s/part-02\.tar: it can't be read: No such file"):
        read_training_data("s/part-{01..03}.tar")


def test_a_folder_of_pictures_is_no_folder_of_shards(tmp_path: Path) -> None:
    for n in range(6):
        path = tmp_path / "files" / "cd"[n % 2] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(n))
    tar(tmp_path / "files" / "backup.tar", samples(range(4)))
    (tmp_path / "files" / "all.tgz").write_bytes(b"")
    data = read_training_data(str(tmp_path / "files"))
    assert data.classes == ("c", "d")
    assert "2 files are left out" in data.notes[0]


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.TAR.ZST", "{b,a}.tar.gz"])
def test_compressed_shards_are_an_error_that_tells_to_unpack_them(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="is compressed") as caught:
        read_training_data(str(tmp_path / name))
    assert caught.value.hint == "unpack it to a .tar file"
    (tmp_path / "a.tgz").write_bytes(b"")
    with pytest.raises(SettingsError, match="is compressed"):
        read_training_data(str(tmp_path))


@pytest.mark.parametrize("share", [0, 100, 512, 700, 1024, 1100, 1536, 3000, 5000])
def test_a_shard_that_is_cut_short_is_an_error(tmp_path: Path, share: int) -> None:
    data = tar(tmp_path / "a.tar", samples(range(6))).read_bytes()
    end = len(data.rstrip(b"\0"))
    (tmp_path / "cut.tar").write_bytes(data[: min(share, end)])
    with pytest.raises(PictureError, match=r"cut\.tar: it can't be read as a tar file"):
        read_training_data(str(tmp_path / "cut.tar"))


def test_other_files_are_no_shards(tmp_path: Path) -> None:
    whole = tar(tmp_path / "a.tar", samples(range(6))).read_bytes()
    damaged = bytearray(whole)
    third = damaged.index(b"0001.cls")
    damaged[third + 148 : third + 156] = b"\xff" * 8  # the checksum of a header in the middle
    others = {"packed": gzip.compress(whole), "text": b"text" * 500, "damaged": bytes(damaged)}
    for name, data in others.items():
        (tmp_path / f"{name}.tar").write_bytes(data)
        with pytest.raises(PictureError, match=rf"{name}\.tar: it can't be read as a tar file") as caught:
            read_training_data(str(tmp_path / f"{name}.tar"))
        assert "unpack it" in caught.value.hint
    assert "what follows 0000.png is damaged or missing" in str(caught.value)
    with pytest.raises(PictureError, match=r"gone\.tar: it can't be read: No such file"):
        read_training_data(str(tmp_path / "gone.tar"))
