"""The page, served for tests, and programs that visit it."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from vggapps.web.limits import Limits

if TYPE_CHECKING:
    from gradio_client import Client

    from vggapps.web import Served

LIMITS = Limits(max_upload=1, max_pixels=0.5, max_size=256, max_work=5, max_seconds=60)
PATIENCE = 60  # seconds, on a busy machine
# In the threads of its server Gradio asks pandas for what that no longer wants, and of a port that is taken it leaves
# the socket open.
GRADIOS_OWN = pytest.mark.filterwarnings(
    "ignore:.*no_silent_downcasting",
    "ignore:The copy keyword is deprecated",
    "ignore:unclosed <socket:ResourceWarning",
)
Visit = Callable[[], Any]
Stranger = tuple[str, list[str]]


@pytest.fixture(scope="module", autouse=True)
def loops_closed() -> Iterator[None]:
    """Gradio makes an event loop for each of its locks, and leaves it open: Python warns of that whenever it looks."""
    made: list[asyncio.AbstractEventLoop] = []
    make = asyncio.new_event_loop

    def recorded() -> asyncio.AbstractEventLoop:
        made.append(make())
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", recorded)
        yield
    for loop in made:
        if not loop.is_running():
            loop.close()
    asyncio.set_event_loop(None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # or the tests of another file are told of what is left
        gc.collect()


@pytest.fixture(scope="module", name="site")
def a_site(loops_closed: None) -> Iterator[Served]:
    """The page, for all tests of a file."""
    from vggapps.web import served

    with served(LIMITS) as site:
        yield site


@pytest.fixture(scope="module", name="visit")
def a_visit(site: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    """A new visitor at each call, who has nothing in common with the others."""
    from gradio_client import Client

    clients: list[Client] = []

    def visit() -> Client:
        downloads = str(tmp_path_factory.mktemp("downloads"))
        clients.append(Client(site.url, verbose=False, analytics_enabled=False, download_files=downloads))
        return clients[-1]

    yield visit
    with ThreadPoolExecutor(len(clients)) as pool:  # each waits a second for its heart to stop
        list(pool.map(Client.close, clients))
    for client in clients:
        client.executor.shutdown()


@pytest.fixture(scope="module", name="client")
def a_client(visit: Visit) -> Client:
    client: Client = visit()
    return client


@pytest.fixture(scope="module", name="pictures")
def some_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``town.png`` and ``waves.png``."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, (width, height), seed in (("town", (48, 36), 1), ("waves", (40, 40), 2), ("rocks", (44, 30), 3)):
        pixels = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
        Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    return folder


def file(path: Path) -> Any:
    """A file as a program uploads it."""
    from gradio_client import handle_file

    return handle_file(path)


@pytest.fixture(name="stranger")
def a_stranger() -> Iterator[Stranger]:
    """The address of a picture that nobody has uploaded, and the requests for it."""
    requests: list[str] = []

    class Gives(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"nothing")

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Gives) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/secret.png", requests
        server.shutdown()
        thread.join()
