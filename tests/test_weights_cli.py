"""``vggapps weights``: what people read and what scripts read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.server import Server, serving
from tests.test_weights_partial import saved
from vggapps.weights import _download as download
from vggapps.weights import _store as store
from vggapps.weights._records import RECORDS

CONTENT = bytes(range(256)) * 400


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [*os.environ]:
        if name.lower().endswith("_proxy") or name.endswith("_OFFLINE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VGGAPPS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "WAITS", ())
    return tmp_path / "cache"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serves what the table calls vgg16."""
    with serving(CONTENT) as server:
        record = replace(RECORDS["vgg16"], urls=(server.url,), sha256=server.sha256[:8], size=len(CONTENT))
        monkeypatch.setitem(RECORDS, "vgg16", record)
        yield server


def test_list_fits_a_terminal_and_shows_what_is_here(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ran = cli("weights", "list")
    lines = [line.split() for line in ran.out.splitlines()]
    assert ran.code == 0
    assert lines[0] == ["name", "layers", "size", "where", "licence", "top-1", "top-5"]
    assert lines[1] == ["vgg19-installed", "features", "19", "MiB", "installed", "CC-BY-4.0"]
    assert ["vgg16_bn", "full", "528", "MiB", "not", "here", "unstated", "73.4", "91.5"] in lines
    assert ["alexnet-convolutions", "features", "9", "MiB", "not", "here", "unstated"] in lines
    assert [line[0] for line in lines[1:]] == list(RECORDS)
    assert "…" not in ran.out
    documented = (Path(__file__).parents[1] / "docs" / "weights.md").read_text()
    assert "\n".join(line.rstrip() for line in ran.out.splitlines()) in documented


def test_list_for_scripts(cli: Callable[..., Any]) -> None:
    *rows, last = [json.loads(line) for line in cli("weights", "list", "--json").out.splitlines()]
    assert last["total"]["rows"] == len(RECORDS)
    assert [row["name"] for row in rows] == list(RECORDS)
    assert rows[0]["where"] == "installed"
    assert Path(rows[0]["path"]).is_file()
    assert (rows[2]["where"], rows[2]["path"], rows[2]["top1"]) == ("not here", None, 69.02)


def test_download_prints_the_path_and_nothing_else_on_stdout(
    cli: Callable[..., Any], server: Server, cache: Path
) -> None:
    ran = cli("weights", "download", "vgg16")
    assert (ran.code, ran.out) == (0, f"{cache / RECORDS['vgg16'].file}\n")
    assert (cache / RECORDS["vgg16"].file).read_bytes() == CONTENT
    assert "vgg16" in ran.err
    assert cli("weights", "download", "vgg16", "vgg19-installed", "--quiet").err == ""
    assert len(server.asked) == 1


def test_download_that_fails(cli: Callable[..., Any], server: Server) -> None:
    server.ways = [404]
    ran = cli("weights", "download", "vgg16", "-q")
    assert (ran.code, ran.out) == (5, "")
    assert ran.err.splitlines()[0] == f"error: {server.url} answered 404 Not Found"
    assert ran.err.splitlines()[1].startswith("hint: download vgg16-397923af.pth another way")


def test_a_wrong_name_is_told_before_the_first_byte(cli: Callable[..., Any], server: Server) -> None:
    ran = cli("weights", "download", "vgg16", "vgg16-caffee")
    assert ran.code == 2
    assert "did you mean 'vgg16-caffe'?" in ran.err
    assert not server.asked


def test_path(cli: Callable[..., Any]) -> None:
    ran = cli("weights", "path", "vgg19-installed")
    assert (ran.code, ran.out) == (0, f"{store.find(RECORDS['vgg19-installed'])}\n")
    ran = cli("weights", "path", "vgg13")
    assert (ran.code, ran.out) == (5, "")
    assert ran.err == "error: vgg13 is not on this machine\nhint: run: vggapps weights download vgg13\n"


def test_verify(cli: Callable[..., Any], server: Server, cache: Path) -> None:
    ours = ("vgg19-installed", "vgg19-gap")
    installed = "".join(f"ok        {name:<15}  {store.find(RECORDS[name])}\n" for name in ours)
    assert cli("weights", "verify").out == installed
    cli("weights", "download", "vgg16")
    path = cache / RECORDS["vgg16"].file
    ran = cli("weights", "verify", "all")
    assert (ran.code, ran.out) == (0, f"{installed}ok        vgg16            {path}\n")
    path.write_bytes(CONTENT[:-1])
    ran = cli("weights", "verify", "vgg16", "vgg13", "--json")
    assert ran.code == 5
    assert [json.loads(line) for line in ran.out.splitlines()] == [
        {"schema": 1, "name": "vgg16", "state": "damaged", "path": str(path)},
        {"schema": 1, "name": "vgg13", "state": "not here", "path": None},
        {"schema": 1, "total": {"rows": 2, "bad": 2}},
    ]
    assert "hint: run: vggapps weights download vgg16 vgg13" in ran.err
    cli("weights", "download", "vgg16")
    assert cli("weights", "verify", "vgg16").code == 0


def test_a_part_of_a_file(cli: Callable[..., Any], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, content = (
        "alexnet-convolutions",
        saved({"features.0.bias": torch.ones(9), "classifier.0.bias": torch.ones(9)}, True),
    )
    with serving(content) as server:
        record = replace(RECORDS[name], urls=(server.url,), sha256=server.sha256[:8])
        monkeypatch.setitem(RECORDS, name, record)
        ran = cli("weights", "download", name)
    small = cache / f"{name}-{record.sha256}.safetensors"
    assert (ran.code, ran.out) == (0, f"{small}\n")
    assert cli("weights", "path", name).out == f"{small}\n"
    assert cli("weights", "verify").out.splitlines()[2] == f"ok        {name}  {small}"
    small.write_bytes(small.read_bytes()[:-1] + b"!")
    ran = cli("weights", "verify", name)
    assert (ran.code, ran.out) == (5, f"damaged   {name}  {small}\n")


def test_a_file_that_serves_two_names_is_verified_once(
    cli: Callable[..., Any], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir()
    path = cache / RECORDS["vgg16"].file
    path.write_bytes(CONTENT)
    digits = hashlib.sha256(CONTENT).hexdigest()[:8]
    for name in ("vgg16", "vgg16-convolutions"):
        monkeypatch.setitem(RECORDS, name, replace(RECORDS[name], sha256=digits))
    assert cli("weights", "verify").out.splitlines()[2:] == [f"ok        vgg16            {path}"]
    assert cli("weights", "verify", "vgg16-convolutions").out == f"ok        vgg16-convolutions  {path}\n"


@pytest.mark.parametrize("command", ["list", "download", "verify", "path"])
def test_help_has_two_examples(cli: Callable[..., Any], command: str) -> None:
    ran = cli("weights", command, "--help")
    assert ran.code == 0
    assert ran.out.partition("Examples")[2].count(f"vggapps weights {command}") == 2
