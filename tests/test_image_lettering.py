"""Text on pictures: real letters, whole, on one line, within its width; and never a wrong one without a word."""

from __future__ import annotations

import logging
import random
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, features
from scipy import ndimage

from tests.lettering import font_of, forget
from vggapps.image import _fonts as fonts
from vggapps.image import _lettering as lettering
from vggapps.image._fonts import Face
from vggapps.image._lettering import LEFT_TO_RIGHT, draw_text, one_line, shorten, text_box, text_width

needs_raqm = pytest.mark.skipif(not features.check("raqm"), reason="Pillow has no Raqm here")


@pytest.fixture(autouse=True)
def system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A system with one font of a few letters, whose shapes are known."""
    shapes = {"猫": "Ж", "犬": "W", "א": "a", "ב": "b", " ": " ", "1": "1", "2": "2", ".": ".", "😀": "O"}
    faces = (Face(str(font_of(shapes, tmp_path / "system.ttf"))),)
    forget()
    with monkeypatch.context() as patched:
        patched.setattr(fonts, "system_faces", lambda: faces)
        yield
    forget()


def drawn(text: str, size: int = 40, **options: object) -> NDArray[np.int64]:
    """How dark each pixel is, the text's beginning at (40, 40)."""
    image = Image.new("RGB", (600, 160), "white")
    draw_text(image, (40, 40), text, size, ink="black", **options)
    return 255 - np.asarray(image).astype(int)[..., 0]


def alike(text: str, wanted: str) -> bool:
    """Whether they look alike, but for the hinting of their fonts and the last pixel of their place."""
    ours, theirs = drawn(text), drawn(wanted)
    return min(np.abs(np.roll(ours, shift, 1) - theirs).sum() for shift in (-1, 0, 1)) < 0.3 * theirs.sum()


def parts(text: str) -> int:
    """Of how many pieces that do not touch it consists."""
    return int(ndimage.label(drawn(text, 100) > 128, np.ones((3, 3)))[1])


@pytest.mark.parametrize(
    ("letters", "pieces"), [("oßкшΩсв", 1), ("öïä", 3), ("ěřйéžőή", None), ("ёїϊӧ", 3), ("ệ", 3), ("ц", 1)]
)
def test_letters_have_their_pieces(letters: str, pieces: int | None) -> None:
    """A letter and the dots above it do not touch; a box, or a crossed one, would be a single piece."""
    for letter in letters:
        wanted = pieces or (3 if letter == "ő" else 2)
        assert parts(letter) == wanted, letter


@pytest.mark.parametrize("word", ["größe", "кот", "Ελληνικά", "řeřicha", "şeker", "Việt"])
def test_no_letter_of_these_words_looks_like_what_is_missing(word: str) -> None:
    box = drawn("鳥")
    for letter in word:
        assert drawn(letter).any()
        assert (drawn(letter) != box).any()


def test_letters_that_are_not_inside_come_from_the_system() -> None:
    assert alike("猫犬", "ЖW")
    assert not alike("犬猫", "ЖW")


def test_mixed_text_stands_on_one_baseline_side_by_side() -> None:
    mixed, plain = drawn("a猫 größe 犬1"), drawn("aЖ größe W1")
    rows, wanted = (np.flatnonzero((x > 128).any(1)) for x in (mixed, plain))
    assert (rows[0], rows[-1]) == (wanted[0], wanted[-1])
    assert text_width("a猫 größe 犬1", 40) == pytest.approx(text_width("aЖ größe W1", 40), abs=2)
    columns, wanted = (ndimage.label((x > 128).any(0))[1] for x in (mixed, plain))
    assert columns == wanted


@needs_raqm
@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("אב", "ba"),
        ("xאבx", "xbax"),
        ("אב אא", "aa ba"),  # a space between letters of one script belongs to it
        ("אב 12.x", "12 ba.x"),  # digits after right-to-left letters are read as part of them
        ("אב x אב", "ba x ba"),
        ("אבג x.jpg", "ba鳥 x.jpg"),  # a box for what is missing turns nothing round
        (f"אב{LEFT_TO_RIGHT} 12", "ba 12"),
    ],
)
def test_right_to_left(text: str, seen: str) -> None:
    """Unicode Standard Annex 9, the paragraph from left to right."""
    assert alike(text, seen)


def test_what_no_font_has_is_a_box_and_told_once_for_each_script(caplog: pytest.LogCaptureFixture) -> None:
    assert (drawn("鳥") == drawn("魚")).all()
    ys, xs = np.nonzero(drawn("鳥") > 128)
    assert min(np.ptp(ys), np.ptp(xs)) > 10
    drawn("ช鳥")
    drawn("鳥ช")
    assert caplog.text.count("鳥 (U+9CE5)") == 1
    assert caplog.text.count("Thai letters ช (U+0E0A)") == 1
    assert "CJK" in caplog.text
    assert "install" in caplog.text
    assert all(record.levelno == logging.WARNING for record in caplog.records)


@needs_raqm
def test_boxes_for_right_to_left_letters_stand_where_the_letters_are() -> None:
    assert alike("שלם xj", "鳥鳥鳥 xj")


def test_nothing_is_told_where_nothing_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    drawn("größe кот 猫 😀\tx\u200d.jpg")
    assert caplog.text == ""


