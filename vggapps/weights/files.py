"""Files of weights: read whatever layout people have, written in ours.

Layouts that are recognised, by their keys: ours (``conv1_1.weight``), torchvision's and pytorch-vgg's
(``features.0.weight``, ``classifier.0.weight``), and the installed palette (``block1_conv1_W_q``).
"""

from __future__ import annotations

import json
import logging
import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vggapps.errors import PictureError, WeightsError
from vggapps.files import created
from vggapps.vgg import normalize
from vggapps.vgg.network import VGG
from vggapps.vgg.normalize import Convention
from vggapps.vgg.plan import AVERAGED, PLANS, Head, Plan, Pooled, layers
from vggapps.weights.download import sha256_of
from vggapps.weights.notes import about_head, of_head, read_notes
from vggapps.weights.records import RECORDS, WeightsRecord

log = logging.getLogger(__name__)

# VGG16_Weights.IMAGENET1K_FEATURES.transforms() in torchvision/models/vgg.py.
AMDEGROOT = Convention("amdegroot", (0.48235, 0.45882, 0.40784), (1 / 255,) * 3)
CONVENTIONS = {**normalize.CONVENTIONS, AMDEGROOT.name: AMDEGROOT}
_COUNTER = ".num_batches_tracked"  # younger than torchvision's files, and of no use here
_FULLY_CONNECTED = tuple(f"fc{n}.{leaf}" for n in (6, 7, 8) for leaf in ("weight", "bias"))


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
        names: of the classes, in the order of the outputs; empty where they are ImageNet's.
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


def read(path: Path, plan: Plan, record: WeightsRecord | None = None, convention: str | None = None) -> Contents:
    """Read a file and check that it fits the plan.

    Args:
        path: a .pth, .pt or .safetensors file, or the installed one.
        plan: the network that is wanted.
        record: what is known of the file; None for people's own files.
        convention: of a file that does not say it and that no record knows; ``oxford`` means BGR, 0-255.

    Raises:
        WeightsError: missing, damaged, with code in it, not a VGG, or a VGG that does not fit.
    """
    tensors, notes = open_tensors(path)
    check_plan(path, notes, plan)
    state = _fit(path, tensors, plan)
    if notes:
        about, bgr = notes["convention"], False
    elif known := record or _recognise(path):
        about, bgr = CONVENTIONS[known.convention], known.channels == "bgr"
        if known.layers == "features":
            state = {key: value for key, value in state.items() if not key.startswith("fc")}
    else:
        if convention is None:
            log.warning("%s does not say what its network wants as input: taking torchvision's", path.name)
        about, bgr = CONVENTIONS[convention or "imagenet"], convention == "oxford"
    if bgr:
        state["conv1_1.weight"] = state["conv1_1.weight"].flip(1)
    if record is None:  # those on record have been checked by their digest
        check_finite(path, state)
    head = _carried(state, notes)
    classes = 1000 if head == "none" else state["fc8.weight"].shape[0]
    mapped = path.suffix == ".safetensors" or zipfile.is_zipfile(path)
    return Contents(state, head, classes, about, mapped, **of_head(notes))


def save_weights(vgg: VGG, path: str | Path) -> None:
    """Write a network to a .safetensors file with all that ``load_vgg(name, path)`` needs to know.

    An existing file is replaced at once, never half.

    Raises:
        WeightsError: another suffix, or a folder that can't be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise WeightsError(f"cannot save weights as {path.name}", "use a name that ends in .safetensors")
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


def open_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by the file's own names, and our notes if it has any; nothing in the file is executed.

    Raises:
        WeightsError: missing, damaged, with code in it, or without tensors.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}", "check the file's name") from None
    if start.lstrip().startswith(b"<"):
        raise WeightsError(
            f"{path.name} is a web page, not weights", "download it again, logged in where it asks for it"
        )
    try:
        if path.suffix == ".safetensors":
            with safetensors.safe_open(path, framework="pt") as opened:
                tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
                return tensors, read_notes(opened.metadata())
        # Only zip files can be mapped; most of the published VGGs are older than torch's zip format.
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code is None:
            raise damaged(path) from None
        raise with_code(path, code[1]) from None
    except Exception as error:  # what is damaged may raise anything
        log.debug("%s", error)
        raise damaged(path) from None
    for wrapper in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping):
        raise WeightsError(f"{path.name} holds no weights but a {type(loaded).__name__}", "save a state_dict()")
    return {str(k).removeprefix("module."): v for k, v in loaded.items() if isinstance(v, Tensor)}, {}


def check_plan(path: Path, notes: Mapping[str, Any], plan: Plan) -> None:
    """Raise a WeightsError where a file says that it is another network's."""
    if notes.get("plan", plan.name) != plan.name:  # vgg11 and vgg11_lrn have the same tensors
        raise _other(path, notes["plan"], plan)


def _other(path: Path, held: str, plan: Plan) -> WeightsError:
    return WeightsError(f"{path.name} holds {held}, not {plan.name}", f"ask for the network {held}")


