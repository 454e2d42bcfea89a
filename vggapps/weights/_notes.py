"""What files of ours say of the network that their tensors are of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vggapps.vgg._normalize import Convention
from vggapps.vgg._plan import AVERAGED, Pooled


def read_notes(metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """What vggapps wrote; nothing in other people's files."""
    if not metadata or "vggapps" not in metadata:
        return {}
    notes: dict[str, Any] = json.loads(metadata["vggapps"])
    of_head(notes)  # what makes no sense is found here, where a file is known to be damaged
    if "plan" not in notes or "base" in notes:  # no network; a head takes its convolutions' word for the convention
        return notes
    convention = notes["convention"]
    mean, std = tuple(convention["mean"]), tuple(convention["std"])
    return notes | {"convention": Convention(convention["name"], mean, std)}


def about_head(pooled: Pooled, classes: Sequence[str], temperature: float) -> dict[str, Any]:
    """What is to be known of a head besides its tensors, for JSON; :func:`of_head` reads it."""
    return {"pooled": asdict(pooled), "classes": list(classes), "temperature": temperature}


def of_head(notes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``Contents`` that tell of a head, where the file says it."""
    pooled = Pooled(**notes["pooled"]) if "pooled" in notes else AVERAGED
    return {
        "pooled": pooled,
        "names": tuple(notes.get("classes", ())),
        "temperature": float(notes.get("temperature", 1)),
    }
