"""Classes of pictures from tables and from folders: what is one picture, what is one class, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggapps.classification._boxes import Box, read_boxes
from vggapps.datasets._dataset import list_pictures
from vggapps.datasets._label_tables import read_labels
from vggapps.errors import PictureError, SettingsError
from vggapps.features._targets import classes_of


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str, name: str = "t.csv") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def words(paths: list[str], table: Path | None = None) -> list[str]:
    found = classes_of(paths, table)
    assert found.rows.tolist() == list(range(len(paths)))
    return [found.names[index] for index in found.targets.tolist()]


# Tables


@pytest.mark.parametrize(
    "text",
    [
        "file,class\na.jpg,cat\nb.jpg,big dog\n",
        "file, class\na.jpg, cat\n b.jpg ,\tbig dog \n",
        'class , path\n"cat",a.jpg\n "big dog", "b.jpg"\n\n , \n',
        "a.jpg, cat\nb.jpg,big dog",  # without names of columns
        "\ufefffile,class,\r\na.jpg,cat\u00a0,\r\nb.jpg,big dog,\r\n",
    ],
)
def test_blanks_around_fields_do_not_count(text: str) -> None:
    table = write(text)
    assert [(row.file, row.word) for row in read_labels(table).rows] == [("a.jpg", "cat"), ("b.jpg", "big dog")]
    assert words(["a.jpg", "b.jpg"], table) == ["cat", "big dog"]
    assert [(entry.path.name, entry.word) for entry in list_pictures(table).entries] == [
        ("a.jpg", "cat"),
        ("b.jpg", "big dog"),
    ]


def test_blanks_in_a_table_of_boxes_do_not_count() -> None:
    table = write("file, class, left, top, right, bottom\na.jpg, cat, 1, 2, 3, 4\n b.jpg ,cat ,1,2,3,4\n")
    box = Box(1, 2, 3, 4)
    assert read_boxes(table) == {"a.jpg": [("cat", box)], "b.jpg": [("cat", box)]}


def test_classes_that_differ_in_case_alone_are_noted() -> None:
    found = classes_of(["a.jpg", "b.jpg", "c.jpg"], write("a.jpg,Cat\nb.jpg,cat\nc.jpg,dog\n"))
    assert found.names == ("Cat", "cat", "dog")
    assert found.notes == ("'Cat' and 'cat' differ only in spelling: they are two classes",)


@pytest.mark.parametrize("read", [read_labels, list_pictures, lambda table: classes_of(["data/a.jpg"], table)])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,class\na.jpg,cat\nb.jpg,dog\n./a.jpg,dog\n", r"lines 2 and 4: \./a\.jpg is cat and dog"),
        ("file,class\n1.jpg,bird\n1.jpg,house\n", "lines 2 and 3: 1.jpg is bird and house"),
        ("a.jpg,cat\nb.jpg\n", "line 2: it names no class"),
        ("file,class\na, b.jpg,cat\n", "line 2: it has 3 fields, and the first line 2"),
        ("name,class\na.jpg,cat\n", "names the columns name, class"),
        ("a.jpg,cat,1\n", "names the columns a.jpg, cat, 1"),
        ("", "none"),
        ("file,class\n", "lists no picture"),
    ],
)
def test_every_reader_refuses_what_makes_no_sense(read, text: str, message: str) -> None:
    with pytest.raises((SettingsError, PictureError), match=message):
        read(write(text, "data/t.csv"))


def test_a_row_that_is_there_twice_counts_once_and_is_noted() -> None:
    table = write("file,class\na.jpg,cat\nb.jpg,dog\n./a.jpg,cat\na.jpg,cat\n")
    note = "t.csv: 2 rows repeat another, such as line 4 line 2: each picture counts once"
    listing = list_pictures(table)
    assert ([entry.path.name for entry in listing.entries], listing.notes) == (["a.jpg", "b.jpg"], (note,))
    assert classes_of(["a.jpg", "b.jpg"], table).notes == (note,)


# Which picture a row is of


PAIR = ["data/x/1.jpg", "data/y/1.jpg"]


def test_paths_start_from_the_tables_folder_or_the_current_one() -> None:
    assert words(PAIR, write("x/1.jpg,bird\ny/1.jpg,house\n", "data/t.csv")) == ["bird", "house"]
    assert words(PAIR, write("data/x/1.jpg,bird\ndata/y/1.jpg,house\n", "tables/t.csv")) == ["bird", "house"]
    assert words(PAIR, write("x/1.jpg,bird\ny/1.jpg,house\n", "tables/t.csv")) == ["bird", "house"]
    assert words([str(Path(path).resolve()) for path in PAIR], Path("data/t.csv")) == ["bird", "house"]
    assert words(["./data/y/../x/1.jpg", "data/y/1.jpg"], Path("data/t.csv")) == ["bird", "house"]
    absolute = "".join(f"{Path(path).resolve()},{word}\n" for path, word in zip(PAIR, ("bird", "house"), strict=True))
    assert words(PAIR, write(absolute, "tables/t.csv")) == ["bird", "house"]


def test_evaluate_and_probe_mean_the_same_pictures() -> None:
    table = write("file,class\nx/1.jpg,bird\ny/1.jpg,house\n", "data/t.csv")
    listing = list_pictures(table)
    assert [str(entry.path) for entry in listing.entries] == PAIR
    assert [entry.word for entry in listing.entries] == words(PAIR, table)


def test_a_bare_name_that_two_pictures_have_is_refused() -> None:
    table = write("1.jpg,bird\n2.jpg,house\n", "tables/t.csv")
    assert words(["data/x/1.jpg", "data/y/2.jpg"], table) == ["bird", "house"]
    with pytest.raises(SettingsError, match=r"line 1: 1\.jpg may be data/x/1\.jpg or data/y/1\.jpg") as caught:
        classes_of([*PAIR, "data/y/2.jpg"], table)
    assert "tables/" in caught.value.hint
    # the longer end of a path counts, and a row that is found by its path is of no other picture
    assert words([*PAIR, "2.jpg"], write("1.jpg,bird\ny/1.jpg,cat\n2.jpg,house", "tables/t.csv")) == [
        "bird",
        "cat",
        "house",
    ]
    with pytest.raises(SettingsError, match=r"no class for data/x/1\.jpg"):
        classes_of(["data/1.jpg", "data/x/1.jpg"], write("1.jpg,bird\n2.jpg,cat\n", "data/t.csv"))


def test_pictures_without_a_row_are_refused_and_rows_without_a_picture_are_noted() -> None:
    table = write("1.jpg,a\n2.jpg,b\n3.jpg,b\n4.jpg,c\n")
    with pytest.raises(SettingsError, match=r"no class for x/5\.jpg"):
        classes_of(["1.jpg", "x/5.jpg"], table)
    found = classes_of(["1.jpg", "2.jpg"], table)
    assert (found.names, found.notes) == (("a", "b"), ("t.csv: 2 of 4 rows are of pictures without features",))


# Folders


def test_the_class_is_the_first_folder_below_the_common_one() -> None:
    years = [f"data/{word}/{year}/1.jpg" for word in ("church", "sign") for year in ("2023", "2024")]
    for paths in (years, [str(Path(path).resolve()) for path in years], [path[5:] for path in years]):
        found = classes_of(paths)
        assert (found.names, found.targets.tolist()) == (("church", "sign"), [0, 0, 1, 1])
    assert classes_of(years).source == "folders of data"
    assert words(["x/dog/1.png", "x/cat/2.png", "x/dog/3.png"]) == ["dog", "cat", "dog"]


def test_evaluate_and_probe_take_the_same_folders_for_classes() -> None:
    for name in ("church/2023/a.jpg", "church/b.jpg", "sign/2023/c.jpg", "sign/.ipynb_checkpoints/d.jpg", "e.jpg"):
        write("", f"data/{name}")
    listing = list_pictures("data")
    wanted = [("data/church/2023/a.jpg", "church"), ("data/church/b.jpg", "church"), ("data/sign/2023/c.jpg", "sign")]
    assert [(str(entry.path), entry.word) for entry in listing.entries] == wanted
    paths = ["data/e.jpg", *(path for path, _ in wanted)]
    found = classes_of(paths)
    assert [(paths[row], found.names[index]) for row, index in zip(found.rows, found.targets, strict=True)] == wanted
    assert found.notes == listing.notes
    assert "1 pictures beside the class folders" in found.notes[0]


def test_one_class_is_nothing_to_learn() -> None:
    with pytest.raises(SettingsError, match="no class folder"):
        classes_of(["data/1.jpg", "data/2.jpg"])
    with pytest.raises(SettingsError, match="all pictures are of one class"):
        classes_of(["data/1.jpg", "data/cat/2.jpg"])
    with pytest.raises(SettingsError, match=r"t\.csv: all pictures are of one class"):
        classes_of(["1.jpg", "2.jpg"], write("1.jpg,cat\n2.jpg,cat\n"))
