"""A settings dataclass as controls: names, bounds, helps and defaults stand there, and nowhere else."""

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
from vggapps.web.files import own_kind
from vggapps.web.messages import label, shown_error

S = TypeVar("S", bound=Settings)
Choices = Sequence[str | tuple[str, str]]
_FEW = 4  # so many choices lie open; more fold away


@dataclass(frozen=True)
class Controls(Generic[S]):
    """The controls of some fields of a settings dataclass.

    Text that a visitor types never becomes a file: of fields that are words, only those get a control whose words are
    chosen from a list, or suggested and checked by the tab or its room, or name layers.

    Attributes:
        settings: the dataclass.
        by_name: for a field its control, on the page since :meth:`place`.
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
        """Put controls for these fields here.

        Args:
            names: of fields, in order.
            choices: for fields that are words, what can be chosen; the first stands for None where None is allowed.
            suggestions: the same where any other word may be typed, too: whoever reads it checks it.
            most: for numbers, what this page allows at most.
            words: label and help, where the page offers less than the settings take.
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
            elif _is_word(fields[name], self.settings):
                raise TypeError(f"{name} is a word, and would be typed: name its choices, or leave it out")
            else:
                self.by_name[name] = _control(fields[name], kinds, default, about, (most or {}).get(name))

    def rest(self, *left_out: str) -> list[str]:
        """The fields that have no control yet, and are not left out; words without choices never have one."""
        fields = {field.name: field for field in dataclasses.fields(self.settings)}
        return [
            name
            for name in fields
            if name not in self.by_name and name not in left_out and not _is_word(fields[name], self.settings)
        ]

    def read(self, values: Mapping[str, Any]) -> S:
        """The settings that controls show; other fields keep their defaults.

        Raises:
            SettingsError: what they show makes no sense together.
        """
        given = {}
        for name in self.by_name:
            value, kinds = values[name], _kinds(self.settings, name)
            if value is None and type(None) not in kinds:
                raise SettingsError(f"{argument(name)} is empty", "give it a value")
            if any(get_origin(kind) is tuple for kind in kinds):
                value = tuple(word.strip() for word in (value or "").split(",") if word.strip())
            elif type(None) in kinds and value in ("", None):
                value = None
            elif int in kinds and isinstance(value, float) and value.is_integer():
                value = int(value)
            given[name] = value
        return self.settings(**given)

    def show(self, settings: S) -> tuple[list[Any], list[str]]:
        """What the controls show for these settings, in order; and the labels of those that can't, and keep theirs."""
        values = [_shown(control, getattr(settings, name)) for name, control in self.by_name.items()]
        fit = [_fits(control, value) for control, value in zip(self.by_name.values(), values, strict=True)]
        shown = [value if fits else gr.skip() for value, fits in zip(values, fit, strict=True)]
        return shown, [label(name) for name, fits in zip(self.by_name, fit, strict=True) if not fits]

    def helps(self) -> dict[str, str]:
        """What each field is, for the descriptions of endpoints."""
        return {f.name: f.metadata["help"] for f in dataclasses.fields(self.settings) if f.name in self.by_name}


def _kinds(settings: type[Settings], name: str) -> tuple[Any, ...]:
    hint = hints(settings)[name]
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _is_word(field: dataclasses.Field[Any], settings: type[Settings]) -> bool:
    """Whether what is typed there could name a file: words do, but for lists of layers. What may be a number is one."""
    kinds = _kinds(settings, field.name)
    listed = any(get_origin(kind) is tuple for kind in kinds)
    return (str in kinds and int not in kinds) or (listed and not str(field.metadata["metavar"]).startswith("LAYER"))


def _shown(control: Component, value: Any) -> Any:
    if value is None and isinstance(control, gr.Radio | gr.Dropdown):
        return control.choices[0][1]
    return ", ".join(value) if isinstance(value, tuple) else value


def _fits(control: Component, value: Any) -> bool:
    """Whether a control of this page can show a value that another page, or a command, has used."""
    if isinstance(control, gr.Radio | gr.Dropdown) and not getattr(control, "allow_custom_value", False):
        return value in [choice[1] for choice in control.choices]
    if isinstance(control, gr.Slider | gr.Number) and value is not None:
        low, high = control.minimum, control.maximum
        if isinstance(value, str):
            return False
        return (low is None or value >= low) and (high is None or value <= high)
    return True


def choice(choices: Choices, value: str | None, **about: Any) -> gr.Radio | gr.Dropdown:
    """A control for one of several words, the first of them where none is given; another word is refused in ours.

    Gradio's own refusal lists them all, be they a thousand, and lets None pass.
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
    """A control for a word that is typed, with suggestions; in the API it is plain text, not one of a thousand.

    The first suggestion is taken where there is no value; an empty control reads as "".
    """

    def preprocess(_: gr.Dropdown, typed: Any) -> str:
        return "" if typed is None else str(typed).strip()

    def api_info(_: gr.Dropdown) -> dict[str, Any]:
        return {"type": "string"}

    return own_kind(gr.Dropdown, preprocess=preprocess, api_info=api_info)(
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
    return gr.Number(default, minimum=low, maximum=high, precision=0 if whole else None, **about)


def _value(choice: str | tuple[str, str]) -> str:
    return choice if isinstance(choice, str) else choice[1]
