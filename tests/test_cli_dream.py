"""``vggapps dream`` and ``vggapps invert`` as people and programs use them; the real network, on tiny pictures."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from tests.conftest import Ran
from vggapps.figures import _film as film
from vggapps.image import open_picture, read_settings

Cli = Callable[..., Ran]
DREAM = ("--size", 48, "--steps", 1, "--octaves", 2, "--objective", "relu2_1")
INVERT = ("--size", 32, "--steps", 2, "--layer", "conv1_1")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo, a transparent one and a guide, which is the current one."""
    monkeypatch.chdir(tmp_path)
    for name, channels, seed in (("town", 3, 1), ("ghost", 4, 2), ("flower", 3, 3)):
        pixels = np.random.default_rng(seed).integers(0, 256, (36, 48, channels), np.uint8)
        Image.fromarray(pixels).save(f"{name}.png")
    return tmp_path


def size(picture: str) -> tuple[int, int]:
    with Image.open(picture) as image:
        image.load()
        return image.size


class TestDream:
    def test_the_result_has_a_name_and_its_settings_inside(self, here: Path, cli: Cli) -> None:
        ran = cli("dream", here / "town.png", *DREAM, "--guide", here / "flower.png", "--strength", 0.5)
        assert (ran.code, ran.out) == (0, "town_dream.png\n"), ran.err
        assert "100 %, step 2 of 2" in ran.err
        assert size("town_dream.png") == (48, 36)
        made = read_settings("town_dream.png")
        assert made is not None
        assert made["settings"]["objective"] == "relu2_1"
        assert made["settings"]["strength"] == 0.5
        assert made["settings"]["guide"] == "flower.png"
        assert str(here) not in json.dumps(made)

    def test_the_same_seed_gives_the_same_file(self, here: Path, cli: Cli) -> None:
        for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
            cli("dream", "town.png", *DREAM, "--seed", seed, "-o", name)
        assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
        assert not np.array_equal(Image.open("a.png"), Image.open("c.png"))

    def test_transparency_is_kept(self, here: Path, cli: Cli) -> None:
        assert cli("dream", "ghost.png", *DREAM).code == 0
        found, given = (open_picture(name).alpha for name in ("ghost_dream.png", "ghost.png"))
        assert found is not None
        assert given is not None
        assert (found - given).abs().max() < 1e-6

    def test_a_folder_gives_a_folder_and_json_a_line_for_each(self, here: Path, cli: Cli) -> None:
        Path("broken.jpg").write_text("no picture")
        ran = cli("dream", ".", *DREAM, "--json", "-o", "dreams/")
        assert ran.code == 1
        assert "broken.jpg" in ran.err
        assert "1 of 4 pictures failed" in ran.err
        made = [json.loads(line) for line in ran.out.splitlines()]
        assert [Path(one["output"]).name for one in made] == ["flower_dream.png", "ghost_dream.png", "town_dream.png"]
        assert all(one["size"] == [48, 36] and one["interrupted"] is False for one in made)

    @pytest.mark.parametrize("suffix", [".webp", ".gif", ".png"])
    def test_a_zoom_is_a_film_with_its_settings(self, here: Path, cli: Cli, suffix: str) -> None:
        name = f"film{suffix}"
        ran = cli("dream", "town.png", *DREAM, "--zoom", 4, "-o", name, "--json")
        assert ran.code == 0, ran.err
        assert json.loads(ran.out)["frames"] == 4
        with Image.open(name) as image:
            image.load()
            assert getattr(image, "n_frames", 1) == 4
            assert image.size == (48, 36)
            assert image.info["duration"] == pytest.approx(1000 / film.RATE, abs=5)
            frames = []
            for index in range(4):
                image.seek(index)
                frames.append(np.array(image.convert("RGB"), int))
        assert all(abs(a - b).mean() > 1 for a, b in pairwise(frames))
        if suffix != ".gif":
            made = read_settings(name)
            assert made is not None
            assert made["settings"]["size"] == 48

    def test_a_zoom_can_be_an_mp4(self, here: Path, cli: Cli) -> None:
        ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is not installed")
        assert cli("dream", "town.png", *DREAM, "--size", 50, "--zoom", 3, "-o", "film.mp4").code == 0
        frames, seconds = ffmpeg.count_frames_and_secs("film.mp4")
        assert frames == 3
        assert seconds == pytest.approx(3 / film.RATE, abs=0.05)

    def test_without_ffmpeg_an_mp4_is_refused_with_the_remedy(
        self, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
        ran = cli("dream", "town.png", *DREAM, "--zoom", 3, "-o", "film.mp4")
        assert ran.code == 2
        assert "pip install 'vggapps[video]'" in ran.err

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["no.png"], 3, "no.png"),
            (["town.png", "--objective", "relu41"], 2, "did you mean"),
            (["town.png", "--objective", "relu4_1:9999"], 2, "the last one is 511"),
            (["town.png", "--guide", "no.png"], 3, "no.png"),
            (["town.png", "--objective", "relu4_1:3", "--guide", "flower.png"], 2, "a guide needs a layer"),
            (["town.png", "--guide", "flower.png", "-o", "flower.png", "--force"], 2, "one of the input files"),
            (["town.png", "--octave-scale", "1"], 2, "greater than or equal to 1.05"),
            (["town.png", "--size", "32", "--objective", "relu5_1", "-o", "town.png", "--force"], 2, "one of"),
            (["town.png", "--zoom", "3"], 2, "needs a name"),
            (["town.png", "flower.png", "--zoom", "3", "-o", "a.webp"], 2, "one picture"),
            (["town.png", "--zoom", "3", "-o", "a.avi"], 2, ".webp"),
            (["town.png", "--zoom", "3", "-o", "no/a.gif"], 3, "no folder"),
            (["town.png", "--zoom", "3", "-o", "town.png", "--force"], 2, "one of the input files"),
            (["town.png", "--zoom", "3", "-o", "flower.png"], 4, "--force"),
        ],
    )
    def test_what_is_wrong_is_said_before_work_starts(
        self, here: Path, cli: Cli, arguments: list[str], code: int, words: str
    ) -> None:
        before = {path.name: path.read_bytes() for path in here.iterdir()}
        ran = cli("dream", *arguments)
        assert ran.code == code, ran.err
        assert words in ran.err
        assert "Traceback" not in ran.err
        assert {path.name: path.read_bytes() for path in here.iterdir()} == before

    def test_ctrl_c_keeps_the_frames_so_far(self, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        import vggapps.visualization._zooming as zooming

        nearer, calls = zooming.nearer, 0

        def interrupted(image: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            if calls == 3:
                signal.raise_signal(signal.SIGINT)
            return nearer(image)

        monkeypatch.setattr(zooming, "nearer", interrupted)
        ran = cli("dream", "town.png", *DREAM, "--zoom", 50, "-o", "film.webp", "--json")
        assert ran.code == 130
        assert json.loads(ran.out)["interrupted"] is True
        with Image.open("film.webp") as image:
            assert getattr(image, "n_frames", 1) == json.loads(ran.out)["frames"] == 4


class TestInvert:
    def test_one_layer_gives_the_picture_with_its_error(self, here: Path, cli: Cli) -> None:
        ran = cli("invert", "town.png", *INVERT, "--json")
        assert ran.code == 0, ran.err
        made = json.loads(ran.out)
        assert made["output"] == "town_inverted.png"
        assert made["size"] == [32, 24]
        assert list(made["errors"]) == ["conv1_1"]
        assert 0 < made["errors"]["conv1_1"] < 2
        kept = read_settings("town_inverted.png")
        assert kept is not None
        assert kept["errors"] == made["errors"]
        assert kept["settings"]["method"] == "fourier"

    def test_several_layers_make_a_sheet_with_the_picture(self, here: Path, cli: Cli) -> None:
        ran = cli("invert", "town.png", *INVERT[:-1], "conv1_1,conv2_1,conv1_2", "--json")
        assert ran.code == 0, ran.err
        assert list(json.loads(ran.out)["errors"]) == ["conv1_1", "conv2_1", "conv1_2"]
        width, height = size("town_inverted.png")
        assert width > 4 * 96
        assert height < width / 2

    def test_the_same_seed_gives_the_same_file(self, here: Path, cli: Cli) -> None:
        for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
            cli("invert", "town.png", *INVERT, "--method", "mv2016", "--seed", seed, "-o", name)
        assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
        assert not np.array_equal(Image.open("a.png"), Image.open("c.png"))

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["no.png"], 3, "no.png"),
            (["town.png", "--layer", "conv11"], 2, "did you mean"),
            (["town.png", "--layer", ","], 2, "no layer to invert"),
            (["town.png", "--method", "mv2015"], 2, "mv2016"),
            (["town.png", "--layer", "pool5", "--size", "32"], 2, "too narrow"),
            (["town.png", "--backbone", "vgg91"], 2, "did you mean 'vgg19'"),
        ],
    )
    def test_what_is_wrong_is_said_before_work_starts(
        self, here: Path, cli: Cli, arguments: list[str], code: int, words: str
    ) -> None:
        ran = cli("invert", *arguments)
        assert ran.code == code, ran.err
        assert words in ran.err
        assert "Traceback" not in ran.err
        assert sorted(path.name for path in here.iterdir()) == ["flower.png", "ghost.png", "town.png"]


@pytest.mark.parametrize(("command", "words"), [("dream", ("--guide", "--zoom")), ("invert", ("--method", "--layer"))])
def test_help_shows_the_settings_and_examples(cli: Cli, command: str, words: tuple[str, ...]) -> None:
    ran = cli(command, "--help")
    assert ran.code == 0
    for word in (*words, "--seed", "Examples"):
        assert word in ran.out
