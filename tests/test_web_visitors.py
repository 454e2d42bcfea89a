"""Many visitors at once: each stops his own work, leaves nothing behind, and none waits for who has gone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from threading import enumerate as threads
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

from tests.web_site import GRADIOS_OWN, PATIENCE, Visit, a_site, a_visit, file, loops_closed, some_pictures  # noqa: F401
from tests.web_work import SOON, until
from vggapps.image import read_settings
from vggapps.web.device import LOST_AFTER

if TYPE_CHECKING:
    from gradio_client import Client
    from gradio_client.client import Job

    from vggapps.web import Served

pytestmark = GRADIOS_OWN


@pytest.fixture(autouse=True)
def free_afterwards(site: Served) -> Iterator[None]:
    yield
    assert until(lambda: not len(site.page.device))


@pytest.fixture
def paint(pictures: Path) -> Any:
    """Ask for a picture: one that takes longer than any test looks on, or a quick one."""

    def paint(client: Client, *, quick: bool = False, seed: int = 0) -> Job:
        given = {"size": 32, "steps": 2} if quick else {"size": 64, "steps": 400}
        town, waves = file(pictures / "town.png"), file(pictures / "waves.png")
        return client.submit(town, waves, **given, seed=seed, api_name="/stylize")

    return paint


def on_its_way(job: Job) -> bool:
    """Whether a first picture is there to be seen."""
    return until(lambda: any(output[0] for output in job.outputs()), PATIENCE)


def last_line(job: Job) -> str:
    outputs = job.outputs()
    return str(outputs[-1][-1]) if outputs else ""


def runs(site: Served) -> set[str]:
    return {path.name for path in site.page.results.folder.glob("run-*")}


def test_who_stops_keeps_the_picture_and_nobody_else_is_stopped(site: Served, visit: Visit, paint: Any) -> None:
    ann, bob, cid = visit(), visit(), visit()
    anns = paint(ann)
    assert on_its_way(anns)
    bobs = paint(bob, quick=True)
    assert until(lambda: "waiting: one visitor is before you" in last_line(bobs), PATIENCE)
    cids = paint(cid)
    assert until(lambda: "waiting: 2 visitors are before you" in last_line(cids))
    cid.predict(api_name="/stop")
    assert until(cids.done)
    assert "stopped before there was anything to show" in str(cids.exception()).lower()
    assert not anns.done()

    ann.predict(api_name="/stop")
    path, _, _, line = anns.result(PATIENCE)
    assert read_settings(path)["interrupted"] is True  # type: ignore[index]
    with Image.open(path) as kept:
        assert kept.size[0] == 64  # as was asked, at whatever scale it was stopped
    assert "kept" in line
    assert read_settings(bobs.result(PATIENCE)[0])["interrupted"] is False  # type: ignore[index]


def test_to_stop_nothing_is_no_error(visit: Visit) -> None:
    visit().predict(api_name="/stop")


def test_programs_without_a_session_do_not_stop_one_another(site: Served, pictures: Path) -> None:
    call, uploaded = f"{site.url}gradio_api/call", []
    for name in ("town.png", "waves.png"):
        sent = {"files": (name, (pictures / name).read_bytes())}
        uploaded.append({"path": httpx.post(f"{site.url}gradio_api/upload", files=sent).json()[0]})
    parameters = httpx.get(f"{site.url}gradio_api/info").json()["named_endpoints"]["/stylize"]["parameters"]
    given = {one["parameter_name"]: one["parameter_default"] for one in parameters}
    given |= {"content": uploaded[0], "style": uploaded[1], "size": 64, "steps": 400}
    own = httpx.post(f"{call}/stylize", json={"data": [*given.values()]}).json()["event_id"]
    assert until(lambda: len(site.page.device) == 1)
    other = httpx.post(f"{call}/stop", json={"data": []}).json()["event_id"]
    assert "complete" in httpx.get(f"{call}/stop/{other}", timeout=PATIENCE).text
    assert not until(lambda: not len(site.page.device), 1)
    # Whoever started it may stop it: its number is its session.
    stop = httpx.post(f"{call}/stop", json={"data": [], "session_hash": own}).json()["event_id"]
    assert "complete" in httpx.get(f"{call}/stop/{stop}", timeout=PATIENCE).text
    assert until(lambda: not len(site.page.device))


def test_a_program_that_cancels_frees_the_device(site: Served, visit: Visit, paint: Any) -> None:
    job = paint(visit())
    assert on_its_way(job)
    job.cancel()
    assert until(lambda: not len(site.page.device))
    assert job.done() or until(job.done)


def test_a_visitor_who_cancels_while_waiting_gives_up_his_place(site: Served, visit: Visit, paint: Any) -> None:
    ann, bob, cid = visit(), visit(), visit()
    anns = paint(ann)
    assert on_its_way(anns)
    bobs, cids = paint(bob), paint(cid, quick=True)
    assert until(lambda: "waiting" in last_line(bobs) and "waiting" in last_line(cids), PATIENCE)
    assert len(site.page.device) == 3
    bobs.cancel()
    assert until(lambda: len(site.page.device) == 2, LOST_AFTER + SOON)
    ann.predict(api_name="/stop")
    assert "done" in cids.result(PATIENCE)[-1]


def test_a_dozen_at_once_are_all_served_and_leave_nothing_behind(site: Served, visit: Visit, paint: Any) -> None:
    def standing() -> set[str]:
        """Threads that stay: not those that Gradio's server and clients lend, and take back."""
        return {thread.name for thread in threads() if not re.match("ThreadPoolExecutor|AnyIO", thread.name)}

    visitors = [visit() for _ in range(4)]
    before, there = standing(), runs(site)
    jobs = [paint(visitors[n % 4], quick=True, seed=n) for n in range(12)]
    seeds = [read_settings(job.result(PATIENCE)[0])["settings"]["seed"] for job in jobs]  # type: ignore
    assert seeds == list(range(12))
    assert until(lambda: not len(site.page.device))
    assert standing() == before
    assert sum(thread.name.startswith("AnyIO") for thread in threads()) <= 16

    own = runs(site) - there
    assert len(own) == 12
    for visitor in visitors[1:]:
        site.page.results.clear(visitor.session_hash)
    assert len(runs(site) - there) == 3
    site.page.results.clear(visitors[0].session_hash)
    assert runs(site) == there


def test_who_goes_takes_his_pictures_along(site: Served) -> None:
    """A visitor of one connection, as a browser is: Gradio's Python client has its own, and may renew it."""
    session, there = "a-browser", runs(site)
    kept = site.page.results.run(session).folder
    with httpx.stream("GET", f"{site.url}gradio_api/heartbeat/{session}") as beats:
        assert "ALIVE" in next(beats.iter_text())
        assert runs(site) - there == {kept.name}
    assert until(lambda: runs(site) == there)


def test_what_a_run_shows_is_never_more_than_a_few_files(site: Served, visit: Visit, paint: Any) -> None:
    visitor, there = visit(), runs(site)
    job = paint(visitor)
    assert until(lambda: sum(bool(output[0]) for output in job.outputs()) >= 6, PATIENCE)
    (folder,) = runs(site) - there
    assert len(list((site.page.results.folder / folder).iterdir())) <= 3
    job.cancel()
    assert until(lambda: not len(site.page.device))
    site.page.results.clear(visitor.session_hash)
