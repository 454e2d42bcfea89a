"""The verbs of the root: from a file to a result in one call, the same result as the command's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vggapps
from tests.conftest import Ran
from vggapps.classification import Prediction, Predictions
from vggapps.errors import OutputExistsError, PictureError, SettingsError
from vggapps.features import load_features
from vggapps.image import Picture, open_picture, read_settings, resize

Cli = Callable[..., Ran]
Caplog = pytest.LogCaptureFixture
PNG = b"\x89PNG\r\n\x1a\n"


def pixels(path: str | Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def same_files(verb: str | Path, command: str | Path) -> None:
    """The same picture, made by the same recipe."""
    assert np.array_equal(pixels(verb), pixels(command))
    assert read_settings(verb) == read_settings(command)


def test_importing_the_package_and_naming_a_verb_loads_no_torch() -> None:
    code = "import sys, vggapps; dir(vggapps); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


class TestPictures:
    def test_a_painted_picture_is_the_commands(self, town: Path, cli: Cli) -> None:
        picture = vggapps.stylize("town.png", {"waves.png": 0.5, "town.jpg": 0.5}, size=48, steps=3, strength=0.7)
        picture.save("verb.png")
        options = ("--size", 48, "--steps", 3, "--strength", 0.7)
        assert cli("stylize", "town.png", "waves.png:0.5", "town.jpg:0.5", *options, "-o", "command.png").code == 0
        same_files("verb.png", "command.png")

    def test_a_painted_picture_can_be_made_again(self, town: Path, cli: Cli) -> None:
        vggapps.stylize("town.png", "waves.png", size=48, steps=2).save("verb.png")
        assert cli("stylize", "--settings", "verb.png", "-o", "again.png").code == 0
        same_files("verb.png", "again.png")

    def test_a_visualization_is_the_commands(self, town: Path, cli: Cli) -> None:
        vggapps.visualize(["conv1_1:0-1", "conv2_1:3"], size=32, steps=2).save("verb.png")
        names = ("conv1_1:0-1", "conv2_1:3")
        assert cli("visualize", *names, "--size", 32, "--steps", 2, "-o", "command.png").code == 0
        same_files("verb.png", "command.png")

    def test_a_dream_is_the_commands(self, town: Path, cli: Cli) -> None:
        vggapps.dream("town.png", "relu2_1", size=48, steps=1, octaves=2).save("verb.png")
        options = ("--objective", "relu2_1", "--size", 48, "--steps", 1, "--octaves", 2)
        assert cli("dream", "town.png", *options, "-o", "command.png").code == 0
        same_files("verb.png", "command.png")

    def test_an_inversion_is_the_commands(self, town: Path, cli: Cli) -> None:
        vggapps.invert("town.png", ["conv1_1", "conv2_1"], size=48, steps=2).save("verb.png")
        options = ("--layer", "conv1_1,conv2_1", "--size", 48, "--steps", 2)
        assert cli("invert", "town.png", *options, "-o", "command.png").code == 0
        same_files("verb.png", "command.png")

    def test_a_photo_in_memory_keeps_its_name_and_transparency(self) -> None:
        alpha = torch.zeros(1, 1, 40, 60)
        alpha[..., :30] = 1
        photo = Picture(torch.rand(1, 3, 40, 60), alpha, "cut-out")
        made = vggapps.stylize(photo, torch.rand(1, 3, 50, 50), size=48, steps=1)
        assert (made.name, made.size) == ("cut-out", (32, 48))
        assert made.alpha is not None
        assert float(made.alpha[..., :20].mean()) == pytest.approx(1, abs=0.02)
        assert float(made.alpha[..., 28:].mean()) == pytest.approx(0, abs=0.02)
        assert made.settings is not None
        assert made.settings["inputs"]["content"] == [{"name": "cut-out", "sha256": None}]

    def test_progress_is_shown_on_stderr_and_only_on_wish(self, town: Path, capfd: pytest.CaptureFixture[str]) -> None:
        vggapps.dream("town.png", "relu1_1", size=48, steps=1, octaves=1)
        assert capfd.readouterr() == ("", "")
        vggapps.dream("town.png", "relu1_1", size=48, steps=1, octaves=1, progress=True)
        out, err = capfd.readouterr()
        assert (out, "town.png: 100 %" in err) == ("", True)


class TestClasses:
    cat = str(Path(__file__).parents[1] / "assets" / "content" / "cat.jpg")

    def test_what_is_printed_is_what_the_command_prints(self, cli: Cli) -> None:
        found = vggapps.classify(self.cat, backbone="vgg19-gap", top=3)
        assert f"{found}\n" == cli("classify", self.cat, "--backbone", "vgg19-gap", "--top", 3).out
        assert [len(found), found[0].label in found._repr_html_()] == [3, True]

    def test_a_table_in_a_notebook_shows_names_as_they_are(self) -> None:
        odd = Predictions([Prediction(0, "<b>&", "", 0.5)])
        assert "<td>&lt;b&gt;&amp;</td>" in odd._repr_html_()

    def test_an_explanation_is_the_commands(self, town: Path, cli: Cli) -> None:
        found = vggapps.explain(self.cat, backbone="vgg19-gap", layer="relu4_4")
        found.save("verb.png")
        options = ("--backbone", "vgg19-gap", "--layer", "relu4_4")
        ran = cli("explain", self.cat, *options, "-o", "command.png")
        assert ran.out == f"command.png: {str(found).removesuffix(', by grad-cam (relu4_4)')}\n"
        assert np.array_equal(pixels("verb.png"), pixels("command.png"))
        told, asked = (read_settings(file) or {} for file in ("verb.png", "command.png"))
        assert {**told, "maps": None} == {**asked, "maps": None}  # maps say how many seconds they took
        assert found._repr_png_().startswith(PNG)
        assert 0 < found.confidence < 1
        assert found.target.startswith("class:")


class TestComparisons:
    def test_what_is_printed_is_what_the_command_prints(self, town: Path, cli: Cli) -> None:
        found = vggapps.compare("town.png", "town.jpg", ["perceptual", "ssim", "psnr"])
        assert f"{found}\n" == cli("compare", "town.png", "town.jpg", "--metric", "perceptual,ssim,psnr").out
        assert "SSIM" in found._repr_html_()
        error = (open_picture("town.png").rgb - open_picture("town.jpg").rgb).square().mean()
        assert found.values["psnr"] == pytest.approx(float(-10 * error.log10()), rel=1e-5)

    def test_the_map_is_drawn_on_wish_by_a_metric_that_has_one(self, town: Path) -> None:
        found = vggapps.compare("town.png", "waves.png", ["psnr", "perceptual"])
        assert found.heat_map().size == (36, 48)
        assert (found.heat_map().settings or {})["map_of"] == "perceptual"
        with pytest.raises(SettingsError, match="psnr has no map"):
            found.heat_map("psnr")

    def test_a_metric_that_is_named_is_measured_or_refused(self, town: Path) -> None:
        small = torch.rand(1, 3, 8, 8)
        assert vggapps.compare(small, small, size=8).values["ssim"] is None
        with pytest.raises(SettingsError, match="SSIM needs 11 pixels"):
            vggapps.compare(small, small, "ssim")

    def test_sizes_that_differ_are_refused_or_scaled(self, town: Path) -> None:
        large, small = open_picture("town.png"), torch.rand(1, 3, 18, 24)
        with pytest.raises(SettingsError, match="24x18"):
            vggapps.compare(large, small, "psnr")
        scaled = vggapps.compare(large, small, "psnr", scale_to_a=True)
        assert torch.equal(scaled.pictures[1], resize(small, (36, 48)))


class TestFeatures:
    def test_a_table_holds_what_the_commands_file_holds(self, town: Path, cli: Cli, caplog: Caplog) -> None:
        Path("photos").mkdir()
        for name in ("town.png", "waves.png"):
            shutil.copy(name, "photos")
        Path("photos/broken.jpg").write_bytes(b"no picture")
        table = vggapps.extract("photos", "relu2_1", "max", size=64)
        options = ("--layer", "relu2_1", "--pool", "max", "--size", 64)
        cli("extract", "photos", *options, "-o", "command.npy")
        of_command = load_features("command.npy")
        assert np.array_equal(table.features, of_command.features)
        assert (table.paths, table.settings, table.failed) == (
            of_command.paths,
            of_command.settings,
            of_command.failed,
        )
        assert table.failed == (str(Path("photos", "broken.jpg")),)
        assert "broken.jpg" in caplog.text
        assert repr(table).startswith("<FeatureTable: 2 pictures x 128 numbers, relu2_1 (max) of vgg19-installed at 64")

    def test_similar_pictures_are_found_in_a_table_in_memory(self, town: Path) -> None:
        table = vggapps.extract(["town.png", "town.jpg", "waves.png"], "pool1", size=32)
        found = vggapps.similar("town.png", table)
        rows = table.features.astype(np.float64)
        cosines = rows @ rows[0] / np.linalg.norm(rows, axis=1) / np.linalg.norm(rows[0])
        order = 1 + np.argsort(-cosines[1:])
        assert [one.path for one in found] == [table.paths[i] for i in order]
        assert [one.similarity for one in found] == pytest.approx(cosines[order])
        assert found.left_out == "town.png"
        assert str(found).splitlines()[0] == f"{cosines[order[0]]:.4f}  {table.paths[order[0]]}"
        assert found.sheet().size[1] > 3 * 192
        with pytest.raises(SettingsError, match="the table has pool1"):
            vggapps.similar("town.png", table, layer="pool2")

    def test_without_pictures_there_is_no_table(self, town: Path) -> None:
        Path("empty").mkdir()
        with pytest.raises(PictureError, match="no picture"):
            vggapps.extract("empty")
        Path("broken.jpg").write_bytes(b"no picture")
        with pytest.raises(PictureError, match="none of these pictures"):
            vggapps.extract("broken.jpg", "pool1", size=32)


class TestAPicture:
    made = Picture(torch.full((1, 3, 16, 24), 0.5), name="grey.jpg", settings={"made_by": "hand"})

    def test_its_settings_are_saved_with_it_in_every_format(self, tmp_path: Path) -> None:
        for suffix in ("png", "jpg", "webp", "tiff"):
            path = self.made.save(tmp_path / f"grey.{suffix}")
            assert read_settings(path) == {"made_by": "hand"}
        with pytest.raises(OutputExistsError):
            self.made.save(tmp_path / "grey.png")
        self.made.save(tmp_path / "grey.png", bits=16, overwrite=True)

    def test_it_says_what_it_is_and_is_an_image_in_a_notebook(self) -> None:
        assert repr(self.made) == "<Picture 'grey.jpg', 24 x 16 pixels>"
        assert self.made._repr_png_().startswith(PNG)

    def test_other_colours_leave_its_recipe_behind(self) -> None:
        other = self.made.with_rgb(torch.rand(1, 3, 32, 48))
        assert (other.size, other.name, other.settings) == ((32, 48), "grey.jpg", None)

    def test_it_is_shown_by_the_systems_viewer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shown: list[tuple[int, int]] = []
        monkeypatch.setattr(Image.Image, "show", lambda image, *_: shown.append(image.size))
        self.made.show()
        assert shown == [(24, 16)]
