"""Accounts without a home or a name, as containers have them, and caches that can't be: what needs none works,
what needs one says to set VGGAPPS_CACHE, exit code 5.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Ran
from vggapps.errors import WeightsError
from vggapps.weights import _store as store
from vggapps.weights._records import RECORDS

Cli = Callable[..., Ran]
HERE = {"vgg19-installed", "vgg19-gap"}
ROOT = Path(__file__).parents[1]


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This process without HOME, and with a number that is in no list of users."""
    pwd = pytest.importorskip("pwd")

    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME", "XDG_CACHE_HOME", "TORCH_HOME", "VGGAPPS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setenv("VGGAPPS_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("homeless")
class TestWithoutHome:
    def test_what_is_installed_is_there(self, cli: Cli) -> None:
        ran = cli("weights", "list", "--json")
        where = {fact["name"]: fact["where"] for fact in map(json.loads, ran.out.splitlines()[:-1])}
        assert ran.code == 0
        assert {name for name, place in where.items() if place == "installed"} == HERE
        assert cli("weights", "verify", "vgg19-gap").code == 0
        assert cli("weights", "path", "vgg19-installed").code == 0

    def test_what_would_be_downloaded_says_what_to_set(self, cli: Cli) -> None:
        ran = cli("weights", "download", "vgg16")
        assert (ran.code, "set VGGAPPS_CACHE" in ran.err, "bug in vggapps" in ran.err) == (5, True, False)

    def test_info_comes_and_names_the_problem(self, cli: Cli) -> None:
        ran = cli("info", "--json")
        facts = json.loads(ran.out)
        assert (ran.code, facts["weights_folder"]) == (0, None)
        assert set(facts["weights"]) == HERE
        assert "set VGGAPPS_CACHE" in facts["problems"][0]

    def test_a_cache_of_its_own_is_enough(self, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VGGAPPS_CACHE", str(tmp_path))
        (tmp_path / "vgg16-397923af.pth").write_bytes(b"not looked into")
        assert cli("weights", "path", "vgg16").out.strip() == str(tmp_path / "vgg16-397923af.pth")
        assert json.loads(cli("info", "--json").out)["problems"] == []

    def test_torch_is_not_left_to_ask_for_the_name(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
        cli("--version")
        assert "torchinductor" in os.environ["TORCHINDUCTOR_CACHE_DIR"]


def test_who_has_a_name_keeps_torchs_own_folder(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "somebody")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    cli("--version")
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ


@pytest.mark.parametrize("variable", ["TORCH_HOME", "XDG_CACHE_HOME"])
def test_torchs_folder_in_a_home_that_nobody_has(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VGGAPPS_CACHE", raising=False)
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv(variable, "~nosuchuser/x")
    assert store.find(RECORDS["vgg16"]) is None
    with pytest.raises(WeightsError, match="set VGGAPPS_CACHE"):
        store.cache_folder()


@pytest.mark.parametrize(
    ("cache", "why"),
    [
        ("~nosuchuser/x", "a path in an unknown home directory"),
        ("file", "which is not a folder"),
        ("dangling", "which is not a folder"),
        ("loop", "which is not a folder"),
    ],
)
@pytest.mark.parametrize("words", ["weights list", "weights path vgg16", "weights download vgg16", "weights verify"])
def test_a_cache_that_can_not_be_one(
    cache: str, why: str, words: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("dangling").symlink_to("nowhere")
    Path("loop").symlink_to("loop")
    monkeypatch.setenv("VGGAPPS_CACHE", cache)
    ran = cli(*words.split())
    assert ran.code == 5
    assert ran.err.endswith(f"error: VGGAPPS_CACHE is {cache!r}, {why}\nhint: set VGGAPPS_CACHE to a writable folder\n")
    assert cli("info").code == 0


@pytest.mark.parametrize("cache", ["file/below", "/proc/no-folder"])
def test_a_cache_that_can_not_be_made(cache: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    monkeypatch.setenv("VGGAPPS_CACHE", cache)
    for switch in ("VGGAPPS_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(switch, raising=False)
    ran = cli("weights", "download", "vgg16")
    assert (ran.code, f"cannot write to the folder {cache}" in ran.err) == (5, True)


def test_an_empty_cache_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VGGAPPS_CACHE", "")
    monkeypatch.setenv("TORCH_HOME", "/somewhere")
    assert store.cache_folder() == Path("/somewhere/hub/checkpoints")


# Another account, for real: it may do nothing that the files do not allow.


STRANGER = ["unshare", "-U", "--map-user=54321", "--map-group=54321"]


def can_be_stranger() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*STRANGER, "true"], capture_output=True, check=False).returncode == 0


def as_stranger(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    basic = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "VGGAPPS_OFFLINE": "1"}
    command = [*STRANGER, sys.executable, "-m", "vggapps", *words]
    return subprocess.run(command, cwd=folder, env=basic | environment, capture_output=True, text=True, check=False)


STRANGE = pytest.mark.skipif(not can_be_stranger(), reason="this system lets nobody be another account (unshare -U)")


@STRANGE
@pytest.mark.parametrize("words", ["info", "visualize conv1_1:3 --size 32 --steps 1 -q -o filter.png"])
def test_a_container_with_any_number_for_its_account(words: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    ran = as_stranger(tmp_path, *words.split())
    assert (ran.returncode, ran.stderr) == (0, "")


@STRANGE
def test_a_closed_cache(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    ran = as_stranger(tmp_path, "weights", "list", VGGAPPS_CACHE=str(closed))
    assert (ran.returncode, "without read permission" in ran.stderr) == (5, True)


@STRANGE
@pytest.mark.parametrize("closed", ["photos/town.png", "made"])
def test_what_this_account_may_not_read_or_write(closed: str, tmp_path: Path) -> None:
    for folder in ("photos", "made"):
        (tmp_path / folder).mkdir()
    for seed, name in enumerate(("photos/town.png", "waves.png")):
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (36, 48, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / closed).chmod(0)
    words = "stylize photos/town.png waves.png --size 32 --steps 1 -q -o made/out.png"
    ran = as_stranger(tmp_path, *words.split())
    (tmp_path / closed).chmod(0o700)
    error = ran.stderr
    assert (ran.returncode, "bug in vggapps" in error, Path(closed).name in error) == (3, False, True), error
