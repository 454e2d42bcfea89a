"""Whether the page gives back what it takes: memory, files, threads and its line, before and after many requests.

    python benchmarks/web.py                              # 30 at once, then 100 after one another
    python benchmarks/web.py --at-once 8 --in-turn 20

One client uploads, asks and downloads over HTTP, as a program would. The server is another process, whose memory is
measured from outside. The first round, after which networks and buffers stay in memory, is not counted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import psutil
from gradio_client import Client, handle_file

ASSETS = Path(__file__).parents[1] / "assets"
PHOTO, PAINTING = str(ASSETS / "content" / "cat.jpg"), str(ASSETS / "style" / "starry-hills.jpg")


def requests(client: Client) -> list[Callable[[], object]]:
    """One of each kind, small."""
    photo, painting = handle_file(PHOTO), handle_file(PAINTING)
    return [
        lambda: client.predict(photo, painting, size=96, steps=6, api_name="/stylize"),
        lambda: client.predict(photo, painting, size=96, api_name="/preview"),
        lambda: client.predict(photo, api_name="/classify"),
        lambda: client.predict(photo, api_name="/explain"),
        lambda: client.predict("conv2_1", 3, steps=4, api_name="/visualize"),
        lambda: client.predict(photo, photo, size=96, api_name="/compare"),
    ]


def state(server: psutil.Process, folder: Path) -> dict[str, float]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        "memory, MB": server.memory_info().rss / 1e6,
        "threads": server.num_threads(),
        "open files": server.num_fds(),
        "files kept": len(files),
        "of these, MB": sum(path.stat().st_size for path in files) / 1e6,
    }


def answered(url: str, together: int, count: int) -> list[float]:
    """Seconds of so many requests of a client, which comes, and goes."""
    client = Client(url, verbose=False, download_files=tempfile.mkdtemp(prefix="client-"))
    works = requests(client)
    with ThreadPoolExecutor(together) as pool:
        seconds = list(pool.map(timed, (works * count)[:count]))
    client.close()
    time.sleep(20)  # its heartbeat ends within 15, and then what was made for it is deleted
    return seconds


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at-once", type=int, default=30)
    parser.add_argument("--in-turn", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "vggapps", "web", "--port", "7990"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(folder))
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        process, rows = psutil.Process(server.pid), {}
        try:
            kept = next(Path(folder).glob("vggapps-web-*"))
            rounds = {"before": (1, 10), "at once": (arguments.at_once,) * 2, "in turn": (1, arguments.in_turn)}
            for name, (together, count) in rounds.items():
                seconds = answered(url, together, count)
                rows[name] = state(process, kept)
                took = f"median {median(seconds):.2f} s, longest {max(seconds):.1f} s"
                print(f"{count} requests, {together} at once: all answered, {took}", flush=True)
        finally:
            server.send_signal(2)
            server.wait(30)
        left = list(Path(folder).glob("vggapps-web-*"))
        print(f"left behind when the server has ended: {len(left)} folders\n")
    print("| | " + " | ".join(rows["before"]) + " |\n|---|" + "---:|" * len(rows["before"]))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{value:.0f}" for value in row.values()) + " |")


def environment(folder: str) -> dict[str, str]:
    import os

    return {**os.environ, "TMPDIR": folder}


if __name__ == "__main__":
    main()
