"""Controls for a settings dataclass, which defines their names, bounds, helps and defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass
from types import UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin

import gradio as gr
from gradio.components import Component

from vggapps.errors import SettingsError, argument, unknown
from vggapps.settings import Settings, hints
from vggapps.web.files import subclass
from vggapps.web.messages import label, shown_error

S = TypeVar("S", bound=Settings)
Choices = Sequence[str | tuple[str, str]]
_FEW = 4  # up to this many choices are radio buttons, more are a dropdown


@dataclass(frozen=True)
class Controls(Generic[S]):
    """The controls of some fields of a settings dataclass.

    Typed text must never name a file on the server: a text field gets a control only if its values are chosen from a
    list, suggested and checked elsewhere, or are names of layers.

    Attributes:
        settings: the dataclass.
        by_name: the controls that :meth:`place` has added, by field.
    """

    settings: type[S]
    by_name: dict[str, Component] = dataclasses.field(default_factory=dict)

    def place(
        self,
        *names: str,
        choices: Mapping[str, Choices] | None = None,
        suggestions: Mapping[str, Choices] | None = None,
        most: Mapping[str, float] | None = None,
        words: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        """Add controls for fields.

        Args:
            names: the fields, in order.
            choices: the choices of text fields; the first stands for None if None is allowed.
            suggestions: likewise, but other text may be typed, which the tab must check.
            most: the page's limits of numbers.
            words: label and help, where those of the settings do not fit the page.
        """
        fields = {field.name: field for field in dataclasses.fields(self.settings)}
        for name in names:
            kinds = _kinds(self.settings, name)
            title, help = (words or {}).get(name, (label(name), fields[name].metadata["help"]))
            about = {"label": title, "info": help, "interactive": True}
            offered = [str(one) for kind in kinds if get_origin(kind) is Literal for one in get_args(kind)]
            default: Any = None if fields[name].default is MISSING else fields[name].default
            if suggested := list((suggestions or {}).get(name, ())):
                self.by_name[name] = word(suggested, default, **about)
            elif chosen := list((choices or {}).get(name, offered)):
                self.by_name[name] = choice(chosen, default, **about)
            elif _is_free_text(fields[name], self.settings):
                raise TypeError(f"{name} is free text: give its choices, or leave it out")
            else:
                self.by_name[name] = _control(fields[name], kinds, default, about, (most or {}).get(name))

    def rest(self, *left_out: str) -> list[str]:
        """The fields that have no control yet, except those given and text fields."""
        fields = {field.name: field for field in dataclasses.fields(self.settings)}
        return [
            name
            for name in fields
            if name not in self.by_name and name not in left_out and not _is_free_text(fields[name], self.settings)
        ]

    def read(self, values: Mapping[str, Any]) -> S:
        """The settings from the controls' values; other fields keep their defaults.

        Raises:
            SettingsError: the values are invalid.
        """
        given = {}
        for name in self.by_name:
            value, kinds = values[name], _kinds(self.settings, name)
            if value is None and type(None) not in kinds:
                raise SettingsError(f"{argument(name)} is empty", "enter a value")
            if any(get_origin(kind) is tuple for kind in kinds):
                value = tuple(word.strip() for word in (value or "").split(",") if word.strip())
            elif type(None) in kinds and value in ("", None):
                value = None
            elif int in kinds and isinstance(value, float) and value.is_integer():
                value = int(value)
            given[name] = value
        return self.settings(**given)

    def show(self, settings: S) -> tuple[list[Any], list[str]]:
        """Updates of the controls, in order, and the labels of those that can't show their value and stay unchanged."""
        values = [_shown(control, getattr(settings, name)) for name, control in self.by_name.items()]
        fit = [_fits(control, value) for control, value in zip(self.by_name.values(), values, strict=True)]
        shown = [value if fits else gr.skip() for value, fits in zip(values, fit, strict=True)]
        return shown, [label(name) for name, fits in zip(self.by_name, fit, strict=True) if not fits]

    def helps(self) -> dict[str, str]:
        """Descriptions of the fields, for the API."""
        return {f.name: f.metadata["help"] for f in dataclasses.fields(self.settings) if f.name in self.by_name}


