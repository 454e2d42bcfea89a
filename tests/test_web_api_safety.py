"""Visitors who send nonsense are told in a sentence, and those who forge get nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.web_site import (  # noqa: F401
    GRADIOS_OWN,
    PATIENCE,
    Stranger,
    a_client,
    a_site,
    a_stranger,
    a_visit,
    file,
    loops_closed,
    some_pictures,
)
from tests.web_work import until

if TYPE_CHECKING:
    from gradio_client import Client

    from vggapps.web import Served

pytestmark = GRADIOS_OWN
SHORT = {"size": 32, "steps": 2}


@pytest.fixture(autouse=True)
def free_afterwards(site: Served) -> Iterator[None]:
    yield
    assert until(lambda: not len(site.page.device))


@pytest.fixture(scope="module", name="wrong")
def wrong_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that a page should take no harm from."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "letter.jpg").write_text("Dear all, this is a letter.")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    noise.save(folder / "whole.jpg")
    (folder / "cut.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:1500])
    noise.resize((200, 10)).save(folder / "narrow.png")
    noise.resize((8, 8)).save(folder / "tiny.png")
    Image.new("1", (1000, 600)).save(folder / "large.png")
    Image.new("RGB", (1, 1)).save(folder / "dot.gif")
    return folder


TOWN, WAVES = "town.png", "waves.png"
WRONG: dict[str, tuple[str, list[str | None], dict[str, Any], str]] = {
    "no pictures": ("stylize", [None, None], SHORT, "needed"),
    "no painting": ("stylize", [TOWN, None], SHORT, "needed"),
    "nothing of any painting": ("stylize", [TOWN, WAVES], {**SHORT, "share": 0}, "needed"),
    "no picture to name": ("classify", [None], {}, "no picture"),
    "no picture to explain": ("explain", [None], {}, "no picture"),
    "one picture to compare": ("compare", [TOWN, None], {}, "two pictures"),
    "a letter": ("classify", ["letter.jpg"], {}, "letter.jpg: it is text"),
    "a letter as the third painting": ("stylize", [TOWN, WAVES], {"third_style": "letter.jpg"}, "letter.jpg"),
    "cut short": ("explain", ["cut.jpg"], {}, "cut.jpg: it is damaged or cut short"),
    "cut short, to be painted": ("stylize", ["cut.jpg", WAVES], SHORT, "cut short"),
    "too narrow": ("stylize", ["narrow.png", WAVES], SHORT, "too narrow"),
    "a dot": ("classify", ["dot.gif"], {}, "too few"),
    "too many pixels": ("classify", ["large.png"], {}, "too large"),
    "too small to compare": ("compare", ["tiny.png", "tiny.png"], {}, "16 pixels"),
    "of two sizes": ("compare", [TOWN, WAVES], {}, "48x36"),
    "too large a size": ("stylize", [TOWN, WAVES], {"size": 257}, "256"),
    "too many steps for the size": ("stylize", [TOWN, WAVES], {"size": 256, "steps": 200}, "up to 76 steps"),
    "too many steps for a channel": ("visualize", [], {"size": 256, "steps": 500}, "up to 76 steps"),
    "no such layer": ("stylize", [TOWN, WAVES], {**SHORT, "style_layers": "relu9_9"}, "relu9_9"),
    "a layer that is a file": ("stylize", [TOWN, WAVES], {**SHORT, "content_layers": "/etc/passwd"}, "no layer"),
    "a weight that is none": ("stylize", [TOWN, WAVES], {**SHORT, "style_layers": "relu1_1:x"}, "‘Style layers’"),
    "no such channel": ("visualize", [], {"layer": "conv1_1", "channel": 64, **SHORT}, "64 channels"),
    "samples of what takes none": ("explain", [TOWN], {"method": "grad-cam", "samples": 5}, "samples"),
    "no such colours": ("stylize", [TOWN, WAVES], {**SHORT, "colors": "red"}, "red"),
    "a start that is a file": ("stylize", [TOWN, WAVES], {**SHORT, "init": "town.png"}, "town.png"),
    "a network that is a file": ("visualize", [], {"backbone": "mine.pth", **SHORT}, "mine.pth"),
    "no such method": ("explain", [TOWN], {"method": "guess"}, "guess"),
    "a negative seed": ("visualize", [], {"seed": -1, **SHORT}, "-1"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_makes_no_sense_is_told_in_a_sentence(client: Client, pictures: Path, wrong: Path, what: str) -> None:
    from gradio_client.exceptions import AppError

    def sent(word: Any) -> Any:
        found = [folder / str(word) for folder in (pictures, wrong) if (folder / str(word)).is_file()]
        return file(found[0]) if found else word

    endpoint, files, settings, reason = WRONG[what]
    given = {name: sent(word) if name.endswith("style") else word for name, word in settings.items()}
    with pytest.raises(AppError) as told:
        client.predict(*map(sent, files), **given, api_name=f"/{endpoint}")
    said = str(told.value)
    assert reason.lower() in said.lower()
    assert "something went wrong" not in said.lower()
    assert "--" not in said
    assert not re.search(r"/\w", said)
    assert "\n" not in said
    if not said.startswith("Value"):  # those are Gradio's own
        assert re.search(r"[^.]\.$", said)
        assert len(said) < 400


@pytest.mark.parametrize(
    ("endpoint", "given"),
    [
        ("explain", {"target": "class:nonsense"}),
        ("explain", {"method": None}),
        ("classify", {"backbone": None}),
        ("stylize", {**SHORT, "seed": None}),
    ],
)
def test_a_choice_that_is_none_is_told_shortly(
    client: Client, pictures: Path, endpoint: str, given: dict[str, Any]
) -> None:
    from gradio_client.exceptions import AppError

    files = [file(pictures / name) for name in ([TOWN, WAVES] if endpoint == "stylize" else [TOWN])]
    with pytest.raises(AppError) as told:
        client.predict(*files, **given, api_name=f"/{endpoint}")
    assert len(str(told.value)) < 1000
    assert "something went wrong" not in str(told.value).lower()


def test_a_file_that_is_too_large_is_not_even_received(site: Served) -> None:
    before = set(site.page.results.folder.rglob("*"))
    answer = httpx.post(f"{site.url}gradio_api/upload", files={"files": ("big.png", bytes(1_200_000))})
    assert answer.status_code == 413
    assert {path for path in site.page.results.folder.rglob("*") if path.is_file()} <= before


def answer(program: httpx.Client, dependency: int, data: list[Any], session: str) -> dict[str, Any]:
    """What the page says to a program that calls any of its handlers, the private ones too."""
    program.post("queue/join", json={"fn_index": dependency, "data": data, "session_hash": session}).raise_for_status()
    with program.stream("GET", "queue/data", params={"session_hash": session}) as events:
        said = next(line for line in events.iter_lines() if "process_completed" in line)
    return dict(json.loads(said.removeprefix("data: ")))


def forgeries(secret: Path, address: str) -> Iterator[dict[str, Any]]:
    for place in ({"path": str(secret)}, {"path": address}, {"url": address}):
        yield {**place, "orig_name": "town.png", "mime_type": "image/png"}
        yield {**place, "meta": {"_type": "gradio.FileData"}}


def test_no_handler_takes_a_file_that_was_not_uploaded_or_asks_for_an_address(
    site: Served, tmp_path: Path, stranger: Stranger
) -> None:
    address, requests = stranger
    Image.fromarray(np.random.default_rng(7).integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "secret.png")
    stolen = (tmp_path / "secret.png").read_bytes()
    with httpx.Client(base_url=f"{site.url}gradio_api", timeout=PATIENCE) as program:
        config = httpx.get(f"{site.url}config").json()
        parts = {part["id"]: part for part in config["components"]}
        seen = set()
        for dependency in config["dependencies"]:
            inputs = dependency["inputs"]
            for taken in (one for one in inputs if parts[one]["type"] == "image" and dependency["backend_fn"]):
                seen.add(taken)
                for forged in forgeries(tmp_path / "secret.png", address):
                    data = [forged if one == taken else parts[one]["props"].get("value") for one in inputs]
                    said = answer(program, dependency["id"], data, f"forger{dependency['id']}")
                    assert said["success"] is False
                    assert "secret" not in json.dumps(said)
    assert len(seen) == 9  # four of stylize and its settings, one each of classify and explain, two of compare
    assert requests == []
    assert stolen not in {path.read_bytes() for path in site.page.results.folder.rglob("*") if path.is_file()}


def test_who_took_an_example_before_forges_no_better(site: Served, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "secret.png")
    forged, tried = {"path": str(tmp_path / "secret.png"), "orig_name": "town.png"}, 0
    with httpx.Client(base_url=f"{site.url}gradio_api", timeout=PATIENCE) as program:
        config = httpx.get(f"{site.url}config").json()
        parts = {part["id"]: part for part in config["components"]}
        calls = [one for one in config["dependencies"] if one["backend_fn"]]
        for example in (one for one in calls if [parts[i]["type"] for i in one["inputs"]] == ["dataset"]):
            session, filled = f"visitor{example['id']}", example["outputs"][0]
            taken = answer(program, example["id"], [0], session)["output"]["data"][0]["value"]
            assert taken["orig_name"].endswith(".jpg")
            for call in (one for one in calls if filled in one["inputs"]):
                data = [forged if one == filled else parts[one]["props"].get("value") for one in call["inputs"]]
                said = answer(program, call["id"], data, session)
                assert said["success"] is False
                assert "not uploaded here" in said["output"]["error"]
                tried += 1
                if call["api_name"] == "classify":  # while the example itself is taken
                    data[call["inputs"].index(filled)] = taken
                    assert answer(program, call["id"], data, session)["success"] is True
    assert tried >= 4


@pytest.mark.parametrize("marked", [False, True])
def test_a_program_that_names_a_path_is_refused_by_name(site: Served, tmp_path: Path, marked: bool) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "secret.png")
    forged: dict[str, Any] = {"path": str(tmp_path / "secret.png")}
    forged |= {"meta": {"_type": "gradio.FileData"}} if marked else {}
    call = f"{site.url}gradio_api/call/classify"
    joined = httpx.post(call, json={"data": [forged, 5, "center", "auto"]})
    said = httpx.get(f"{call}/{joined.json()['event_id']}", timeout=PATIENCE).text
    assert "event: error" in said
    assert "event: complete" not in said
    assert str(tmp_path) not in said
    if not marked:
        assert "not uploaded here" in json.loads(said.split("data: ")[-1])["error"]


def test_files_of_the_server_are_not_served(site: Served, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "secret.png")
    room = site.page.results.folder
    for path in ("/etc/hostname", tmp_path / "secret.png", __file__, "pyproject.toml", f"{room}/../../etc/hostname"):
        for door in (f"gradio_api/file={path}", f"file={path}"):
            assert httpx.get(site.url + door).status_code in (403, 404, 405)
