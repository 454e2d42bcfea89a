"""Shards in the WebDataset format: the pictures, classes and parts are those of the same pictures as files."""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vggapps.errors import PictureError, SettingsError
from vggapps.training._augmentation import augment
from vggapps.training._batches import PictureBatches
from vggapps.training._members import _OPEN, _Closing, _opened
from vggapps.training._pictures import TrainingData, read_training_data

File = tuple[str, bytes]


def picture(seed: int, kind: str = "png", size: tuple[int, int] = (12, 10), **more: Any) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind, **more)
    return file.getvalue()


def tar(path: Path, files: Iterable[File], **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **more) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def sample(key: str, label: object, seed: int | None = None, kind: str = "png") -> list[File]:
    """Two neighbours, as the package webdataset writes them: sorted by suffix."""
    data = picture(sum(key.encode()) if seed is None else seed, kind)
    return [(f"{key}.cls", str(label).encode()), (f"{key}.{kind}", data)]


def samples(numbers: Iterable[int], labels: Sequence[object] = (0, 1)) -> list[File]:
    return [file for n in numbers for file in sample(f"{n:04d}", labels[n % len(labels)], n)]


def contents(data: TrainingData, at_least: int | None = None) -> dict[str, tuple[str, bytes]]:
    """Class and pixels of each picture by its name."""
    found = {}
    for whole in (data.training, data.validation):
        part = whole if at_least is None else whole.at_least(at_least)
        for index, (name, target) in enumerate(zip(part.names, part.targets, strict=True)):
            found[name] = data.classes[target], part.open(index).tobytes()
    return found


# Pictures


