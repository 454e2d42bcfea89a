"""Renaming tensors of known layouts by layer, and checking them against the expected network.

Layouts are recognized by their keys: this package's (``conv1_1.weight``), torchvision's and pytorch-vgg's
(``features.0.weight``, ``classifier.0.weight``), and the installed palette (``block1_conv1_W_q``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from vggapps.errors import WeightsError
from vggapps.vgg._network import VGG
from vggapps.vgg._plan import AVERAGED, PLANS, Head, Plan, Pooled, layers

_COUNTER = ".num_batches_tracked"  # newer than torchvision's files, and not needed
_BODY = re.compile(r"((conv|bn)\d+_\d+|features|block\d_conv\d_\w+)\b.*")
_FULL = ("fc6", "fc7", "fc8")
_ALONE = "head='none' loads the convolutions only"


def fit(
    path: Path, tensors: Mapping[str, Tensor], plan: Plan, *, whole: bool, pooled: Pooled | None = None
) -> dict[str, Tensor]:
    """The tensors by layer, checked against a plan.

    Args:
        path: of the file, for messages.
        tensors: by the file's names.
        plan: the expected network.
        whole: whether every tensor must fit; otherwise the convolutions only.
        pooled: input of the file's head ``gap``; None without such a head.

    Raises:
        WeightsError: not a VGG, another one, or one with unknown layers; names the tensor.
    """
    state = rename_tensors(tensors, plan)
    wanted = _expected(state, plan, pooled if whole else None)
    if problem := mismatch(_body(state), _body(wanted), plan):
        for other in PLANS.values():
            if not mismatch(_body(rename_tensors(tensors, other)), _body(_expected({}, other))):
                raise wrong_network(path, other.name, plan)
        if not any(re.fullmatch(r"conv\d+_\d+\.weight", key) for key in state):
            first = ", ".join(list(tensors)[:2]) or "nothing"
            raise WeightsError(
                f"{path.name} is not a VGG: it holds {first}",
                "the first tensor of a VGG is features.0.weight, as in torchvision, or conv1_1.weight",
            )
        raise WeightsError(
            f"{path.name} does not fit {plan.name}: {problem}", "use it with the network that it was made for"
        )
    if not whole:
        return _body(state)
    linear = [name for name in _linear(state) if name not in _FULL]
    if linear and pooled is None:
        shapes = ", ".join(f"{name} ({_shape(state[f'{name}.weight'].shape)})" for name in _linear(state))
        raise WeightsError(
            f"{path.name} has {len(_linear(state))} linear layers after its convolutions: {shapes}",
            f"{plan.name} has three, torchvision's classifier.0, classifier.3 and classifier.6; {_ALONE}",
        )
    if problem := mismatch(state, wanted, plan):
        hint = f"use a VGG with torchvision's layers; {_ALONE}"
        raise WeightsError(f"{path.name} does not fit {plan.name}: {problem}", hint)
    return state


def wrong_network(path: Path, held: str, plan: Plan) -> WeightsError:
    """The error for a file with the weights of another network."""
    return WeightsError(f"{path.name} holds {held}, not {plan.name}", f"load the network {held}")


def rename_tensors(tensors: Mapping[str, Tensor], plan: Plan) -> dict[str, Tensor]:
    """The tensors by layer; unknown ones keep their names."""
    tensors = _folded(tensors)
    sequence = _sequence(plan)
    # By order, because neural-style-pt numbers the linear layers 0, 3, 6 and pytorch-vgg 1, 4, 6.
    linear = _linear(tensors)
    full = dict(zip(linear, _FULL, strict=True)) if len(linear) == len(_FULL) else {}
    state = {}
    for key, value in tensors.items():
        where, _, leaf = key.rpartition(".")
        room, _, number = where.partition(".")
        if palette := re.fullmatch(r"block(\d)_conv(\d)_(W_q|W_table|b)", key):
            if palette[3] == "W_table":
                continue
            key = f"conv{palette[1]}_{palette[2]}.{'bias' if palette[3] == 'b' else 'weight'}"
            if palette[3] == "W_q":
                table = tensors[f"block{palette[1]}_conv{palette[2]}_W_table"]
                value = torch.from_numpy(table.numpy()[value.numpy()])  # torch would need a wider index
        elif room == "features" and number.isdecimal() and int(number) < len(sequence):
            key = f"{sequence[int(number)]}.{leaf}"
        elif where in full:
            key = f"{full[where]}.{leaf}"
        state[key] = value
    return state


def mismatch(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], plan: Plan | None = None) -> str:
    """Which tensor is missing, has another shape or is unexpected, as text; empty if all fit.

    With a ``plan`` the text includes torchvision's name of the tensor.
    """
    for key, tensor in wanted.items():
        if key not in state:
            more = sum(k not in state for k in wanted) - 1
            return f"{key} is missing" + (f", and {more} more" if more else "") + _torchvision_name(key, plan)
        if not _same_shape(key, state[key], tensor):
            return f"{key} is {_shape(state[key].shape)}, not {_shape(tensor.shape)}" + _torchvision_name(key, plan)
    extra = [key for key in state if key not in wanted and not key.endswith(_COUNTER)]
    others = f", and {len(extra) - 1} more" if extra[1:] else ""
    return f"{extra[0]} is unexpected{others}" if extra else ""


def _same_shape(key: str, held: Tensor, wanted: Tensor) -> bool:
    """Linear layers and their equivalent convolutions count as the same."""
    if key.startswith("fc"):
        return held.numel() == wanted.numel() and held.shape[:1] == wanted.shape[:1]
    return held.shape == wanted.shape


def _expected(state: Mapping[str, Tensor], plan: Plan, pooled: Pooled | None = None) -> dict[str, Tensor]:
    """The tensors of the network on meta, with the head that the state seems to have."""
    head: Head = "gap" if pooled else "fc" if all(f"{name}.weight" in state for name in _FULL) else "none"
    classes = len(state["fc8.weight"]) if "fc8.weight" in state else 1
    with torch.device("meta"):
        network = VGG(plan, head=head, classes=classes, pooled=pooled or AVERAGED)
    return {key: tensor for key, tensor in network.state_dict().items() if not key.endswith(_COUNTER)}


def _body(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the convolutions."""
    return {key: tensor for key, tensor in state.items() if _BODY.fullmatch(key)}