def damaged(path: Path) -> WeightsError:
    """The error for a file that can't be read as weights."""
    return WeightsError(f"{path.name} is cut off or damaged", "get it again")


def with_code(path: Path, name: str) -> WeightsError:
    """The error for a pickle that asks for a name which weights have no need of."""
    return WeightsError(
        f"{path.name} contains code ({name}), not only numbers: not loaded",
        "if it is a whole module that you trust, save its state_dict() and load that",
    )


def _recognise(path: Path) -> WeightsRecord | None:
    """A published file among people's own: by its name, for some tools save it anew, else by its digest."""
    known = [record for record in RECORDS.values() if record.urls]
    by_name = next((record for record in known if record.stored == path.name), None)
    if by_name or path.suffix == ".safetensors":
        return by_name
    digest = sha256_of(path)
    return next((record for record in known if not record.part and digest.startswith(record.sha256)), None)


def _rename(tensors: Mapping[str, Tensor], plan: Plan) -> dict[str, Tensor]:
    """By our names; what is not recognised keeps its own."""
    sequence = [layer.name for layer in layers(plan, "none") if layer.kind != "lrn"]
    # neural-style-pt numbers the linear layers 0, 3, 6 and pytorch-vgg 1, 4, 6: what counts is the order.
    numbers = sorted({int(m[1]) for key in tensors if (m := re.match(r"classifier\.(\d+)\.", key))})
    state = {}
    for key, value in tensors.items():
        where, leaf = key.rpartition(".")[::2]
        room, _, number = where.partition(".")
        if palette := re.fullmatch(r"block(\d)_conv(\d)_(W_q|W_table|b)", key):
            if palette[3] == "W_table":
                continue
            key = f"conv{palette[1]}_{palette[2]}.{'bias' if palette[3] == 'b' else 'weight'}"
            if palette[3] == "W_q":
                table = tensors[f"block{palette[1]}_conv{palette[2]}_W_table"]
                value = torch.from_numpy(table.numpy()[value.numpy()])  # torch's would make a wider index first
        elif room == "features" and number.isdigit() and int(number) < len(sequence):
            key = f"{sequence[int(number)]}.{leaf}"
        elif room == "classifier" and number.isdigit():
            key = f"fc{6 + numbers.index(int(number))}.{leaf}"
        state[key] = value
    return state


def _fit(path: Path, tensors: Mapping[str, Tensor], plan: Plan) -> dict[str, Tensor]:
    """The tensors by our names, if they are this plan's."""
    state = _rename(tensors, plan)
    problem = _misfit(state, plan)
    if not problem:
        return state
    for other in PLANS.values():
        if not _misfit(_rename(tensors, other), other):
            raise _other(path, other.name, plan)
    if not any(re.fullmatch(r"conv\d_\d\.weight", key) for key in state):
        first = ", ".join(list(tensors)[:2]) or "nothing"
        raise WeightsError(f"{path.name} is not a VGG: it holds {first}", "a VGG's first tensor is conv1_1.weight")
    raise WeightsError(f"{path.name} does not fit {plan.name}: {problem}", "give the network that it was made for")


def _misfit(state: Mapping[str, Tensor], plan: Plan) -> str:
    """What is wrong with a state for a plan, in a few words, or nothing. Fully connected layers may lack."""
    full = all(key in state for key in _FULLY_CONNECTED)
    classes = state["fc8.bias"].numel() if full else 1
    with torch.device("meta"):
        wanted = VGG(plan, head="fc" if full else "none", classes=classes).state_dict()
    return misfit(state, {key: tensor for key, tensor in wanted.items() if not key.endswith(_COUNTER)})


def misfit(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Which tensor lacks, has another shape or is one too many, in a few words, or nothing."""
    for key, tensor in wanted.items():
        if key not in state:
            more = sum(k not in state for k in wanted) - 1
            return f"{key} is missing" + (f", and {more} more" if more else "")
        same = tensor.numel() == state[key].numel() if key.startswith("fc") else tensor.shape == state[key].shape
        if not same:
            return f"{key} is {_shape(state[key].shape)}, not {_shape(tensor.shape)}"
    extra = [key for key in state if key not in wanted and not key.startswith("fc") and not key.endswith(_COUNTER)]
    return f"{extra[0]} is one too many" if extra else ""


def check_finite(path: Path, state: Mapping[str, Tensor]) -> None:
    """Raise a WeightsError where a number is infinite or none."""
    for key, value in state.items():
        # A sum keeps what is not finite, and makes no second tensor; of 16-bit numbers it may itself be too large.
        if not value.sum(dtype=torch.float64).isfinite():
            raise WeightsError(
                f"{path.name}: {key} holds numbers that are not finite", "the training that made it has diverged"
            )


def _shape(shape: Iterable[int]) -> str:
    return "×".join(map(str, shape))


def _carried(state: Mapping[str, Tensor], notes: Mapping[str, Any]) -> Head:
    noted = notes.get("head")
    if all(key in state for key in _FULLY_CONNECTED):
        return "conv" if noted == "conv" else "fc"
    return "gap" if noted == "gap" and "fc8.weight" in state else "none"
