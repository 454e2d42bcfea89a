"""Settings as controls: what the page shows is what the dataclass says, and no text that is typed becomes a file."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from contextlib import suppress
from types import UnionType
from typing import Any, Literal, Union

import gradio as gr
import pytest
from gradio.components import Component
from hypothesis import given, settings
from hypothesis import strategies as st

from vggapps.classification._settings import ClassifySettings
from vggapps.errors import SettingsError
from vggapps.explanation._settings import ExplainSettings
from vggapps.style._settings import StylizeSettings
from vggapps.visualization._settings import VisualizeSettings
from vggapps.web.controls import Controls

# What is chosen from on the page, where the settings take any word; the first stands for None.
LAYERS = [("the last", ""), "relu4_1", "relu5_1", "relu3_1", "relu2_2"]
CHOICES: dict[type, dict[str, list[Any]]] = {
    StylizeSettings: {"init": ["content", "noise"], "backbone": ["auto", "vgg19", "vgg16"]},
    VisualizeSettings: {"backbone": ["auto", "vgg19", "vgg16"]},
    ExplainSettings: {
        "target": [("the likeliest", ""), "class:tabby", "class:mouse", "class:tray", "class:tub"],
        "layer": LAYERS,
        "backbone": ["auto", "vgg19-gap"],
    },
    ClassifySettings: {},
}
ALL = pytest.mark.parametrize("kind", CHOICES)
FILES = {"backbone"}  # of ClassifySettings: words, too, though a tuple of them


def kinds_of(kind: type, name: str) -> tuple[Any, ...]:
    """The field's type, taken apart: ``int | None`` is both."""
    hint = typing.get_type_hints(kind)[name]
    return typing.get_args(hint) if typing.get_origin(hint) in (Union, UnionType) else (hint,)


def is_word(kind: type, name: str) -> bool:
    """Whether it is nothing but a word; the size of a painting may be one, and has a slider all the same."""
    return str in kinds_of(kind, name) and int not in kinds_of(kind, name)


def words_of(kind: type, name: str) -> list[str]:
    """The field's choices, where it has some."""
    literals = [one for one in kinds_of(kind, name) if typing.get_origin(one) is Literal]
    return [word for one in literals for word in typing.get_args(one)]


def fields_of(kind: Any) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(kind)}


def placed(kind: Any, most: Mapping[str, float] | None = None) -> Controls[Any]:
    """Controls of all fields that can have one."""
    controls = Controls(kind)
    controls.place(*CHOICES[kind], choices=CHOICES[kind])
    controls.place(*controls.rest(*FILES), most=most)
    return controls


def through(controls: Controls[Any], shown: list[Any]) -> dict[str, Any]:
    """What a handler gets when the controls show these values: each has looked at its own."""
    pairs = zip(controls.by_name.items(), shown, strict=True)
    return {name: control.preprocess(control.postprocess(value)) for (name, control), value in pairs}  # type: ignore[attr-defined]


def at_first(control: Component) -> Any:
    return control.get_config()["value"]


@pytest.fixture(params=CHOICES, ids=lambda kind: kind.__name__)
def controls(request: pytest.FixtureRequest) -> Controls[Any]:
    return placed(request.param)


def test_every_field_has_a_control_except_words_that_nobody_gave_choices_for(controls: Controls[Any]) -> None:
    kind = controls.settings
    typed = {name for name in fields_of(kind) if is_word(kind, name)} - set(CHOICES[kind])
    assert set(controls.by_name) == set(fields_of(kind)) - typed - ({"backbone"} if kind is ClassifySettings else set())


def test_each_control_explains_itself_in_the_words_of_its_field(controls: Controls[Any]) -> None:
    for name, control in controls.by_name.items():
        about = fields_of(controls.settings)[name].metadata["help"]
        shown = control.get_config()
        assert shown["label"].lower() == name.replace("_", " ")
        assert shown["label"][0].isupper()
        assert "--" not in shown["info"]
        if "--" not in about:
            assert shown["info"] == about


def test_numbers_have_the_bounds_of_their_field_and_whole_ones_stay_whole(controls: Controls[Any]) -> None:
    numbers = 0
    for name, control in controls.by_name.items():
        kinds = kinds_of(controls.settings, name)
        if int not in kinds and float not in kinds:
            continue
        numbers += 1
        about = fields_of(controls.settings)[name].metadata
        assert isinstance(control, gr.Slider | gr.Number)
        assert (control.minimum, control.maximum) == (about["minimum"], about["maximum"])
        assert control.precision == (None if float in kinds else 0)
    assert numbers >= 1


