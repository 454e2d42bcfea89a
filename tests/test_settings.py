"""Settings: checked once, and the same after a journey through JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggapps.errors import SettingsError
from vggapps.settings import check, from_dict, hints, setting, to_dict


@dataclass(frozen=True)
class Painting:
    strokes: int = setting(10, help="How many.", minimum=1, maximum=100)
    weight: float = setting(1.0, help="How heavy.", minimum=0)
    tilt: float | None = setting(None, help="How crooked.", maximum=90)
    free: float = setting(0.0, help="Anything that is a number.")
    brush: Literal["round", "flat"] = setting("round", help="Which brush.")
    varnish: Literal["matt", "gloss"] | None = setting(None, help="Which varnish.")
    coats: Literal[1, 2, 4] = setting(1, help="How many coats.")
    layers: tuple[str, ...] = setting(("relu1_1",), help="Where.", metavar="NAME,...")
    title: str = setting("", help="Its name.")

    def __post_init__(self) -> None:
        check(self)


paintings = st.builds(
    Painting,
    strokes=st.integers(1, 100),
    weight=st.floats(0, allow_infinity=False),
    tilt=st.none() | st.floats(max_value=90, allow_infinity=False, allow_nan=False),
    free=st.floats(allow_nan=False, allow_infinity=False),
    brush=st.sampled_from(["round", "flat"]),
    varnish=st.sampled_from([None, "matt", "gloss"]),
    coats=st.sampled_from([1, 2, 4]),
    layers=st.lists(st.text(), min_size=1).map(tuple),
    title=st.text(),
)


@given(paintings)
def test_through_json_and_back(painting: Painting) -> None:
    assert from_dict(Painting, json.loads(json.dumps(to_dict(painting)))) == painting


def test_every_field_is_written_and_missing_ones_get_their_default() -> None:
    assert list(to_dict(Painting())) == list(hints(Painting))
    assert from_dict(Painting, {"strokes": 3}) == Painting(strokes=3)


@pytest.mark.parametrize("values", [{"strokes": 1}, {"strokes": 100}, {"weight": 0}, {"tilt": 90}, {"tilt": -1e9}])
def test_bounds_are_inclusive(values: dict[str, Any]) -> None:
    assert to_dict(Painting(**values)).items() >= values.items()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"strokes": 0}, "strokes is 0 (it must be at least 1 and at most 100)"),
        ({"strokes": 101}, "strokes is 101 (it must be at least 1 and at most 100)"),
        ({"weight": -0.1}, "weight is -0.1 (it must be at least 0)"),
        ({"tilt": 91}, "tilt is 91 (it must be at most 90)"),
        ({"weight": math.nan}, "weight is nan (give it a number)"),
        ({"weight": math.inf}, "weight is inf (give it a number)"),
        ({"free": math.nan}, "free is nan (give it a number)"),
        ({"strokes": "many"}, "strokes is 'many' (give it a number)"),
        ({"strokes": True}, "strokes is True (give it a number)"),
        ({"strokes": 2.5}, "strokes is 2.5 (give it a whole number)"),
        (
            {"brush": "rund"},
            "there is no brush 'rund' (did you mean 'round'? the choices are: round, flat)",
        ),
        ({"varnish": "wax"}, "there is no varnish 'wax' (the choices are: matt, gloss)"),
        ({"coats": 3}, "there is no coats '3' (the choices are: 1, 2, 4)"),
    ],
)
def test_what_makes_no_sense(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as error:
        Painting(**values)
    assert str(error.value) == message


def test_a_name_that_is_not_known() -> None:
    with pytest.raises(SettingsError) as error:
        from_dict(Painting, {"stroke": 3})
    assert str(error.value).startswith(
        "there is no setting 'stroke' (did you mean 'strokes'? the choices are: strokes,"
    )
