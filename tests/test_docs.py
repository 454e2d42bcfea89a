"""README and docs are true: their Python runs, their commands parse, their links exist; and the site builds of them."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import safetensors.torch

from tests.conftest import Ran
from tests.reference.published import seeded
from tests.test_architecture import ROOMS
from vggapps import __version__
from vggapps.weights._records import get_record

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = ["vggapps", *(f"vggapps.{room}" for room in ROOMS)]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """``vggapps ...`` in shell blocks, and ``$ vggapps ...`` in sessions."""
    lines = [
        line.removeprefix("$ ")
        for page in PAGES
        for language in ("sh", "console")
        for block in blocks(page, language)
        for line in block.splitlines()
    ]
    return sorted({line.split("  #")[0].strip() for line in lines if line.startswith("vggapps ")})


# What stands on the page of weights downloads them.
@pytest.fixture
def own_forms() -> Iterator[None]:
    """Objectives that a page adds are not there for other tests."""
    from vggapps.objectives import FORMS

    before = list(FORMS)
    yield
    FORMS[:] = before


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "python") and p.stem != "weights"], ids=lambda p: p.name
)
@pytest.mark.usefixtures("own_forms")
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one namespace, from top to bottom, beside the pictures that it names; small and short."""
    from vggapps.image import open_picture, save_picture

    monkeypatch.chdir(tmp_path)
    # What a reader would download is put in place: a network of the true shape with random weights.
    monkeypatch.setenv("VGGAPPS_CACHE", str(tmp_path))
    state = {f"features.{key}": t.float() for key, t in seeded("vgg16").state_dict().items()}
    safetensors.torch.save_file(state, tmp_path / get_record("vgg16-convolutions").stored)
    samples = {file.stem: file for folder in ("content", "style") for file in (ROOT / "assets" / folder).glob("*.jpg")}
    others = {"town": "village", "starry-night": "starry-hills", "waves": "woodcut-waves"}
    for name in (*samples, *others):
        save_picture(open_picture(samples[others.get(name, name)], longer_side=64), f"{name}.jpg")
    Path("photos").mkdir()
    save_picture(open_picture("village.jpg"), "photos/village.jpg")
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        quick = re.sub(r"size=\d+", "size=64, steps=2", re.sub(r"steps=\d+", "steps=2", block))
        exec(compile(quick, page.name, "exec"), names)


@pytest.mark.parametrize("command", commands())
def test_the_commands_of_a_page_parse(command: str, cli: Callable[..., Ran]) -> None:
    name, *words = shlex.split(command)[1:]
    # The picture of --settings is read before anything else is, and need not exist here.
    ran = cli(name, "--help", *words) if "--settings" in words else cli(name, *words, "--help")
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a link, an anchor or a cross-reference that leads nowhere fails."""
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


@pytest.mark.timeout(300)
def test_the_api_reference_has_every_public_name(site: Path) -> None:
    """By the inventory that other projects' references link with: four lines, then compressed lines, a name each."""
    lines = zlib.decompress((site / "objects.inv").read_bytes().split(b"\n", 4)[4]).decode().splitlines()
    described = {line.split()[0] for line in lines}
    exported = {module: getattr(importlib.import_module(module), "__all__", ()) for module in MODULES}
    public = {f"{module}.{name}" for module, names in exported.items() for name in names}
    assert public - described - {*MODULES, "vggapps.losses.functional"} == set()  # modules are described by their pages


def test_the_site_loads_nothing_from_other_hosts(site: Path) -> None:
    elsewhere = re.compile(r"""<(?:script|img|iframe|link)\b[^>]* (?:src|href)=["']?(?:https?:)?//[^>]*""")
    assert [found for page in site.rglob("*.html") for found in elsewhere.findall(page.read_text("utf-8"))] == []


def test_the_changelog_knows_this_version() -> None:
    assert re.search(rf"^## {re.escape(__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text()


def test_contributing_draws_the_architecture() -> None:
    """Every package of the import rules is in the diagram, once, and imports nothing that is drawn above it."""
    (diagram,) = blocks(ROOT / "CONTRIBUTING.md", "text")
    drawn = re.findall(r"^.{11}(\w+)  ", diagram, re.MULTILINE)
    assert sorted(drawn) == sorted(ROOMS)
    assert all(not ROOMS[package] & set(drawn[:place]) for place, package in enumerate(drawn))