def test_a_word_where_the_page_has_a_slider_is_told_and_changes_nothing() -> None:
    controls = placed(StylizeSettings)
    shown, unfit = controls.show(StylizeSettings(size="2x", strength=0.7))
    assert unfit == ["Size"]
    values = dict(zip(controls.by_name, shown, strict=True))
    assert "value" not in values["size"]
    assert values["strength"] == 0.7


def test_words_are_chosen_from_those_of_their_type(controls: Controls[Any]) -> None:
    for name, control in controls.by_name.items():
        if words := words_of(controls.settings, name):
            assert isinstance(control, gr.Radio | gr.Dropdown)
            assert [value for _, value in control.choices] == [str(word) for word in words]
            assert not getattr(control, "allow_custom_value", False)


def test_controls_as_they_are_at_first_read_as_the_settings_defaults(controls: Controls[Any]) -> None:
    values = {name: control.preprocess(at_first(control)) for name, control in controls.by_name.items()}  # type: ignore[attr-defined]
    assert controls.read(values) == controls.settings()


def test_a_slider_stands_where_it_can_be_dragged_to(controls: Controls[Any]) -> None:
    for control in controls.by_name.values():
        if isinstance(control, gr.Slider):
            steps = (at_first(control) - control.minimum) / control.step
            assert steps == pytest.approx(round(steps), abs=1e-6)


def test_what_the_page_allows_at_most_narrows_a_number_and_its_default() -> None:
    most = {"size": 256, "steps": 1_000_000, "style_weight": 5}
    controls = placed(StylizeSettings, most)
    size, steps, weight = (controls.by_name[name] for name in most)
    assert (size.maximum, at_first(size)) == (256, 256)  # type: ignore[attr-defined]
    assert (steps.maximum, at_first(steps)) == (100000, "")  # type: ignore[attr-defined]
    assert weight.maximum == 5  # type: ignore[attr-defined]
    for control, beyond in ((size, 257), (weight, 5.5), (size, 31)):
        with pytest.raises(gr.Error):
            control.preprocess(beyond)  # type: ignore[attr-defined]


WORDS = [
    (kind, name) for kind in CHOICES for name in fields_of(kind) if is_word(kind, name) and not words_of(kind, name)
]


@pytest.mark.parametrize(("kind", "name"), WORDS)
def test_a_word_that_would_be_typed_is_refused_and_never_offered(kind: Any, name: str) -> None:
    assert name not in Controls(kind).rest()
    with pytest.raises(TypeError, match=name):
        Controls(kind).place(name)


@pytest.mark.parametrize(
    "kind",
    [
        StylizeSettings,
        VisualizeSettings,
        ExplainSettings,
        ClassifySettings,
    ],
)
def test_text_that_is_typed_names_layers_and_nothing_else(kind: Any) -> None:
    controls = Controls(kind)
    controls.place(*controls.rest())
    for name, control in controls.by_name.items():
        if isinstance(control, gr.Textbox):
            assert fields_of(kind)[name].metadata["metavar"].startswith("LAYER")


def numbers_of(kind: Any, name: str) -> st.SearchStrategy[Any]:
    about = fields_of(kind)[name].metadata
    low, high = about["minimum"], about["maximum"]
    if float in kinds_of(kind, name):
        return st.floats(low, 1e6 if high is None else high, allow_nan=False)
    return st.integers(low, 10**9 if high is None else high)


def some(kind: Any, names: set[str]) -> st.SearchStrategy[Any]:
    """Any settings that make sense, with defaults where there is no control."""
    chosen: dict[str, st.SearchStrategy[Any]] = {}
    for name in names:
        kinds = kinds_of(kind, name)
        if words := words_of(kind, name) or [w if isinstance(w, str) else w[1] for w in CHOICES[kind].get(name, [])]:
            chosen[name] = st.sampled_from([word for word in words if word])
        elif int in kinds or float in kinds:
            chosen[name] = numbers_of(kind, name)
        else:
            chosen[name] = st.lists(st.sampled_from(["relu1_1", "relu2_2", "conv3_1:0.5"]), min_size=1).map(tuple)
        if type(None) in kinds and name not in CHOICES[kind]:
            chosen[name] |= st.none()
    return st.builds(kind, **chosen)


