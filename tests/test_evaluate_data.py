"""What ``vggapps evaluate`` measures on and compares with: layouts of data sets, their shares, published numbers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from vggapps.classification._published import PAPER, Published, comparable
from vggapps.cli.inputs import parse_shard, take
from vggapps.datasets._dataset import Entry, Example, Listing, list_pictures
from vggapps.errors import PictureError, SettingsError
from vggapps.weights._labels import imagenet, labels_of
from vggapps.weights._records import RECORDS

ANIMALS = labels_of(["cat", "dog", "great white shark"])


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "teal").save(path, "JPEG")
    return path


# Data sets


def test_folders_of_classes_are_found_by_id_name_and_index(tmp_path: Path) -> None:
    wanted = {picture(tmp_path / "n01440764" / "a.JPEG"): 0, picture(tmp_path / "Great_White-shark" / "b.jpg"): 2}
    wanted |= {picture(tmp_path / "7" / "images" / "deep.Jpg"): 7}  # Tiny ImageNet has a folder more
    (tmp_path / "7" / "readme.txt").write_text("no picture")
    (tmp_path / "empty").mkdir()
    (tmp_path / ".cache").mkdir()
    picture(tmp_path / ".cache" / "hidden.jpg")
    assert {e.path: e.index for e in list_pictures(tmp_path).examples(imagenet())} == wanted


def test_a_folder_of_no_known_class_is_named_with_the_nearest_class(tmp_path: Path) -> None:
    picture(tmp_path / "dog" / "a.jpg")
    picture(tmp_path / "catt" / "b.jpg")
    with pytest.raises(SettingsError, match="catt") as caught:
        list_pictures(tmp_path).examples(ANIMALS)
    assert str(tmp_path / "catt") in caught.value.message
    assert "'cat'" in caught.value.hint


def test_pictures_beside_the_class_folders_are_told(tmp_path: Path) -> None:
    picture(tmp_path / "dog" / "a.jpg")
    picture(tmp_path / "stray.jpg")
    listing = list_pictures(tmp_path)
    assert [entry.path.name for entry in listing.entries] == ["a.jpg"]
    assert listing.notes[0].startswith("1 pictures")


@pytest.mark.parametrize("name", ["n02123045_10026.JPEG", "281_n02123045_0.jpg", "n02123045.jpg", "cat-n02123045.jpg"])
def test_a_wordnet_id_in_a_file_name_is_its_class(tmp_path: Path, name: str) -> None:
    picture(tmp_path / name)
    assert list_pictures(tmp_path).examples(imagenet()) == [Example(tmp_path / name, 281)]


@pytest.mark.parametrize("name", ["xn02123045_1.jpg", "n021230456.jpg", "n02123045_n01440764.jpg"])
def test_names_that_only_look_like_an_id_are_left_out_and_told(tmp_path: Path, name: str) -> None:
    picture(tmp_path / name)
    picture(tmp_path / "n01440764_1.jpg")
    listing = list_pictures(tmp_path)
    assert [example.index for example in listing.examples(imagenet())] == [0]
    assert listing.notes[0].startswith("1 pictures are left out")


def test_imagenets_own_validation_names_need_a_table(tmp_path: Path) -> None:
    picture(tmp_path / "ILSVRC2012_val_00000001.JPEG")
    with pytest.raises(SettingsError, match="validation pictures hold no class") as caught:
        list_pictures(tmp_path).examples(imagenet())
    assert ".csv" in caught.value.hint


def test_the_validation_set_is_known_by_its_fifty_thousand_names(tmp_path: Path) -> None:
    entries = tuple(Entry(Path(f"ILSVRC2012_val_{i:08}.JPEG"), "0", "") for i in range(1, 50_001))
    assert Listing(entries).is_validation_set
    assert not Listing(entries[:-1]).is_validation_set
    assert not Listing((*entries[:-1], Entry(Path("other.jpg"), "0", ""))).is_validation_set
    assert not Listing((*entries[:-1], entries[0])).is_validation_set


@pytest.mark.parametrize(
    "header", ["file,class", "Path, Label", "filename,index", "size,image,wnid", "\ufefffile,class"]
)
def test_a_table_names_files_beside_it_and_their_classes(tmp_path: Path, header: str) -> None:
    front = "9," * header.startswith("size")
    (tmp_path / "labels.csv").write_text(f"{header}\n{front}in/a.jpg,2\n{front}gone.jpg, 0 \n", encoding="utf-8")
    wanted = [Example(tmp_path / "in" / "a.jpg", 2), Example(tmp_path / "gone.jpg", 0)]
    assert list_pictures(tmp_path / "labels.csv").examples(imagenet()) == wanted


def test_of_several_class_columns_the_wordnet_id_counts(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,index,wnid\na.jpg,449,n01440764\n")  # 449: the development kit's number
    assert list_pictures(tmp_path / "t.csv").examples(imagenet())[0].index == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,class\na.jpg,cat\n", "name, class"),
        ("", "none"),
        ("file,class\n", "lists no picture"),
        ("file,class\na.jpg,cat\nb.jpg\n", "line 3: it names no class"),
        ("file,class\na.jpg,cat\nb.jpg,unicorn\n", "line 3: there is no class 'unicorn'"),
    ],
)
def test_a_table_that_makes_no_sense_is_told_where(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises((SettingsError, PictureError), match=message):
        list_pictures(tmp_path / "t.csv").examples(ANIMALS)


def test_what_is_no_data_set_is_told(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no picture"):
        list_pictures(tmp_path).examples(ANIMALS)
    with pytest.raises(PictureError, match="no such folder or file"):
        list_pictures(tmp_path / "gone").examples(ANIMALS)
    with pytest.raises(SettingsError, match="neither a folder"):
        list_pictures(picture(tmp_path / "a.jpg")).examples(ANIMALS)
    with pytest.raises(SettingsError, match="no WordNet id"):
        list_pictures(tmp_path).examples(ANIMALS)


# Shares


def test_shares_divide_the_pictures_evenly_and_leave_none_out() -> None:
    shares = [take(range(23), parse_shard(f"{i}/4")) for i in (1, 2, 3, 4)]
    assert sorted(item for share in shares for item in share) == list(range(23))
    assert {len(share) for share in shares} == {5, 6}
    assert shares[1][:3] == [1, 5, 9]


@pytest.mark.parametrize("word", ["", "1", "0/4", "5/4", "1/0", "-1/4", "a/b", "1/2/3", "1.0/2"])
def test_a_share_that_is_none_is_told(word: str) -> None:
    with pytest.raises(SettingsError, match="--shard"):
        parse_shard(word)


# What was published


def rows_of(network: str, views: str) -> list[tuple[float | None, float | None]]:
    return [(row.top1, row.top5) for row in comparable(network, views)]


@pytest.mark.parametrize(
    ("network", "views", "best"),
    [
        ("vgg11", "dense", (29.6, 10.4)),
        ("vgg16", "dense", (25.6, 8.1)),
        ("vgg16", "multi-scale", (24.8, 7.5)),
        ("vgg16_c", "multi-scale", (26.3, 8.2)),
        ("vgg19", "multi-crop", (24.6, 7.4)),
        ("vgg19", "multi-crop+dense", (24.4, 7.1)),
        ("vgg19+vgg16", "multi-scale", (24.0, 7.1)),
        ("vgg16+vgg19", "multi-crop+dense", (23.7, 6.8)),
    ],
)
def test_the_papers_best_numbers_are_found(network: str, views: str, best: tuple[float, float]) -> None:
    val = [row for row in comparable(network, views) if row.subset == "val"]
    assert (val[-1].top1, val[-1].top5) == best


def test_the_scales_of_a_row_are_the_papers() -> None:
    sides = [(row.train_sides, row.test_sides) for row in comparable("vgg19", "multi-scale")]
    assert sides == [
        ((256,), (224, 256, 288)),
        ((384,), (352, 384, 416)),
        ((256, 512), (256, 384, 512)),
    ]
    assert [row.test_sides for row in comparable("vgg19", "dense")] == [(256,), (384,), (384,)]


def test_the_tables_are_complete() -> None:
    assert Counter(row.table for row in PAPER if row.subset == "val") == {3: 12, 4: 10, 5: 6, 6: 4, 7: 10}
    assert {(r.top1, r.top5) for r in PAPER if r.table == 6 and r.subset == "test"} == {
        (None, 7.3),
        (None, 7.0),
        (None, 6.8),
    }
    googlenet = [row for row in PAPER if row.network.startswith("GoogLeNet")]
    assert [(row.top5, row.subset) for row in googlenet] == [(7.9, "test"), (6.7, "test")]


@pytest.mark.parametrize("name", ["vgg11", "vgg13_bn", "vgg16", "vgg19_bn"])
def test_for_centre_crops_the_number_of_the_weights_is_given(name: str) -> None:
    record = RECORDS[name]
    assert record.top1 is not None
    assert record.top5 is not None
    ((top1, top5),) = rows_of(name, "center")
    assert (top1, top5) == pytest.approx((100 - record.top1, 100 - record.top5))


def test_weights_of_a_network_are_compared_with_it_and_others_with_nothing() -> None:
    assert comparable("vgg16-caffe", "dense") == comparable("vgg16", "dense")
    assert comparable("vgg16-caffe+vgg19-caffe", "multi-crop") == comparable("vgg16+vgg19", "multi-crop")
    for network, views in [
        ("vgg19-gap", "dense"),  # VGG-19's convolutions below a small head
        ("vgg16+vgg19-gap", "dense"),
        ("vgg16_bn", "dense"),
        ("vgg16", "ten"),
        ("vgg16+vgg19", "center"),
        ("mine.pth", "center"),
    ]:
        assert comparable(network, views) == []


def test_a_published_row_says_where_it_stands() -> None:
    row = comparable("vgg19", "dense")[0]
    assert row == Published("vgg19", "dense", 27.3, 9.0, "the paper's table 3", (256,), (256,), "val", 3)
