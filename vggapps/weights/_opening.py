"""Opening files of weights and checkpoints: tensors and metadata. Nothing in a file is executed."""

from __future__ import annotations

import json
import logging
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from vggapps.errors import WeightsError
from vggapps.vgg._normalize import Convention
from vggapps.vgg._plan import AVERAGED, Pooled
from vggapps.weights._labels import parse_class_names

log = logging.getLogger(__name__)

# The first tensor of a network: torchvision's, a VGG's of vggapps, and that of the installed palette.
_FIRST = re.compile(r"(.*\.|)(?:features\.0\.weight|conv1_1\.weight|block1_conv1_W_q)")
# Name parts from DataParallel and DistributedDataParallel, torch.compile, FSDP, activation checkpointing.
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
# Training state, which inference does not need: optimizers, schedulers, gradient scalers, random number generators,
# Lightning's loops, and class weights of a loss.
_TRAINING = re.compile(
    r"optim\w*|opt(_state\w*)?|\w*sched\w*|\w*scaler\w*|\w*rng\w*|callbacks|loops|criterion|loss(_fn|_func|_function)?"
)
_COUNTERS = ("num_batches_tracked", "n_averaged")  # of BatchNorm and AveragedModel; many files predate them
_NAMES = ("class_to_idx", "idx_to_class", "class_names", "classes")
_DEEPEST = 8  # levels of nesting that are searched


@dataclass(frozen=True)
class Opened:
    """The contents of a file.

    Attributes:
        tensors: by the file's names, those of the network without their prefix (``state_dict.model.module.``).
        notes: metadata written by vggapps; empty for other files.
        names: of the classes, if a checkpoint has them.
    """

    tensors: dict[str, Tensor]
    notes: dict[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()


def open_weights(path: Path) -> Opened:
    """Open a .safetensors, .pth or .pt file, or a training checkpoint.

    Raises:
        WeightsError: the file is missing or damaged, or has code, no tensors, or several networks in it.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}", "check the file's name") from None
    if start.lstrip().startswith(b"<"):
        raise WeightsError(
            f"{path.name} is a web page, not weights", "download it again, logged in if the site asks for it"
        )
    try:
        if path.suffix == ".safetensors":
            with safetensors.safe_open(path, framework="pt") as opened:
                tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
                notes = read_notes(opened.metadata())
            return Opened(tensors if notes else _network(path, tensors), notes)
        # Only zip files can be memory-mapped; most published VGGs predate torch's zip format.
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code is None:
            raise damaged_error(path) from None
        raise code_error(path, code[1]) from None
    except Exception as error:  # damaged files raise many types
        log.debug("%s", error)
        raise damaged_error(path) from None
    if not isinstance(loaded, Mapping):
        raise WeightsError(f"{path.name} contains a {type(loaded).__name__}, not weights", "save a state_dict()")
    return Opened(_network(path, dict(_flat(loaded))), names=_class_names(loaded))


def damaged_error(path: Path) -> WeightsError:
    """The error for an unreadable file."""
    return WeightsError(f"{path.name} is truncated or damaged", "get the file again")


def code_error(path: Path, name: str) -> WeightsError:
    """The error for a pickle that refers to anything but tensors."""
    return WeightsError(
        f"{path.name} contains code ({name}), not only tensors, and was not loaded",
        "if you trust it, load it with torch.load(..., weights_only=False), save the network's state_dict() and use "
        "that file",
    )


def _flat(value: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """All tensors of nested dictionaries and lists, by their path: ``model.features.0.weight``."""
    if isinstance(value, Tensor):
        yield prefix, value
    elif isinstance(value, Mapping | list | tuple) and depth < _DEEPEST:
        for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key), depth + 1)


def _network(path: Path, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the one network, by its own names, and other tensors that are not training state."""
    named: dict[str, Tensor] = {}
    for key, tensor in found.items():
        parts = [part for part in key.split(".") if part not in _WRAPPERS]
        if parts[-1] in _COUNTERS or any(_TRAINING.fullmatch(part) for part in parts[:-1]):
            continue
        if (short := ".".join(parts)) in named:
            raise WeightsError(f"{path.name} has {short} twice", "save the state_dict() of one network")
        named[short] = tensor
    prefixes = sorted({match[1] for key in named if (match := _FIRST.fullmatch(key))})
    if len(prefixes) > 1:
        names = ", ".join(prefix.rstrip(".") or "one without a name" for prefix in prefixes)
        raise WeightsError(f"{path.name} has {len(prefixes)} networks: {names}", "save the state_dict() of one of them")
    prefix = prefixes[0] if prefixes else ""
    state: dict[str, Tensor] = {}
    for key, tensor in named.items():
        if key.startswith(prefix):
            state[key.removeprefix(prefix)] = tensor
        elif tensor.is_floating_point() and tensor.numel() > 1:  # scalars are metrics or counters
            state[key] = tensor
    return state


def _class_names(loaded: Mapping[Any, Any]) -> tuple[str, ...]:
    """Names of classes under one of the usual keys, at the top or in Lightning's hyperparameters."""
    hyper = loaded.get("hyper_parameters")
    for place in (loaded, hyper if isinstance(hyper, Mapping) else {}):
        for key in _NAMES:
            if key in place:
                try:
                    return parse_class_names(place[key])
                except ValueError:
                    log.debug("%s is not a list of names", key)
    return ()


def read_notes(metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """The metadata written by vggapps; empty for other files."""
    if not metadata or "vggapps" not in metadata:
        return {}
    notes: dict[str, Any] = json.loads(metadata["vggapps"])
    read_head_notes(notes)  # invalid notes fail here, where the file is reported as damaged
    if "plan" not in notes or "base" in notes:  # a head takes its convention from its base
        return notes
    convention = notes["convention"]  # files of earlier versions state no size: it was the default
    channels = {name: tuple(convention[name]) for name in ("mean", "std")}
    return notes | {"convention": Convention(**{**convention, **channels})}


def head_notes(pooled: Pooled, classes: Sequence[str], temperature: float) -> dict[str, Any]:
    """A head's metadata for JSON, which :func:`read_head_notes` reads."""
    return {"pooled": asdict(pooled), "classes": list(classes), "temperature": temperature}


def read_head_notes(notes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``Contents`` that describe a head."""
    pooled = Pooled(**notes["pooled"]) if "pooled" in notes else AVERAGED
    return {
        "pooled": pooled,
        "names": tuple(notes.get("classes", ())),
        "temperature": float(notes.get("temperature", 1)),
    }
