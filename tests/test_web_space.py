"""The Hugging Face Space: what it says of itself is what it is, and its app runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")  # gradio brings it
ROOT = Path(__file__).parents[1]
SPACE = ROOT / "apps" / "space"


def front_matter() -> dict[str, Any]:
    _, block, _ = (SPACE / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(block)
    return found


def test_the_front_matter_is_what_the_space_is() -> None:
    """Keys and limits of huggingface.co/docs/hub/spaces-config-reference."""
    found = front_matter()
    assert {"title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file"} <= set(found)
    assert found["sdk"] == "gradio"
    assert (SPACE / found["app_file"]).is_file()
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {found["colorFrom"], found["colorTo"]} <= colours
    assert len(found["short_description"]) <= 60


def test_its_versions_are_those_that_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (wanted,) = project["optional-dependencies"]["web"]
    low, high = re.fullmatch(r"gradio>=([\d.]+),<([\d.]+)", wanted).groups()  # type: ignore[union-attr]
    found = front_matter()

    def numbers(version: str) -> tuple[int, ...]:
        return tuple(map(int, version.split(".")))

    assert numbers(low) <= numbers(found["sdk_version"])[: len(numbers(low))]
    assert numbers(found["sdk_version"]) < numbers(high)
    assert numbers(found["python_version"]) >= numbers(project["requires-python"].removeprefix(">="))
    lines = (SPACE / "requirements.txt").read_text().split()
    assert not [line for line in lines if line.startswith("gradio")]  # the Space installs sdk_version's
    assert "vggapps" in lines
    assert any("whl/cpu" in line for line in lines)  # else CUDA, 4 GB of it


def test_its_app_serves_the_page(tmp_path: Path) -> None:
    port = "7983"
    there = {**os.environ, "GRADIO_SERVER_PORT": port, "SPACE_ID": "somebody/vggapps", "TMPDIR": str(tmp_path)}
    log = tmp_path / "log"
    with log.open("w") as out:
        app = subprocess.Popen([sys.executable, "app.py"], cwd=SPACE, env=there, stdout=out, stderr=out)
    try:
        for _ in range(400):
            time.sleep(0.2)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/config", timeout=5) as answer:
                    config = answer.read().decode()
                break
            except OSError:
                assert app.poll() is None, log.read_text()
        assert '"maximum":512' in config.replace(" ", "")  # of the size: the Space's own limit
        assert '"analytics_enabled":false' in config.replace(" ", "")
    finally:
        app.terminate()
        app.wait(20)
