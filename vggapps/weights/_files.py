"""Files of weights: read whatever layout people have, written in ours."""

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
from vggapps.weights._layout import another, fit
from vggapps.weights._notes import about_head, of_head
from vggapps.weights._opening import open_weights
from vggapps.weights._records import RECORDS, WeightsRecord

log = logging.getLogger(__name__)

# VGG16_Weights.IMAGENET1K_FEATURES.transforms() in torchvision/models/vgg.py.
AMDEGROOT = Convention("amdegroot", (0.48235, 0.45882, 0.40784), (1 / 255,) * 3)
CONVENTIONS = {**normalize.CONVENTIONS, AMDEGROOT.name: AMDEGROOT}


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes:
        state: tensors by our names, ``conv1_1.weight``; conv1_1 takes RGB.
        head: what the weights carry: ``fc``, ``conv``, ``gap`` or ``none``.
        classes: outputs of the last layer; 1000 where there is none.
        convention: of the pictures that the weights want.
        mapped: whether tensors lie in the file itself, not in memory.
        pooled: what a head ``gap`` looks at.
        names: of the classes, in the order of the outputs; empty where the file has none.
        temperature: what the scores are divided by for probabilities that can be believed.
        base: the record whose convolutions a head alone was trained on.
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
        plan: the network that is wanted.
        record: what is known of the file; None for people's own files.
        convention: of a file that does not say it and that no record knows; ``oxford`` means BGR, 0-255.
        head: that is wanted. For ``none``, and for a new ``gap``, the convolutions alone are looked at.

    Raises:
        WeightsError: missing, damaged, with code in it, not a VGG, or a VGG that does not fit.
        SettingsError: a convention, and the file's own is known.
    """
    opened = open_weights(path)
    notes = opened.notes
    check_plan(path, notes, plan)
    known = None if notes else record or _recognise(path)
    if convention and (notes or known):
        raise known_convention(path.name if record is None else record.name, convention)
    carried = notes.get("head")
    whole = head != "none" and (head, carried == "gap") != ("gap", False) and not (known and known.layers == "features")
    about_it = of_head(notes)
    state = fit(path, opened.tensors, plan, whole=whole, pooled=about_it["pooled"] if carried == "gap" else None)
    if notes:
        about, bgr = notes["convention"], False
    elif known:
        about, bgr = CONVENTIONS[known.convention], known.channels == "bgr"
    else:
        if convention is None:
            log.warning(
                "%s does not say what its network wants as input: taking torchvision's, convention imagenet; "
                "that of Caffe and Keras is oxford",
                path.name,
            )
        about, bgr = CONVENTIONS[convention or "imagenet"], convention == "oxford"
    if bgr:
        state["conv1_1.weight"] = state["conv1_1.weight"].flip(1)
    if record is None:  # those on record have been checked by their digest
        check_finite(path, state)
    held: Head = carried if carried in ("conv", "gap") else "fc"
    classes = len(state["fc8.weight"]) if "fc8.weight" in state else 0
    about_it["names"] = _counted(path, about_it["names"] or opened.names, classes, ours=bool(notes))
    mapped = path.suffix == ".safetensors" or zipfile.is_zipfile(path)
    return Contents(state, held if classes else "none", classes or 1000, about, mapped, **about_it)


def known_convention(name: str, convention: str) -> SettingsError:
    """The error for a convention where nothing is left to say."""
    return SettingsError(
        f"the convention {convention} has no effect: what {name} wants as input is known", "leave it out"
    )


def _counted(path: Path, names: tuple[str, ...], classes: int, *, ours: bool) -> tuple[str, ...]:
    """The names, if there is one for each output; other people may have meant something else by them."""
    if not names or not classes or len(names) == classes:
        return names if classes else ()
    problem = f"{path.name} names {len(names)} classes and has {classes} outputs"
    if ours:
        raise WeightsError(problem, "save it again, with a name for each output")
    log.warning("%s: the names are left out", problem)
    return ()


def save_weights(vgg: VGG, path: str | Path) -> None:
    """Write a network to a .safetensors file with all that ``load_vgg(name, path)`` needs to know.

    An existing file is replaced at once, never half.

    Raises:
        WeightsError: another suffix, or a folder that can't be written.
        SettingsError: names of classes that are not as many as the outputs.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise WeightsError(f"cannot save weights as {path.name}", "use a name that ends in .safetensors")
    labels_for(vgg)  # names that do not fit are refused now, not when the file is read
    about = about_head(vgg.pooled, vgg.classes, vgg.temperature)
    notes = {"plan": vgg.plan.name, "head": vgg.head, "convention": asdict(vgg.convention), **about}
    state = {key: value.detach().cpu().contiguous() for key, value in vgg.state_dict().items()}
    write_tensors(path, state, {"vggapps": json.dumps(notes)})


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str] | None = None) -> None:
    """Write a .safetensors file, at once or not at all.

    Raises:
        WeightsError: a folder that can't be written.
    """
    try:
        # To another name first: a network may still be reading from a mapping of the old file.
        with created(path, overwrite=True) as part:
            safetensors.torch.save_file(dict(tensors), part, metadata={"format": "pt", **(notes or {})})
    except PictureError as error:
        raise WeightsError(error.message, error.hint) from None
    except safetensors.SafetensorError as error:
        raise WeightsError(f"cannot write {path}: {error}", "choose a folder that you may write to") from None


def check_plan(path: Path, notes: Mapping[str, Any], plan: Plan) -> None:
    """Raise a WeightsError where a file says that it is another network's."""
    if notes.get("plan", plan.name) != plan.name:  # vgg11 and vgg11_lrn have the same tensors
        raise another(path, notes["plan"], plan)


def _recognise(path: Path) -> WeightsRecord | None:
    """A published file among people's own: by its name, for some tools save it anew, else by its digest."""
    known = [record for record in RECORDS.values() if record.urls]
    by_name = next((record for record in known if record.stored == path.name), None)
    if by_name or path.suffix == ".safetensors":
        return by_name
    digest = sha256_of(path)
    return next((record for record in known if not record.part and digest.startswith(record.sha256)), None)


def check_finite(path: Path, state: Mapping[str, Tensor]) -> None:
    """Raise a WeightsError where a number is infinite or none."""
    for key, value in state.items():
        # A sum keeps what is not finite, and makes no second tensor; of 16-bit numbers it may itself be too large.
        if not value.sum(dtype=torch.float64).isfinite():
            raise WeightsError(
                f"{path.name}: {key} holds numbers that are not finite", "the training that made it has diverged"
            )