def _linear(tensors: Mapping[str, Tensor]) -> list[str]:
    """The linear layers of a classifier, in order."""
    found = [
        key.removesuffix(".weight")
        for key, tensor in tensors.items()
        if key.endswith(".weight") and re.match(r"(classifier\b|fc\d)", key) and tensor.ndim in (2, 4)
    ]
    if all(re.fullmatch(r"classifier(\.\d+)+", name) for name in found):  # some files are sorted alphabetically
        found.sort(key=lambda name: [int(number) for number in name.split(".")[1:]])
    return found


def _folded(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Four linear layers as three, if the last directly follows another, as after ``classifier.append(...)``.

    Without a nonlinearity between ``classifier.6`` and ``classifier.7`` both are one layer: W2 (W1 x + b1) + b2.
    """
    linear = _linear(tensors)
    if len(linear) != len(_FULL) + 1:
        return tensors
    first, second = linear[-2:]
    (room, _, one), (other, _, two) = first.rpartition("."), second.rpartition(".")
    leaves = [f"{name}.{leaf}" for name in (first, second) for leaf in ("weight", "bias")]
    adjacent = room == other and (one + two).isdecimal() and int(two) == int(one) + 1
    if not adjacent or not all(key in tensors for key in leaves):
        return tensors
    w1, b1, w2, b2 = (tensors[key].double() for key in leaves)
    if w1.ndim != 2 or w2.shape[1:] != w1.shape[:1]:
        return tensors
    dtype = tensors[f"{first}.weight"].dtype
    kept = {key: tensor for key, tensor in tensors.items() if key not in leaves[2:]}
    return kept | {f"{first}.weight": (w2 @ w1).to(dtype), f"{first}.bias": (w2 @ b1 + b2).to(dtype)}


def _sequence(plan: Plan) -> list[str]:
    """The layers in the order of torchvision's ``features``, which have no response normalization."""
    return [layer.name for layer in layers(plan, "none") if layer.kind != "lrn"]


def _torchvision_name(key: str, plan: Plan | None) -> str:
    """Torchvision's name for a tensor."""
    name, _, leaf = key.rpartition(".")
    if plan is None:
        return ""
    known = {ours: f"features.{index}" for index, ours in enumerate(_sequence(plan))}
    known |= {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}
    return f"; torchvision calls it {known[name]}.{leaf}" if name in known else ""


def _shape(shape: Iterable[int]) -> str:
    return "×".join(map(str, shape))
