"""Opening files of weights: tensors by name, whatever people nested them in. Nothing in a file is executed."""

from __future__ import annotations

import logging
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from vggapps.errors import WeightsError
from vggapps.weights._labels import names_from
from vggapps.weights._notes import read_notes

log = logging.getLogger(__name__)

# The first tensor of a network: torchvision's, ours, and that of the installed palette.
_FIRST = re.compile(r"(.*\.|)(?:features\.0\.weight|conv1_1\.weight|block1_conv1_W_q)")
# Names that wrappers put between: DataParallel and DistributedDataParallel, torch.compile, FSDP, checkpointing.
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
# What training keeps beside a network, all of which inference has no use for: the state of optimisers, of schedules,
# of gradient scalers, of random numbers and of Lightning's loops, and the class weights of a loss.
_TRAINING = re.compile(
    r"optim\w*|opt(_state\w*)?|\w*sched\w*|\w*scaler\w*|\w*rng\w*|callbacks|loops|criterion|loss(_fn|_func|_function)?"
)
_COUNTERS = ("num_batches_tracked", "n_averaged")  # BatchNorm's and AveragedModel's; younger than many files
_NAMES = ("class_to_idx", "idx_to_class", "class_names", "classes")
_DEEPEST = 8  # levels of nesting that are looked into


@dataclass(frozen=True)
class Opened:
    """What is in a file.

    Attributes:
        tensors: by the file's own names, without what comes before a network's in them (``state_dict.model.module.``).
            What lies beside the network keeps its whole name.
        notes: what vggapps wrote of them; nothing in other people's files.
        names: of the classes, where a checkpoint has them beside its tensors.
    """

    tensors: dict[str, Tensor]
    notes: dict[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()


def open_weights(path: Path) -> Opened:
    """The tensors of a .safetensors, .pth or .pt file, or of a checkpoint of a training.

    Raises:
        WeightsError: missing, damaged, with code in it, without tensors, or with several networks.
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
                notes = read_notes(opened.metadata())
            return Opened(tensors if notes else _network(path, tensors), notes)
        # Only zip files can be mapped; most of the published VGGs are older than torch's zip format.
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code is None:
            raise damaged(path) from None
        raise with_code(path, code[1]) from None
    except Exception as error:  # what is damaged may raise anything
        log.debug("%s", error)
        raise damaged(path) from None
    if not isinstance(loaded, Mapping):
        raise WeightsError(f"{path.name} holds no weights but a {type(loaded).__name__}", "save a state_dict()")
    return Opened(_network(path, dict(_flat(loaded))), names=_class_names(loaded))


def damaged(path: Path) -> WeightsError:
    """The error for a file that can't be read as weights."""
    return WeightsError(f"{path.name} is cut off or damaged", "get it again")


def with_code(path: Path, name: str) -> WeightsError:
    """The error for a pickle that asks for a name which weights have no need of."""
    return WeightsError(
        f"{path.name} contains code ({name}), not only numbers: not loaded",
        "if you trust it, load it with torch.load(..., weights_only=False), save the network's state_dict() alone, "
        "and give that",
    )


def _flat(value: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """All tensors of nested dictionaries and lists, by their path: ``model.features.0.weight``."""
    if isinstance(value, Tensor):
        yield prefix, value
    elif isinstance(value, Mapping | list | tuple) and depth < _DEEPEST:
        for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key), depth + 1)


def _network(path: Path, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the one network among them, by its own names, and what else is no part of a training's state."""
    named: dict[str, Tensor] = {}
    for key, tensor in found.items():
        parts = [part for part in key.split(".") if part not in _WRAPPERS]
        if parts[-1] in _COUNTERS or any(_TRAINING.fullmatch(part) for part in parts[:-1]):
            continue
        if (short := ".".join(parts)) in named:
            raise WeightsError(f"{path.name} holds {short} twice", "save the state_dict() of one network alone")
        named[short] = tensor
    prefixes = sorted({match[1] for key in named if (match := _FIRST.fullmatch(key))})
    if len(prefixes) > 1:
        listed = ", ".join(prefix.rstrip(".") or "one without a name" for prefix in prefixes)
        raise WeightsError(
            f"{path.name} holds {len(prefixes)} networks: {listed}", "save the state_dict() of the one that is meant"
        )
    prefix = prefixes[0] if prefixes else ""
    state: dict[str, Tensor] = {}
    for key, tensor in named.items():
        if key.startswith(prefix):
            state[key.removeprefix(prefix)] = tensor
        elif tensor.is_floating_point() and tensor.numel() > 1:  # single numbers are an epoch's or a score
            state[key] = tensor
    return state


def _class_names(loaded: Mapping[Any, Any]) -> tuple[str, ...]:
    """Names of classes under the words that people use for them, at the top or among Lightning's hyper-parameters."""
    beside = loaded.get("hyper_parameters")
    for place in (loaded, beside if isinstance(beside, Mapping) else {}):
        for word in _NAMES:
            if word in place:
                try:
                    return names_from(place[word])
                except ValueError:
                    log.debug("%s is no list of names", word)
    return ()
