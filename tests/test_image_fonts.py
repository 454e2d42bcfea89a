"""Which font has a letter: what the inside font has, and the system's fonts with and without fontconfig."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lettering import NOTO, font_of, forget, glyphs
from vggapps.image import _fonts as fonts
from vggapps.image._fonts import BUNDLED, Face, face_of, has, opened, system_faces

BLOCKS = {
    "Basic Latin": (0x0000, 0x007F),
    "Latin-1 Supplement": (0x0080, 0x00FF),
    "Latin Extended-A": (0x0100, 0x017F),
    "Latin Extended-B": (0x0180, 0x024F),
    "Greek": (0x0370, 0x03FF),
    "Cyrillic": (0x0400, 0x04FF),
    "Cyrillic Supplement": (0x0500, 0x052F),
    "Latin Extended Additional, with Vietnamese": (0x1E00, 0x1EFF),
    "Greek Extended": (0x1F00, 0x1FFF),
}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    forget()
    yield
    forget()


@pytest.mark.parametrize("block", BLOCKS)
def test_the_inside_font_has_all_of_a_block(block: str) -> None:
    letters = [chr(code) for code in range(BLOCKS[block][0], BLOCKS[block][1] + 1)]
    # In the Greek block Unicode keeps seven letters of Coptic, which is another script.
    letters = [x for x in letters if unicodedata.category(x)[0] in "LNPSM" and "COPTIC" not in unicodedata.name(x)]
    assert len(letters) > 40
    assert [letter for letter in letters if not has(BUNDLED, letter)] == []


def test_what_a_font_has_is_what_its_own_table_says() -> None:
    listed = glyphs(NOTO.read_bytes())
    for code in range(0x21, 0x3100):
        letter = chr(code)
        if unicodedata.category(letter)[0] in "LNPSM":
            assert has(BUNDLED, letter) == (code in listed), f"U+{code:04X}"


def test_the_system_is_asked_only_for_letters_that_the_inside_font_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(fonts, "system_faces", lambda: asked.append(1) or ())
    assert [face_of(letter) for letter in "aßřкЖώệ"] == [BUNDLED] * 7
    assert not asked
    assert face_of("猫") is None
    assert asked


def test_the_first_font_that_has_a_letter_is_taken_and_files_that_are_none_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, absent = tmp_path / "broken.ttf", tmp_path / "absent.ttf"
    broken.write_bytes(b"no font")
    one, two = (font_of(shapes, tmp_path / f"{shapes}.ttf") for shapes in ({"犬": "D"}, {"犬": "d", "猫": "c"}))
    faces = tuple(Face(str(path)) for path in (broken, absent, one, two))
    monkeypatch.setattr(fonts, "system_faces", lambda: faces)
    assert face_of("犬") == faces[2]
    assert face_of("猫") == faces[3]
    assert face_of("鳥") is None


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for fontconfig")
def test_fontconfig_gives_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "fc-match"
    script.write_text("#!/bin/sh\nprintf '/a/größe b.ttf\\t0\\n/c.ttc\\t65538\\n'\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    # The upper half of fontconfig's index is the instance of a variable font.
    assert system_faces() == (Face("/a/größe b.ttf"), Face("/c.ttc", 2))


@pytest.mark.parametrize("answer", [None, "#!/bin/sh\nexit 1\n", "#!/bin/sh\n"])
def test_without_fontconfig_the_usual_folders_are_looked_into_regular_fonts_first(
    answer: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if answer:
        (tmp_path / "fc-match").write_text(answer)
        (tmp_path / "fc-match").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("A-Bold.ttf", "deep/B.OTF", "C.ttc", "notes.txt", "A-LightItalic.ttf"):
        path = tmp_path / "data" / "fonts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [Path(face.path) for face in system_faces()]
    assert [path.name for path in found if tmp_path in path.parents] == [
        "B.OTF",
        "C.ttc",
        "A-Bold.ttf",
        "A-LightItalic.ttf",
    ]


@pytest.mark.parametrize(("platform", "folder"), [("darwin", "/System/Library/Fonts"), ("win32", "Fonts")])
def test_other_systems_have_other_folders(platform: str, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("WINDIR", "C:/Windows")
    assert any(str(path).endswith(folder) for path in fonts._folders())


def test_fonts_of_bitmaps_are_opened_at_their_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    real = fonts.ImageFont.truetype

    def bitmaps(path: str, size: int, *arguments: object, **options: object) -> object:
        if size != 109:
            raise OSError("invalid pixel size")
        return real(path, size, *arguments, **options)

    monkeypatch.setattr(fonts.ImageFont, "truetype", bitmaps)
    font, scale = opened.__wrapped__(BUNDLED, 20)
    assert font.size == 109
    assert scale * font.getlength("HHHH") == pytest.approx(real(BUNDLED.path, 20).getlength("HHHH"), rel=0.05)
