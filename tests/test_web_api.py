"""The page as a program has it: every button is an endpoint, and answers as the library does."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import Ran
from tests.web_site import GRADIOS_OWN, PATIENCE, a_client, a_site, a_visit, file, loops_closed, some_pictures  # noqa: F401
from vggapps.classification._settings import ClassifySettings
from vggapps.explanation._settings import ExplainSettings
from vggapps.image import read_settings
from vggapps.optimize._step import last
from vggapps.settings import to_dict
from vggapps.style._settings import StylizeSettings
from vggapps.visualization._settings import VisualizeSettings

if TYPE_CHECKING:
    from gradio_client import Client

    from vggapps.web import Served

pytestmark = GRADIOS_OWN
PLAIN = {"evaluate": False, "no_caption": False}  # arguments of the command that the page does not have
ENDPOINTS = {"stylize", "preview", "refine", "stop", "classify", "explain", "visualize", "compare"}
OF = {
    "stylize": StylizeSettings,
    "classify": ClassifySettings,
    "explain": ExplainSettings,
    "visualize": VisualizeSettings,
}
MIXTURE = {"content", "style", "share", "second_style", "second_share", "third_style", "third_share"}
OWN = {"stylize": MIXTURE, "classify": {"image"}, "explain": {"image"}, "visualize": {"layer", "channel", "target"}}
# Not for visitors to decide, or files of the server and what is to be said of them.
SERVERS = {"device", "dtype", "convention", "classes", "start", "spectrum"}


def grey_levels(path: str | Path) -> torch.Tensor:
    """A picture's samples, of 8 bits."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB")).astype(np.int16))


def assert_shows(path: str, image: torch.Tensor) -> None:
    """The picture's file is what this 1 x 3 x H x W tensor shows, to one grey level."""
    wanted = (image[0].permute(1, 2, 0).clamp(0, 1) * 255).round().short()
    made = grey_levels(path)
    assert made.shape == wanted.shape
    assert (made - wanted).abs().max() <= 1
    assert made.float().std() > 1  # not a picture of nothing


def endpoints(client: Client) -> dict[str, Any]:
    return client.view_api(return_format="dict", print_info=False)["named_endpoints"]  # type: ignore[return-value,call-overload,no-any-return]


def test_every_button_is_an_endpoint_and_nothing_else_is_public(client: Client) -> None:
    assert set(endpoints(client)) == {f"/{name}" for name in ENDPOINTS}
    api = client.view_api(return_format="dict", print_info=False)
    assert api["unnamed_endpoints"] == {}  # type: ignore[index]


def test_the_api_is_short_enough_to_read_and_long_lists_are_text(client: Client) -> None:
    taken = {
        (endpoint, one["parameter_name"]): one["python_type"]["type"]
        for endpoint, about in endpoints(client).items()
        for one in about["parameters"]
    }
    assert {taken[f"/{name}", word] for name in ("explain", "visualize") for word in ("layer", "target")} == {"str"}
    assert taken["/visualize", "pooling"].startswith("Literal[")
    assert all(len(kind) < 300 for kind in taken.values())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("conv2_1", 3, "tenhc"), "There is no class 'tenhc'; did you mean 'tench'"),
        (("conv21", 3, ""), "There is no layer 'conv21'; did you mean 'conv2_1'"),
        (("conv2_1:3 + text", 3, ""), "There is no layer 'conv2_1:3"),
        (("conv2_1", 3, "tench + conv2_1:3"), "There is no class 'tench"),  # it is no objective
    ],
)
def test_a_word_that_is_typed_is_checked_and_the_nearest_is_named(client: Client, values: Any, said: str) -> None:
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError, match=re.escape(said)):
        client.predict(*values, size=32, steps=1, api_name="/visualize")


@pytest.mark.parametrize("name", OF)
def test_what_an_endpoint_takes_has_the_names_and_defaults_of_the_settings(client: Client, name: str) -> None:
    taken = {one["parameter_name"]: one for one in endpoints(client)[f"/{name}"]["parameters"]}
    fields = {field.name: field.default for field in dataclasses.fields(OF[name])}  # type: ignore[arg-type]
    assert OWN[name] <= set(taken)
    settings = set(taken) - OWN[name]
    assert settings <= set(fields)
    assert not settings & SERVERS
    assert settings >= set(fields) - SERVERS - {"scale"}
    for field in settings - {"size", "backbone"}:  # the page's sizes are smaller; a choice stands for None
        default = taken[field]["parameter_default"]
        if isinstance(fields[field], tuple):
            default = tuple(default.split(", "))
        assert (default or None) == (fields[field] or None)
    if "size" in taken and fields["size"]:
        assert taken["size"]["parameter_default"] == min(fields["size"], 256)