def _kinds(settings: type[Settings], name: str) -> tuple[Any, ...]:
    hint = hints(settings)[name]
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _is_free_text(field: dataclasses.Field[Any], settings: type[Settings]) -> bool:
    """Whether the field is text that could name a file: not if it accepts numbers, nor if it lists layers."""
    kinds = _kinds(settings, field.name)
    listed = any(get_origin(kind) is tuple for kind in kinds)
    return (str in kinds and int not in kinds) or (listed and not str(field.metadata["metavar"]).startswith("LAYER"))


def _shown(control: Component, value: Any) -> Any:
    if value is None and isinstance(control, gr.Radio | gr.Dropdown):
        return control.choices[0][1]
    return ", ".join(value) if isinstance(value, tuple) else value


def _fits(control: Component, value: Any) -> bool:
    """Whether a control can show a value, which may come from another page or a command."""
    if isinstance(control, gr.Radio | gr.Dropdown) and not getattr(control, "allow_custom_value", False):
        return value in [choice[1] for choice in control.choices]
    if isinstance(control, gr.Slider | gr.Number) and value is not None:
        low, high = control.minimum, control.maximum
        if isinstance(value, str):
            return False
        return (low is None or value >= low) and (high is None or value <= high)
    return True


def choice(choices: Choices, value: str | None, **about: Any) -> gr.Radio | gr.Dropdown:
    """Radio buttons or a dropdown, by default with the first choice; other values are rejected with our own error.

    Gradio's error would list all choices, even thousands, and it accepts None.
    """
    chosen = _value(choices[0]) if value is None else value
    control = gr.Radio if len(choices) <= _FEW else gr.Dropdown
    component: gr.Radio | gr.Dropdown = control(list(choices), value=chosen, **about)

    def preprocess(word: Any) -> str:
        words = [value for _, value in component.choices]
        if word not in words:
            raise shown_error(unknown(str(component.label).lower(), str(word), map(str, words)))
        return str(word)

    component.preprocess = preprocess  # type: ignore[method-assign,assignment]
    return component


def word(suggestions: Choices, value: str | None, **about: Any) -> gr.Dropdown:
    """A dropdown with suggestions that accepts any text; the API declares it as a string.

    Its value is the first suggestion by default; an empty control returns "".
    """

    def preprocess(_: gr.Dropdown, typed: Any) -> str:
        return "" if typed is None else str(typed).strip()

    def api_info(_: gr.Dropdown) -> dict[str, Any]:
        return {"type": "string"}

    return subclass(gr.Dropdown, preprocess=preprocess, api_info=api_info)(
        list(suggestions), value=_value(suggestions[0]) if value is None else value, allow_custom_value=True, **about
    )


def _control(
    field: dataclasses.Field[Any], kinds: tuple[Any, ...], default: Any, about: dict[str, Any], most: float | None
) -> Component:
    low, high = field.metadata["minimum"], field.metadata["maximum"]
    if most is not None:
        high = most if high is None else min(high, most)
    if any(get_origin(kind) is tuple for kind in kinds):
        return gr.Textbox(", ".join(default or ()), placeholder=field.metadata["metavar"], max_length=500, **about)
    whole = float not in kinds
    if default is not None and low is not None and high is not None:
        step = (32 if high >= 512 and low >= 16 else 1) if whole else 0.05
        return gr.Slider(low, high, min(default, high), step=step, precision=0 if whole else None, **about)
    about |= {"minimum": low, "maximum": high, "precision": 0 if whole else None}
    return (
        _OptionalNumber(default, placeholder="automatic", **about)
        if type(None) in kinds
        else gr.Number(default, **about)
    )


def _without_text(control: gr.Number, payload: float | str | None) -> float | int | None:
    return None if payload == "" else gr.Number.preprocess(control, payload)  # type: ignore[arg-type]


def _as_text(control: gr.Number, value: float | int | None) -> float | int | str | None:
    return "" if value is None else gr.Number.postprocess(control, value)


# A number that may be empty: Gradio 6.31 makes 0 of None as soon as it is shown, and keeps "".
_OptionalNumber = subclass(gr.Number, preprocess=_without_text, postprocess=_as_text)


def _value(choice: str | tuple[str, str]) -> str:
    return choice if isinstance(choice, str) else choice[1]
