"""Ctrl-C in the first moments, while modules are imported: exit code 130, and not a word."""

from __future__ import annotations

import subprocess
import sys

import pytest

# At the first import of the module somebody presses Ctrl-C.
CODE = """
import os, signal, sys

class Pressed:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Pressed())
import runpy
runpy.run_module("vggapps", run_name="__main__", alter_sys=True)
"""


def run(module: str, *arguments: str, ignored: bool = False) -> subprocess.CompletedProcess[str]:
    start = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" if ignored else ""
    code = f"{start}MODULE = {module!r}\n{CODE}"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("vggapps.cli.app", ["--help"]),
        ("typer", ["--help"]),
        ("typer._click", ["--help"]),
        ("vggapps.cli.weights", ["--help"]),
        ("rich.table", ["weights", "list"]),
        ("torch", ["info"]),
        ("torch.nn", ["info"]),
    ],
)
def test_it_ends_at_once(module: str, arguments: list[str]) -> None:
    ran = run(module, *arguments)
    assert (ran.returncode, ran.stdout, ran.stderr.strip()) == (130, "", "")


def test_where_the_parent_has_switched_it_off_it_stays_off() -> None:
    """As in a script's background job, or under nohup."""
    ran = run("typer", "--version", ignored=True)
    assert (ran.returncode, ran.stderr) == (0, "")