def test_pictures_are_those_of_the_same_files(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6  # turned
    files = {
        f"{name}/{n}.{kind}": picture(n + 100 * len(name), kind, (90, 70 + n), **more)
        for name in ("cat", "horse")
        for n, (kind, more) in enumerate(
            [("jpeg", {}), ("png", {}), ("webp", {}), ("jpeg", {"exif": exif}), ("bmp", {})]
        )
    }
    members: list[File] = []
    for name, data in files.items():
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        members += [(name, data), (f"{name.partition('.')[0]}.cls", name.partition("/")[0].encode())]
    tar(tmp_path / "all.tar", members)
    by_file, by_shard = read_training_data(str(tmp_path / "files")), read_training_data(str(tmp_path / "all.tar"))
    assert by_shard.classes == by_file.classes == ("cat", "horse")
    wanted = {Path(name).relative_to(tmp_path / "files").as_posix(): of for name, of in contents(by_file).items()}
    assert {name.removeprefix("all.tar/"): of for name, of in contents(by_shard).items()} == wanted
    for at_least in (20, 40):
        sizes, wanted = (
            {Path(n).parts[-2:]: len(of[1]) for n, of in contents(d, at_least).items()} for d in (by_file, by_shard)
        )
        assert sizes == wanted


def test_batches_are_the_same_with_worker_processes_and_after_pickling(tmp_path: Path) -> None:
    for shard in range(3):
        tar(tmp_path / f"train-{shard:03d}.tar", samples(range(shard * 10, shard * 10 + 10)))
    data = read_training_data(str(tmp_path))
    before = [data.training.open(index).tobytes() for index in range(4)]  # in this process, which workers inherit

    def batches(pictures: Any, workers: int) -> list[Any]:
        return list(PictureBatches(pictures, augment("shifts", 8), 5, classes=2, workers=workers))

    alone = batches(data.training, 0)
    assert sum(len(batch.images) for batch in alone) == len(data.training)
    for others in (batches(data.training, 2), batches(pickle.loads(pickle.dumps(data.training)), 0)):
        for one, other in zip(alone, others, strict=True):
            assert torch.equal(one.images, other.images)
            assert one[2:] == other[2:]
    assert [data.training.open(index).tobytes() for index in range(4)] == before


def test_processes_and_threads_do_not_move_each_others_place_in_a_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = read_training_data(str(tar(tmp_path / "a.tar", samples(range(40))))).training
    made: list[io.FileIO] = []

    def opened(path: str) -> io.FileIO:
        made.append(_Closing(path))
        return made[-1]

    _opened.cache_clear()
    monkeypatch.setattr("vggapps.training._members._Closing", opened)
    pictures.open(3)
    (file,) = made
    place = file.tell()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(pictures.open, 5).result()
    assert sum(len(batch.images) for batch in PictureBatches(pictures, augment("shifts", 8), 4, classes=2, workers=2))
    assert file.tell() == place


def test_more_shards_than_a_process_keeps_open_are_read(tmp_path: Path) -> None:
    count = _OPEN + 10
    for n in range(count):
        tar(tmp_path / f"{n:03d}.tar", sample("a", n % 2, n))
    found = contents(read_training_data(str(tmp_path)))
    wanted = {f"{n:03d}.tar/a.png": Image.open(io.BytesIO(picture(n))).tobytes() for n in range(count)}
    assert {name: pixels for name, (_, pixels) in found.items()} == wanted


def test_damaged_pictures_are_reported_by_the_name_of_shard_and_member(tmp_path: Path) -> None:
    cut = picture(99, "jpeg", (300, 300))[:4000]
    files = [*samples(range(8)), ("9999.jpg", cut), ("9999.cls", b"1"), ("9998.png", b""), ("9998.cls", b"0")]
    tar(tmp_path / "val-000.tar", samples(range(10, 14)))
    tar(tmp_path / "train-000.tar", files)
    made = PictureBatches(read_training_data(str(tmp_path)).training, augment("shifts", 8), 10, classes=2)
    (batch,) = made.epoch(0)
    assert len(batch.images) == 8
    assert sorted(line.partition(":")[0] for line in batch.unreadable) == [
        "train-000.tar/9998.png", "train-000.tar/9999.jpg",
    ]  # fmt: skip
    assert any("damaged or cut short" in line for line in batch.unreadable)


def test_a_shard_that_changes_is_not_read_at_old_offsets(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", samples(range(10)))
    before = read_training_data(str(path)).training
    before.open(0)
    new = tar(tmp_path / "new", samples(range(50, 60)))
    os.utime(new, ns=(1, 1))
    new.replace(path)
    after = read_training_data(str(path)).training
    assert after.open(0).tobytes() == Image.open(io.BytesIO(picture(int(after.names[0][-8:-4])))).tobytes()
    os.utime(path, ns=(2, 2))
    _opened.cache_clear()
    with pytest.raises(PictureError, match=r"a\.tar/00.*has changed since the training began"):
        after.open(0)


# Classes and samples


def test_numbers_are_classes_in_numerical_order(tmp_path: Path) -> None:
    data = read_training_data(str(tar(tmp_path / "a.tar", samples(range(48), [f" {n}\n" for n in range(12)]))))
    assert data.classes == tuple(map(str, range(12)))
    assert all(int(name[-8:-4]) % 12 == int(label) for name, (label, _) in contents(data).items())


def test_a_class_is_in_a_member_cls_or_json(tmp_path: Path) -> None:
    labels: list[tuple[str, bytes]] = [
        ("cls", "münze\n".encode()), ("json", b'{"label": "cat"}'), ("json", b'{"cls": "cat", "width": 3}'),
        ("json", b'{"label": 7}'), ("cls", b"007"), ("JSON", b'{"label": "7", "cls": 8}'),
    ]  # fmt: skip
    files = [
        file for n, (kind, data) in enumerate(labels) for file in ((f"{n}.png", picture(n)), (f"{n}.{kind}", data))
    ]
    files += [("9.cls", b"cat"), ("9.json", b'{"label": 5}'), ("9.png", picture(9))]
    found = contents(read_training_data(str(tar(tmp_path / "a.tar", files)), validation=0.3))
    assert {name.removeprefix("a.tar/"): label for name, (label, _) in found.items()} == {
        "0.png": "münze", "1.png": "cat", "2.png": "cat", "3.png": "7", "4.png": "7", "5.png": "7", "9.png": "cat",
    }  # fmt: skip


def test_neighbours_with_one_name_before_the_first_dot_are_a_sample(tmp_path: Path) -> None:
    """As ``base_plus_ext`` and ``group_by_keys`` of the package webdataset have it."""
    files = [
        *samples(range(6)),
        ("./dir.v1/0006.seg.png", b"a mask"), ("./dir.v1/0006.JPG", picture(6, "jpeg")), ("./dir.v1/0006.cls", b"1"),
        ("__meta__/0.png", b""), ("__about__", b""), ("0007.png", picture(7)),
        ("._0007.cls", b""), ("README", b""), ("0007.cls", b"0"),
        ("other/0001.png", picture(8)), ("other/0001.cls", b"1"),  # the same name in another folder
        ("apart.png", picture(9)), ("0010.txt", b"no class"), ("0010.png", picture(10)), ("apart.cls", b"0"),
        ("two.png", picture(11)), ("two.jpg", picture(12, "jpeg")), ("two.cls", b"1"),
        ("bad.json", b"{"), ("bad.png", picture(13)), ("none.json", b'{"label": null}'), ("none.png", picture(14)),
        ("empty.cls", b" "), ("empty.png", picture(15)), ("yes.json", b'{"label": true}'), ("yes.png", picture(16)),
        ("twice.cls", b"0"), ("twice.cls", b"1"), ("twice.png", picture(17)), ("list.json", b"[1]"),
    ]  # fmt: skip
    data = read_training_data(str(tar(tmp_path / "a.tar", files)))
    wanted = {f"000{n}.png" for n in range(6)} | {"dir.v1/0006.JPG", "0007.png", "other/0001.png"}
    assert {name.removeprefix("a.tar/") for name in contents(data)} == wanted
    assert data.notes == (
        "10 of 19 samples are left out: they don't have one picture and one class, for example a.tar/apart with png",
    )


def test_links_are_no_pictures(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", samples(range(6)))
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "0000.png"
        archive.addfile(link)
        label = tarfile.TarInfo("link.cls")
        label.size = 1
        archive.addfile(label, io.BytesIO(b"1"))
    assert "1 of 7 samples are left out" in read_training_data(str(path)).notes[0]


def test_long_names_are_read_in_all_formats_of_tar(tmp_path: Path) -> None:
    for format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        files = [file for n in range(6) for file in sample(f"{'x' * 90}/{'y' * 80}{n}", n % 2, n)]
        data = read_training_data(str(tar(tmp_path / f"{format}.tar", files, format=format)))
        assert {pixels for _, pixels in contents(data).values()} == {
            Image.open(io.BytesIO(picture(n))).tobytes() for n in range(6)
        }


def test_without_a_complete_sample_the_error_tells_what_is_there(tmp_path: Path) -> None:
    captions = tar(tmp_path / "a.tar", [("0.jpg", picture(0, "jpeg")), ("0.txt", b"a cat")])
    with pytest.raises(
        SettingsError, match=r"no sample has one picture and one class; the first is a.tar/0 with jpg, txt"
    ):
        read_training_data(str(captions))
    with pytest.raises(SettingsError, match="there is none at all"):
        read_training_data(str(tar(tmp_path / "b.tar", [])))


def test_labels_in_json_are_those_that_json_writes(tmp_path: Path) -> None:
    labels = ['a"b', "ünï", "-3", "x" * 300]
    files = [
        f
        for n, label in enumerate(labels * 2)
        for f in ((f"{n}.json", json.dumps({"label": label}).encode()), (f"{n}.png", picture(n)))
    ]
    assert set(read_training_data(str(tar(tmp_path / "a.tar", files))).classes) == set(labels)