@ALL
def test_what_the_controls_show_of_any_settings_reads_as_those_settings(kind: Any) -> None:
    controls = placed(kind)

    @given(wanted=some(kind, set(controls.by_name)))
    @settings(max_examples=60, deadline=None, derandomize=True)
    def holds(wanted: Any) -> None:
        shown, unfit = controls.show(wanted)
        assert unfit == []
        assert controls.read(through(controls, shown)) == wanted

    holds()


def test_the_first_choice_stands_for_none() -> None:
    controls = placed(ExplainSettings)
    shown, unfit = controls.show(ExplainSettings())
    assert unfit == []
    assert dict(zip(controls.by_name, shown, strict=True))["target"] == ""


def test_an_empty_choice_or_number_is_none_where_none_is_allowed() -> None:
    controls = placed(ExplainSettings)
    values = {name: at_first(control) for name, control in controls.by_name.items()}
    read = controls.read(values | {"target": "", "layer": "", "samples": None})
    assert (read.target, read.layer, read.samples) == (None, None, None)
    assert controls.read(values | {"target": "class:tabby", "samples": 7.0}).samples == 7
    samples: Any = controls.by_name["samples"]  # is shown as empty, where Gradio would show and send 0
    assert (at_first(samples), [samples.preprocess(sent) for sent in ("", None, 7)]) == ("", [None, None, 7])


EMPTIED = [(StylizeSettings, "seed"), (StylizeSettings, "tv_weight"), (ClassifySettings, "top")]


@pytest.mark.parametrize(("kind", "name"), EMPTIED)
def test_a_number_that_somebody_emptied_is_its_default_or_is_told(kind: Any, name: str) -> None:
    controls = placed(kind)
    values = {name: at_first(control) for name, control in controls.by_name.items()}
    with suppress(SettingsError):
        assert controls.read(values | {name: None}) == kind()


def test_layers_are_written_with_commas_and_blanks_do_not_count() -> None:
    controls = placed(StylizeSettings)
    values = {name: at_first(control) for name, control in controls.by_name.items()}
    read = controls.read(values | {"style_layers": " relu1_1:2 ,, relu3_1,", "content_layers": "relu4_2"})
    assert read.style_layers == ("relu1_1:2", "relu3_1")
    assert read.content_layers == ("relu4_2",)


@pytest.mark.parametrize(
    ("fitting", "field", "value", "label"),
    [
        (StylizeSettings(size=256), "size", 512, "Size"),
        (StylizeSettings(size=256), "steps", 401, "Steps"),
        (StylizeSettings(size=256), "init", "mine.png", "Init"),
        (StylizeSettings(size=256), "backbone", "vgg11", "Backbone"),
        (VisualizeSettings(), "size", 512, "Size"),
    ],
)
def test_what_this_page_cannot_show_is_named_and_its_control_stays(
    fitting: Any, field: str, value: Any, label: str
) -> None:
    small = placed(type(fitting), {"size": 256, "steps": 400})
    shown, unfit = small.show(dataclasses.replace(fitting, **{field: value}))
    assert unfit == [label]
    usual, nothing = small.show(fitting)
    assert nothing == []
    for name, one, other in zip(small.by_name, shown, usual, strict=True):
        assert (one == gr.skip()) if name == field else (one == other)


def test_the_helps_are_those_of_the_fields_with_a_control(controls: Controls[Any]) -> None:
    about = {name: fields_of(controls.settings)[name].metadata["help"] for name in controls.by_name}
    assert controls.helps() == about


def test_a_suggested_word_may_be_any_and_is_plain_text_in_the_api() -> None:
    controls = Controls(ExplainSettings)
    controls.place("layer", suggestions={"layer": LAYERS})
    control = controls.by_name["layer"]
    assert control.api_info() == {"type": "string"}
    for typed, read in (
        ("relu5_1", "relu5_1"),
        (" of another network ", "of another network"),
        ("", None),
        (None, None),
    ):
        assert controls.read({"layer": control.preprocess(typed)}).layer == read  # type: ignore[attr-defined]
    assert controls.show(ExplainSettings(layer="of another network")) == (["of another network"], [])
    assert controls.show(ExplainSettings()) == ([""], [])