def test_letters_that_must_be_joined_are_told_where_that_is_not_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lettering.features, "check", lambda name: False)
    drawn("plain größe")
    assert caplog.text == ""
    drawn("אב")
    drawn("אא")
    assert caplog.text.count("right to left") == 1


def test_an_accent_or_a_skin_tone_is_drawn_with_the_font_of_its_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Face(str(font_of({"👍": "A", "д": "д"}, tmp_path / "one.ttf")))
    both = Face(str(font_of({"👍": "B", "🏽": "C", "д": "д", "\u0360": "\u0302"}, tmp_path / "both.ttf")))
    monkeypatch.setattr(fonts, "system_faces", lambda: (one, both))
    assert lettering._runs("👍") == ((one, "👍"),)
    assert lettering._runs("👍🏽x") == ((both, "👍🏽"), (fonts.BUNDLED, "x"))
    assert lettering._runs("д\u0360") == ((both, "д\u0360"),)
    assert lettering._runs("猫\u0302 x") == ((fonts.BUNDLED, "猫\u0302 x"),)


@pytest.mark.parametrize("word", ["größe", "ёж", "Việt", "řeřicha", "ώ"])
def test_names_as_macos_keeps_them_look_the_same(word: str) -> None:
    apart = unicodedata.normalize("NFD", word)
    assert apart != word
    assert (drawn(apart) == drawn(word)).all()
    assert text_width(apart, 13) == text_width(word, 13)


@needs_raqm
def test_accents_that_have_no_letter_of_their_own_stand_above_theirs() -> None:
    ink, letter = drawn("x\u0302", 100) > 128, drawn("x", 100) > 128
    accent = np.flatnonzero((ink & ~letter)[: np.flatnonzero(letter.any(1))[0]].any(0))
    body = np.flatnonzero(letter.any(0))
    assert body[0] < accent.mean() < body[-1]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb\tc\r\nd.jpg", "a b c  d.jpg"),
        ("a\u2028b\u00a0c\u3000d", "a b c d"),
        ("a\x00b\x1bc", "a�b�c"),
        ("caf\udce9.jpg", "caf�.jpg"),  # a file's name that is not UTF-8, as Python reads it
        ("photo\u202egpj.exe", "photogpj.exe"),  # turning the direction makes names look like others
        ("❤\ufe0f", "❤"),
    ],
)
def test_what_can_not_be_seen_is_shown_on_one_line(name: str, shown: str) -> None:
    assert one_line(name) == shown
    assert (drawn(name, 20) == drawn(shown, 20)).all()


def test_shortened_text_fits_and_keeps_both_ends() -> None:
    rng = random.Random(0)
    for _ in range(200):
        text = "".join(rng.choices("abcij WMßкшΩ猫犬😀אב12._-x\u0302", k=rng.randint(0, 120))).strip("\u0302")
        size, width = rng.choice((13, 20, 32)), rng.randint(40, 400)
        short = shorten(text, size, width)
        assert text_width(short, size) <= width
        if text_width(text, size) <= width:
            assert short == one_line(text)
        else:
            first, _, last = short.partition("…")
            assert one_line(text).startswith(first)
            assert one_line(text).endswith(last)
            assert abs(len(first.replace("\u0302", "")) - len(last.replace("\u0302", ""))) <= 1
            assert text_width(short, size) > width - 4 * size  # not more is left out than must be


def test_accents_are_not_parted_from_their_letters() -> None:
    for width in range(60, 120):
        first, _, last = shorten("x\u0302" * 60, 20, width).partition("…")
        assert set(first.replace("x\u0302", "")) == set(last.replace("x\u0302", "")) == set()


def test_a_very_long_name_is_short_work() -> None:
    assert text_width(shorten("写" * 5000 + ".jpg", 13, 192), 13) <= 192


@pytest.mark.parametrize(("anchor", "left", "width"), [("la", 40, 0), ("ma", 40, 0.5), ("ra", 40, 1)])
def test_anchors(anchor: str, left: int, width: float) -> None:
    columns = np.flatnonzero((drawn("кот", anchor=anchor) > 40).any(0)) if anchor == "la" else None
    image = Image.new("RGB", (400, 160), "white")
    draw_text(image, (200, 40), "кот", 40, anchor, "black")
    found = np.flatnonzero((np.asarray(image)[..., 0] < 200).any(0))
    assert abs(found[0] - (200 - width * text_width("кот", 40))) <= 5
    assert columns is None or abs(columns[0] - left) <= 5


def test_the_box_of_a_text_is_what_it_inks() -> None:
    left, top, right, bottom = text_box("Йgäb 猫", 40)
    ys, xs = np.nonzero(drawn("Йgäb 猫", anchor="ls"))
    assert (left, top, right, bottom) == (xs.min() - 40, ys.min() - 40, xs.max() + 1 - 40, ys.max() + 1 - 40)


def test_upwards_is_the_same_turned() -> None:
    flat, turned = (Image.new("RGB", (300, 300), "white") for _ in range(2))
    draw_text(flat, (150, 150), "größe 猫 😀", 30, "mm")
    draw_text(turned, (150, 150), "größe 猫 😀", 30, "mm", upwards=True)
    wanted = np.rot90(np.asarray(flat))
    found = np.asarray(turned)
    shifts = [np.roll(found, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    assert any((shifted == wanted).all() for shifted in shifts)
