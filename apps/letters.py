"""The font inside vggapps: Noto Sans, reduced to the Latin, Greek and Cyrillic scripts.

    pip install --group letters
    python apps/letters.py

writes vggapps/data/noto-sans.ttf and its licence, the SIL Open Font License 1.1. The font's authors reserve no name, so
a modified version may keep it.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from fontTools.varLib.instancer import instantiateVariableFont

DATA = Path(__file__).parents[1] / "vggapps" / "data"
BLOCKS = {
    "Basic Latin": (0x20, 0x7E),
    "Latin-1 Supplement, Latin Extended-A and -B": (0xA0, 0x24F),
    "Greek and Coptic": (0x370, 0x3FF),
    "Cyrillic and its Supplement": (0x400, 0x52F),
    "Latin Extended Additional (Vietnamese), Greek Extended": (0x1E00, 0x1FFF),
    "General Punctuation": (0x2000, 0x206F),
    "Superscripts and Subscripts": (0x2070, 0x209F),
    "Currency Symbols": (0x20A0, 0x20CF),
    "fractions": (0x2150, 0x215F),
    "ligatures": (0xFB00, 0xFB06),
}
# Accents that letters of these scripts carry, and signs: № ℠ ℡ ™ Ω K Å − ◌ �
ACCENTS = [*range(0x300, 0x30D), 0x30F, 0x311, 0x313, 0x314, 0x31B, *range(0x323, 0x329), 0x32D, 0x32E, 0x330, 0x331]
ACCENTS += [0x335, 0x336, 0x337, 0x338, 0x342, 0x345]
SIGNS = [0x2116, 0x2120, 0x2121, 0x2122, 0x2126, 0x212A, 0x212B, 0x2212, 0x25CC, 0xFFFD]


def main() -> None:
    """Take the regular weight, keep the letters, drop what Pillow does not use or can do without."""
    source = files("fontpkg_noto_sans")
    with (source / "files" / "NotoSans[wdth,wght].ttf").open("rb") as file:
        font = instantiateVariableFont(TTFont(file), {"wght": 400, "wdth": 100}, updateFontNames=True)
        options = Options()
        options.hinting = False  # FreeType hints such a font by itself
        options.layout_features = ["mark", "mkmk", "ccmp"]  # places of accents; kerning would be a fifth of the file
        options.notdef_outline = True  # the box that stands for a letter that no font has
        options.name_IDs = [*range(8), 13, 14]
        subset = Subsetter(options)
        subset.populate(unicodes=[*(c for a, b in BLOCKS.values() for c in range(a, b + 1)), *ACCENTS, *SIGNS])
        subset.subset(font)
        font.recalcTimestamp = False  # the same file every time
        target = DATA / "noto-sans.ttf"
        font.save(target)
    said = (
        f"{target.name} is Noto Sans, {font['name'].getDebugName(5).lower()}, reduced by apps/letters.py; its licence:"
    )
    text = f"{said}\n\n{(source / 'LICENSE').read_text(encoding='utf-8')}"
    (DATA / "noto-sans.LICENSE.txt").write_text(text, encoding="utf-8", newline="\n")
    print(f"{target.name}: {target.stat().st_size / 1e3:.0f} kB, {len(font.getBestCmap())} characters")


if __name__ == "__main__":
    main()