def test_a_photo_is_painted_as_the_library_paints_it(client: Client, pictures: Path) -> None:
    from vggapps.style import stylize_steps

    photo, painting = pictures / "town.png", pictures / "waves.png"
    job = client.submit(file(photo), file(painting), size=64, steps=6, seed=3, api_name="/stylize")
    result, slides, download, line = job.result(PATIENCE)
    settings = StylizeSettings(size=64, steps=6, seed=3)
    assert Path(result).name == Path(download).name == "town_by_waves.png"
    assert_shows(download, last(stylize_steps(photo, painting, settings)).image())
    assert Path(result).read_bytes() == Path(download).read_bytes()
    with Image.open(download) as image, Image.open(slides[0]) as before, Image.open(slides[1]) as after:
        assert image.size == before.size == after.size == (64, 48)

    told = read_settings(download)
    assert told is not None
    assert told["settings"] == json.loads(json.dumps(to_dict(settings)))
    assert told["interrupted"] is False
    assert told["inputs"]["content"] == [{"name": "town.png", "sha256": hashlib.sha256(photo.read_bytes()).hexdigest()}]
    assert told["inputs"]["styles"] == [
        {"name": "waves.png", "weight": 1.0, "sha256": hashlib.sha256(painting.read_bytes()).hexdigest()}
    ]
    assert "done" in line

    before = [output for output in job.outputs() if output[2] is None]
    assert any(output[0] for output in before)  # pictures on the way
    percentages = [int(output[3].split(" %")[0]) for output in before if output[3]]
    assert len(set(percentages)) >= 2
    assert percentages == sorted(percentages)


def test_paintings_are_mixed_by_their_shares_and_one_of_none_is_none(client: Client, pictures: Path) -> None:
    from vggapps.style import stylize_steps

    photo, one, other = (pictures / f"{name}.png" for name in ("town", "waves", "rocks"))
    mixed = client.predict(
        file(photo), file(one), share=0.25, second_style=file(other), second_share=0.5,
        third_style=file(photo), third_share=0, size=32, steps=4, api_name="/stylize",
    )[0]  # fmt: skip
    assert_shows(mixed, last(stylize_steps(photo, [(one, 0.25), (other, 0.5)], size=32, steps=4)).image())
    assert [(style["name"], style["weight"]) for style in read_settings(mixed)["inputs"]["styles"]] == [  # type: ignore
        ("waves.png", 0.25),
        ("rocks.png", 0.5),
    ]


def test_what_is_transparent_stays_so(client: Client, pictures: Path, tmp_path: Path) -> None:
    with Image.open(pictures / "town.png") as image:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        image.save(tmp_path / "clear.png")
    made = client.predict(
        file(tmp_path / "clear.png"), file(pictures / "waves.png"), 1, size=32, steps=2, api_name="/stylize"
    )
    with Image.open(made[0]) as painted:
        assert painted.mode == "RGBA"
        low, high = painted.getchannel("A").getextrema()
    assert low < 30  # type: ignore[operator]
    assert high > 225  # type: ignore[operator]


def test_a_picture_is_named_as_the_classifier_names_it(client: Client, pictures: Path) -> None:
    from vggapps.classification._classifier import Classifier

    named, why, line = client.predict(file(pictures / "town.png"), top=3, api_name="/classify")
    wanted = Classifier()(str(pictures / "town.png"), 3)
    assert len(named["confidences"]) == 3
    assert [one["label"] for one in named["confidences"]] == [one.label for one in wanted]
    assert [one["confidence"] for one in named["confidences"]] == pytest.approx([one.probability for one in wanted])
    assert named["label"] == wanted[0].label
    assert grey_levels(why).shape[2] == 3
    assert "100 %" in line


