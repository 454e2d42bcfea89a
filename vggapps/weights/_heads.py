"""Heads alone: a small file with what was trained on a network's features, and the name of that network's weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from vggapps.errors import SettingsError, WeightsError
from vggapps.vgg._plan import AVERAGED, Head, Plan, Pooled
from vggapps.weights._files import CONVENTIONS, Contents, check_finite, check_plan, write_tensors
from vggapps.weights._labels import labels_of
from vggapps.weights._notes import about_head, of_head
from vggapps.weights._opening import open_weights
from vggapps.weights._records import RECORDS


def write_head(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    *,
    network: str,
    base: str,
    head: Head,
    pooled: Pooled = AVERAGED,
    classes: Sequence[str] = (),
    temperature: float = 1.0,
) -> None:
    """Write what comes after a network's features to a .safetensors file, which ``load_vgg(network, path)`` reads.

    Args:
        path: of the file; an existing one is replaced at once, never half.
        tensors: ``fc8.weight``, ``fc8.bias`` and, where there is a hidden layer, ``fc7.weight`` and ``fc7.bias``.
        network: name of the plan.
        base: name of the weights whose features these are.
        head: ``gap``, or ``fc`` for another last layer on a full network.
        pooled: what the head ``gap`` looks at.
        classes: names of the outputs; none where they are ImageNet's.
        temperature: what the scores are to be divided by.

    Raises:
        SettingsError: another suffix, weights that are not on record, which nobody would find again, or names of
            classes that are not as many as the outputs.
        WeightsError: a folder that can't be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise SettingsError(f"cannot save a head as {path.name}", "use a name that ends in .safetensors")
    if base not in RECORDS:
        raise SettingsError(f"the weights {base} are not on record", "make the features with weights that are")
    labels_of(classes, len(tensors["fc8.weight"]))
    about = about_head(pooled, classes, temperature)
    notes = {"plan": network, "head": head, "base": base, **about}
    write_tensors(path, tensors, {"vggapps": json.dumps(notes)})


def read_head(path: Path, plan: Plan) -> Contents | None:
    """What a head's file holds, with no convolutions; None for any other file of weights.

    Raises:
        WeightsError: damaged, of another network, or of weights that are not on record.
    """
    if path.suffix != ".safetensors":
        return None
    opened = open_weights(path)
    tensors, notes = opened.tensors, opened.notes
    if "base" not in notes:
        return None
    check_plan(path, notes, plan)
    about = of_head(notes)
    last = tensors.get("fc8.weight")
    if notes["base"] not in RECORDS or last is None or len(about["names"]) not in (0, len(last)):
        raise WeightsError(f"{path.name} is no head of a known network", "make it again", "vggapps probe")
    check_finite(path, tensors)
    convention = CONVENTIONS[RECORDS[notes["base"]].convention]
    return Contents(tensors, notes["head"], last.shape[0], convention, True, **about, base=notes["base"])


def network_of(path: Path) -> str | None:
    """The name of the network that a file of ours says it is for; None where it does not say."""
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    return open_weights(path).notes.get("plan")
