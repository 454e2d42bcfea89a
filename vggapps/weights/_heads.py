"""Files with a head only: its tensors, and the name of the weights on whose features it was trained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from vggapps.errors import SettingsError, WeightsError
from vggapps.vgg._plan import AVERAGED, Head, Plan, Pooled
from vggapps.weights._files import CONVENTIONS, Contents, check_finite, check_plan, write_tensors
from vggapps.weights._labels import labels_of
from vggapps.weights._opening import head_notes, open_weights, read_head_notes
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
    crop: int = 224,
) -> None:
    """Write a head to a .safetensors file, which ``load_vgg(network, path)`` reads.

    Args:
        path: of the file; an existing one is replaced atomically.
        tensors: ``fc8.weight``, ``fc8.bias`` and, with a hidden layer, ``fc7.weight`` and ``fc7.bias``.
        network: name of the plan.
        base: name of the weights that computed the features.
        head: ``gap``, or ``fc`` for another last layer on a full network.
        pooled: input of the head ``gap``.
        classes: names of the outputs; empty for ImageNet's.
        temperature: divisor of the class scores.
        crop: side in pixels of the crops whose features it was trained on.

    Raises:
        SettingsError: another suffix, weights that are not on record, or a wrong number of class names.
        WeightsError: a folder that is not writable.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise SettingsError(f"cannot save a head as {path.name}", "use a name that ends in .safetensors")
    if base not in RECORDS:
        raise SettingsError(f"the weights {base} are not on record", "use features of weights that are")
    labels_of(classes, len(tensors["fc8.weight"]))
    about = head_notes(pooled, classes, temperature)
    notes = {"plan": network, "head": head, "base": base, "crop": crop, **about}
    write_tensors(path, tensors, {"vggapps": json.dumps(notes)})


def read_head(path: Path, plan: Plan) -> Contents | None:
    """The contents of a file with a head only; None for any other file of weights.

    Raises:
        WeightsError: the file is damaged, for another network, or for weights that are not on record.
    """
    if path.suffix != ".safetensors":
        return None
    opened = open_weights(path)
    tensors, notes = opened.tensors, opened.notes
    if "base" not in notes:
        return None
    check_plan(path, notes, plan)
    fields = read_head_notes(notes)
    last = tensors.get("fc8.weight")
    if notes["base"] not in RECORDS or last is None or len(fields["names"]) not in (0, len(last)):
        raise WeightsError(f"{path.name} is not a head of a known network", "make it again", "vggapps probe")
    check_finite(path, tensors)
    convention = CONVENTIONS[RECORDS[notes["base"]].convention]
    crop = notes.get("crop", convention.crop)  # files of earlier versions state none
    convention = replace(convention, crop=crop, resize=round(crop * convention.resize / convention.crop))
    return Contents(tensors, notes["head"], last.shape[0], convention, True, **fields, base=notes["base"])


def network_of(path: Path) -> str | None:
    """The name of the network that a file of vggapps states; None if it states none."""
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    return open_weights(path).notes.get("plan")
