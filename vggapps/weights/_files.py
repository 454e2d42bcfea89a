"""Reading files of weights in any known layout, and writing .safetensors files."""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vggapps._files import created
from vggapps.errors import PictureError, SettingsError, WeightsError
from vggapps.vgg import _normalize as normalize
from vggapps.vgg._network import VGG
from vggapps.vgg._normalize import Convention
from vggapps.vgg._plan import AVERAGED, Head, InputName, Plan, Pooled
from vggapps.weights._download import sha256_of
from vggapps.weights._labels import labels_for
from vggapps.weights._layout import fit, wrong_network
from vggapps.weights._opening import head_notes, open_weights, read_head_notes
from vggapps.weights._records import RECORDS, WeightsRecord

log = logging.getLogger(__name__)

# VGG16_Weights.IMAGENET1K_FEATURES.transforms() in torchvision/models/vgg.py.
AMDEGROOT = Convention("amdegroot", (0.48235, 0.45882, 0.40784), (1 / 255,) * 3)
CONVENTIONS = {**normalize.CONVENTIONS, AMDEGROOT.name: AMDEGROOT}


@dataclass(frozen=True)
class Contents:
    """The contents of a file of weights.

    Attributes:
        state: tensors by layer, ``conv1_1.weight``; conv1_1 takes RGB.
        head: ``fc``, ``conv``, ``gap`` or ``none``.
        classes: outputs of the last layer; 1000 without a head.
        convention: the input convention of the weights.
        mapped: whether tensors are memory-mapped.
        pooled: input of a head ``gap``.
        names: of the classes, in the order of the outputs; empty if the file has none.
        temperature: divisor of the class scores that calibrates the probabilities.
        base: for a file with a head only, the record whose convolutions it was trained on.
    """

    state: dict[str, Tensor]
    head: Head
    classes: int
    convention: Convention
    mapped: bool
    pooled: Pooled = AVERAGED
    names: tuple[str, ...] = ()
    temperature: float = 1.0
    base: str = ""


def read(
    path: Path,
    plan: Plan,
    record: WeightsRecord | None = None,
    convention: InputName | None = None,
    head: Head | None = None,
) -> Contents:
    """Read a file and check that it fits the plan.

    Args:
        path: a .pth, .pt or .safetensors file, or the installed one.
        plan: the expected network.
        record: of the file; None for a file that is not on record.
        convention: of a file that does not state one and is not on record; ``oxford`` means BGR, 0-255.
        head: the expected head. For ``none``, and for a new ``gap``, only the convolutions are checked.

    Raises:
        WeightsError: the file is missing, damaged, has code in it, is not a VGG, or does not fit the plan.
        SettingsError: a convention for a file whose convention is known.
    """
    opened = open_weights(path)
    notes = opened.notes
    check_plan(path, notes, plan)
    known = None if notes else record or _recognise(path)
    if convention and (notes or known):
        raise known_convention(path.name if record is None else record.name, convention)
    carried = notes.get("head")
    whole = head != "none" and (head, carried == "gap") != ("gap", False) and not (known and known.layers == "features")
    fields = read_head_notes(notes)
    state = fit(path, opened.tensors, plan, whole=whole, pooled=fields["pooled"] if carried == "gap" else None)
    if notes:
        used, bgr = notes["convention"], False
    elif known:
        used, bgr = CONVENTIONS[known.convention], known.channels == "bgr"
    else:
        if convention is None:
            log.warning(
                "%s does not state its input convention: using imagenet, which is torchvision's; oxford is that of "
                "Caffe and Keras",
                path.name,
            )
        used, bgr = CONVENTIONS[convention or "imagenet"], convention == "oxford"
    if bgr:
        state["conv1_1.weight"] = state["conv1_1.weight"].flip(1)
    if record is None:  # files on record are checked by their digest
        check_finite(path, state)
    held: Head = carried if carried in ("conv", "gap") else "fc"
    classes = len(state["fc8.weight"]) if "fc8.weight" in state else 0
    fields["names"] = _checked_names(path, fields["names"] or opened.names, classes, strict=bool(notes))
    mapped = path.suffix == ".safetensors" or zipfile.is_zipfile(path)
    return Contents(state, held if classes else "none", classes or 1000, used, mapped, **fields)


def known_convention(name: str, convention: str) -> SettingsError:
    """The error for a convention of weights whose convention is known."""
    return SettingsError(f"the convention {convention} has no effect: that of {name} is known", "leave it out")


def _checked_names(path: Path, names: tuple[str, ...], classes: int, *, strict: bool) -> tuple[str, ...]:
    """The names if there is one for each output; else an error, or a warning for a file of another program."""
    if not names or not classes or len(names) == classes:
        return names if classes else ()
    problem = f"{path.name} names {len(names)} classes and has {classes} outputs"
    if strict:
        raise WeightsError(problem, "save it again, with a name for each output")
    log.warning("%s: the names are ignored", problem)
    return ()


def save_weights(vgg: VGG, path: str | Path) -> None:
    """Write a network to a .safetensors file that ``load_vgg(name, path)`` reads; it replaces a file atomically.

    Raises:
        WeightsError: another suffix, or a folder that is not writable.
        SettingsError: the number of class names is not the number of outputs.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise WeightsError(f"cannot save weights as {path.name}", "use a name that ends in .safetensors")
    labels_for(vgg)  # raises an error if the names do not fit
    about = head_notes(vgg.pooled, vgg.classes, vgg.temperature)
    notes = {"plan": vgg.plan.name, "head": vgg.head, "convention": asdict(vgg.convention), **about}
    state = {key: value.detach().cpu().contiguous() for key, value in vgg.state_dict().items()}
    write_tensors(path, state, {"vggapps": json.dumps(notes)})


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str] | None = None) -> None:
    """Write a .safetensors file atomically; raises a WeightsError if the folder is not writable."""
    try:
        # Under another name first, because a network may have the old file memory-mapped.
        with created(path, overwrite=True) as part:
            part.touch()  # with the permissions of any new file; safetensors lets only the owner read its files
            permissions = part.stat().st_mode
            safetensors.torch.save_file(dict(tensors), part, metadata={"format": "pt", **(notes or {})})
            part.chmod(permissions)
    except PictureError as error:
        raise WeightsError(error.message, error.hint) from None
    except safetensors.SafetensorError as error:
        raise WeightsError(f"cannot write {path}: {error}", "choose a writable folder") from None


def check_plan(path: Path, notes: Mapping[str, Any], plan: Plan) -> None:
    """Raise a WeightsError if a file states another network."""
    if notes.get("plan", plan.name) != plan.name:  # vgg11 and vgg11_lrn have the same tensors
        raise wrong_network(path, notes["plan"], plan)


def _recognise(path: Path) -> WeightsRecord | None:
    """The record of a published file: by its name, because some tools save it again, else by its digest."""
    known = [record for record in RECORDS.values() if record.urls]
    by_name = next((record for record in known if record.stored == path.name), None)
    if by_name or path.suffix == ".safetensors":
        return by_name
    digest = sha256_of(path)
    return next((record for record in known if not record.part and digest.startswith(record.sha256)), None)


def check_finite(path: Path, state: Mapping[str, Tensor]) -> None:
    """Raise a WeightsError for infinite or NaN values."""
    for key, value in state.items():
        # A sum propagates them without a second tensor; in float64, because a sum of 16-bit numbers may overflow.
        if not value.sum(dtype=torch.float64).isfinite():
            raise WeightsError(
                f"{path.name}: {key} has values that are not finite", "the training of these weights diverged"
            )
