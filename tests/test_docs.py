"""What README and docs say is true: their Python runs, their commands parse, their links lead somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch

from tests.conftest import Ran
from tests.reference.published import seeded
from vggapps import __version__
from vggapps.weights._records import get_record

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = [line for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()]
    return sorted({line.split("  #")[0].strip() for line in lines if line.startswith("vggapps ")})


# What stands on the page of weights downloads them.
@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "python") and p.stem != "weights"], ids=lambda p: p.name
)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one namespace, from top to bottom, beside the pictures that it names; small and short."""
    from vggapps.image import open_picture, save_picture

    monkeypatch.chdir(tmp_path)
    # What a reader would download is put in place: a network of the true shape with random weights.
    monkeypatch.setenv("VGGAPPS_CACHE", str(tmp_path))
    state = {f"features.{key}": t.float() for key, t in seeded("vgg16").state_dict().items()}
    safetensors.torch.save_file(state, tmp_path / get_record("vgg16-convolutions").stored)
    for name, source in {
        "town.jpg": "content/village.jpg",
        "starry-night.jpg": "style/starry-hills.jpg",
        "waves.jpg": "style/woodcut-waves.jpg",
    }.items():
        save_picture(open_picture(ROOT / "assets" / source, longer_side=64), name)
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        quick = re.sub(r"size=\d+", "size=64, steps=2", block)
        exec(compile(quick, page.name, "exec"), names)


@pytest.mark.parametrize("command", commands())
def test_the_commands_of_a_page_parse(command: str, cli: Callable[..., Ran]) -> None:
    ran = cli(*shlex.split(command)[1:], "--help")
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_changelog_knows_this_version() -> None:
    assert re.search(rf"^## {re.escape(__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text()
