"""Every value that a settings object of any room is given is of its type, or refused in one line."""

from __future__ import annotations

import importlib
import json
import math
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as config
from hypothesis import strategies as st

from vggapps.errors import SettingsError
from vggapps.image._recipe import recipe
from vggapps.settings import check, from_dict, hints, setting, to_dict, writable
from vggapps.style._settings import StylizeSettings

ROOT = Path(__file__).parents[1]


def every_settings_class() -> list[type[Any]]:
    """All dataclasses that are declared by `setting`, wherever they are."""
    found = []
    for file in sorted((ROOT / "vggapps").rglob("*.py")):
        if " = setting(" in file.read_text():
            module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
            own = [c for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__]
            found += [c for c in own if is_dataclass(c) and any("help" in f.metadata for f in fields(c))]
    return found


EVERY = every_settings_class()
FIELDS = [(settings, field.name) for settings in EVERY for field in fields(settings)]
numbers = st.integers() | st.floats() | st.sampled_from([2**63 - 1, 2**63, 10**400, -(10**400), 1e308, -0.0])
words = st.text() | st.sampled_from(["auto", "content", "relu1_1", "relu1_1:nan", "../x", "cpu", "\udce9", "\0"])
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_the_rooms_are_there() -> None:
    assert {"StylizeSettings", "DreamSettings", "ExplainSettings", "ClassifySettings", "Limits"} <= {
        settings.__name__ for settings in EVERY
    }


def try_value(settings: type[Any], name: str, value: Any) -> None:
    try:
        made = from_dict(settings, {name: value})
    except SettingsError as error:
        told = error.message
    else:
        told = ""
        assert from_dict(settings, json.loads(json.dumps(to_dict(made), allow_nan=False))) == made
    assert "\n" not in told
    assert len(told) < 200


@config(max_examples=300, deadline=None)
@given(field=st.sampled_from(FIELDS), value=values)
def test_any_value_gives_settings_that_can_be_written_or_a_settings_error(
    field: tuple[type[Any], str], value: Any
) -> None:
    try_value(*field, value)


@pytest.mark.parametrize(
    "value", [None, True, "", [], {}, 3.0, -1, 10**400, math.nan, ["a", 3], [[]], 10**5000], ids=type
)
def test_every_field_of_every_room_takes_or_refuses(value: Any) -> None:
    for settings, name in FIELDS:
        try_value(settings, name, value)


@dataclass(frozen=True)
class Kinds:
    whole: int = setting(1, help="A whole number.", minimum=0)
    real: float = setting(1.0, help="A number.")
    maybe: float | None = setting(None, help="A number, or nothing.")
    switch: bool = setting(False, help="Yes or no.")
    name: str = setting("", help="Text.")
    names: tuple[str, ...] = setting(("a",), help="Texts.")
    side: int | str = setting(1, help="A number, or a word that means one.", minimum=1)

    def __post_init__(self) -> None:
        check(self)


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("whole", 3.0, 3),
        ("whole", np.int64(3), 3),
        ("whole", np.uint8(3), 3),
        ("whole", np.array(3), 3),
        ("whole", torch.tensor(3), 3),
        ("whole", np.float32(3), 3),
        ("whole", Fraction(3), 3),
        ("real", np.float32(0.5), 0.5),
        ("real", np.float64(0.5), 0.5),
        ("real", Fraction(1, 2), 0.5),
        ("real", np.int16(2), 2),
        ("maybe", None, None),
        ("switch", np.True_, True),
        ("name", Path("folder") / "start.jpg", str(Path("folder") / "start.jpg")),
        ("name", np.str_("text"), "text"),
        ("names", ["a", "b"], ("a", "b")),
        ("side", "original", "original"),
        ("side", np.int32(64), 64),
    ],
)
def test_what_means_the_same_is_kept_as_pythons_own(name: str, value: Any, kept: Any) -> None:
    made = Kinds(**{name: value})
    assert getattr(made, name) == kept
    assert type(getattr(made, name)) is type(kept)
    json.dumps(to_dict(made))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("whole", None, "whole is None (give it a number)"),
        ("whole", 2.5, "whole is 2.5 (give it a whole number)"),
        ("whole", True, "whole is True (give it a number)"),
        ("whole", 1j, "whole is 1j (give it a number)"),
        ("whole", [3], "whole is [3] (give it a number)"),
        ("whole", 2**63, f"whole is {2**63} (it must be at most {2**63 - 1})"),
        ("whole", np.array([1, 2]), "whole is array([1, 2]) (give it a number)"),
        ("real", np.float32("nan"), "real is nan (give it a number)"),
        ("real", math.inf, "real is inf (give it a number)"),
        ("real", "0.5", "real is '0.5' (give it a number)"),
        ("maybe", "none", "maybe is 'none' (give it a number)"),
        ("switch", 1, "switch is 1 (give it true or false)"),
        ("switch", "yes", "switch is 'yes' (give it true or false)"),
        ("name", 7, "name is 7 (give it text)"),
        ("name", None, "name is None (give it text)"),
        ("names", "relu1_1", "names is 'relu1_1' (give it a list of one name or more)"),
        ("names", [], "names is [] (give it a list of one name or more)"),
        ("names", [1], "names is [1] (give it a list of one name or more)"),
        ("side", 0, "side is 0 (it must be at least 1)"),
        ("side", [], "side is [] (give it a number or text)"),
    ],
)
def test_the_wrong_type_is_told_with_what_is_wanted(name: str, value: Any, message: str) -> None:
    with pytest.raises(SettingsError) as error:
        Kinds(**{name: value})
    assert str(error.value) == message


@pytest.mark.parametrize(("settings", "name"), [(s, n) for s, n in FIELDS if n == "seed"])
def test_seeds_are_those_that_generators_take(settings: type[Any], name: str) -> None:
    assert hints(settings)[name] is int
    torch.Generator().manual_seed(settings(seed=2**63 - 1).seed)
    for seed in (-1, 2**63, 10**30, "1", 1.5, None):
        with pytest.raises(SettingsError, match=r"seed is .* \("):
            settings(seed=seed)


@given(st.binary(min_size=1))
def test_any_file_name_can_be_written(name: bytes) -> None:
    text = name.decode("utf-8", "surrogateescape")
    assert writable(text).encode().decode() == writable(text)
    if text.isascii():
        assert writable(text) == text


def test_files_in_settings_are_recorded_writably_and_without_folders() -> None:
    for init, kept in (("/home/me/caf\udce9.jpg", r"caf\xe9.jpg"), ("noise", "noise")):
        made = recipe("stylize", StylizeSettings(init=init, backbone="vgg16=a/b.pth"), {})
        assert (made["settings"]["init"], made["settings"]["backbone"]) == (kept, "vgg16=b.pth")
    assert writable("half a pair: \ud800") == r"half a pair: \ud800"