def test_an_explanation_is_of_the_class_that_classify_names_and_carries_its_settings(
    client: Client, pictures: Path
) -> None:
    from vggapps.classification._classifier import Classifier

    path = pictures / "town.png"
    why, answer, download, _ = client.predict(file(path), api_name="/explain")
    best = Classifier()(str(path), 1)[0]
    told = read_settings(download)
    assert told is not None
    assert told["settings"] == PLAIN | to_dict(ExplainSettings())
    assert told["inputs"]["images"][0]["name"] == "town.png"
    assert told["target"] == f"class:{best.label}"
    assert answer.startswith(best.label)
    assert re.search(r"[0-9.]+ %", answer)
    assert grey_levels(why).equal(grey_levels(download))
    other = client.predict(file(path), method="gradient", target="class:tench", size=256, seed=5, api_name="/explain")
    assert other[1].startswith("tench")
    settings = read_settings(other[2])["settings"]  # type: ignore[index]
    assert settings == PLAIN | to_dict(ExplainSettings(method="gradient", target="class:tench", size=256, seed=5))


def test_a_channel_is_visualized_as_the_library_does_it(client: Client) -> None:
    from vggapps.visualization import visualize_steps

    shown, answer, download, line = client.predict("conv2_1", 3, "", size=32, steps=4, api_name="/visualize")
    assert_shows(download, last(visualize_steps("conv2_1:3", size=32, steps=4)).image())
    assert grey_levels(shown).equal(grey_levels(download))
    told = read_settings(download)
    assert told is not None
    assert told["settings"] == {"objectives": ["conv2_1:3"], "grid": False} | to_dict(
        VisualizeSettings(size=32, steps=4)
    )
    assert [one["objective"] for one in told["pictures"]] == ["conv2_1:3"]  # type: ignore[attr-defined]
    assert answer.startswith("conv2_1:3")
    assert "done" in line


def test_a_class_is_visualized_instead_of_the_channel(client: Client) -> None:
    from vggapps.visualization import visualize_steps

    given = {"size": 32, "steps": 3, "seed": 4}
    made = client.predict("conv2_1", 3, "tench", **given, api_name="/visualize")
    assert_shows(made[2], last(visualize_steps("class:tench", **given)).image())
    assert "tench" in made[1]


def test_pictures_are_compared_as_the_command_compares_them(
    client: Client, pictures: Path, tmp_path: Path, cli: Callable[..., Ran]
) -> None:
    from vggapps.losses._comparison import METRICS

    with Image.open(pictures / "town.png") as image:
        image.resize((192, 192)).save(tmp_path / "a.png")
        image.resize((192, 192)).quantize(16).convert("RGB").save(tmp_path / "b.jpg", quality=20)
    a, b = tmp_path / "a.png", tmp_path / "b.jpg"
    table, heat, download, line = client.predict(file(a), file(b), api_name="/compare")
    values = json.loads(cli("compare", a, b, "--json").out)["values"]
    rows = {title: shown for title, shown, _ in table["data"]}
    assert len(values) >= 4
    assert set(rows) == {METRICS[name].title for name in values}
    for name, value in values.items():
        shown = rows[METRICS[name].title]
        if value is None:
            assert "small" in shown
        else:
            assert float(shown) == pytest.approx(value, abs=0.51 * 10 ** -METRICS[name].digits)
    better = {title: word for title, _, word in table["data"]}
    assert (better["Perceptual (VGG-19)"], better["PSNR (dB)"]) == ("lower", "higher")
    assert grey_levels(heat).shape == (192, 192, 3)
    assert read_settings(download)["map_of"] == "perceptual"  # type: ignore[index]
    assert "yellow" in line


def test_equal_pictures_are_told_as_equal(client: Client, pictures: Path) -> None:
    town = file(pictures / "town.png")
    table, _, _, line = client.predict(town, town, api_name="/compare")
    rows = {title: shown for title, shown, _ in table["data"]}
    assert (float(rows["Perceptual (VGG-19)"]), rows["PSNR (dB)"]) == (0, "inf")
    assert "nan" not in line


def test_pictures_of_two_sizes_are_compared_once_b_is_scaled_to_a(
    client: Client, pictures: Path, tmp_path: Path
) -> None:
    with Image.open(pictures / "town.png") as image:
        image.resize((image.width * 2, image.height * 2), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    town, large = file(pictures / "town.png"), file(tmp_path / "large.png")
    table, heat, *_ = client.predict(town, large, scale_to_a=True, api_name="/compare")
    rows = {title: shown for title, shown, _ in table["data"]}
    assert float(rows["PSNR (dB)"]) > 15
    with Image.open(pictures / "town.png") as image:
        assert grey_levels(heat).shape[:2] == (image.height, image.width)


def test_the_server_stands_where_only_this_machine_reaches_it(site: Served) -> None:
    assert site.url.startswith("http://127.0.0.1:")
    assert site.share is None
