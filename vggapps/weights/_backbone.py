"""Loading a network by name, record or file, with the layers and the head that are needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from vggapps.errors import SettingsError, WeightsError, argument, unknown
from vggapps.vgg._device import accelerated
from vggapps.vgg._layers import Padding
from vggapps.vgg._moving import normal_tensors
from vggapps.vgg._names import as_names, unknown_layer
from vggapps.vgg._network import VGG
from vggapps.vgg._notation import is_notation
from vggapps.vgg._plan import PLANS, Plan, get_plan, layer_names, torchvision_names
from vggapps.vgg._pooling import Pooling
from vggapps.weights import _store as store
from vggapps.weights._files import known_convention
from vggapps.weights._heads import network_of
from vggapps.weights._load import load_vgg, name_classes
from vggapps.weights._records import RECORDS, WeightsRecord

Backbone = str | Path | Plan | WeightsRecord | VGG
Needs = Literal["features", "classes"]
AUTO = "auto"
INSTALLED, HEAD = "vgg19-installed", "vgg19-gap"  # available on every machine
_FULL = ("vgg19", "vgg16")  # what `auto` prefers to the installed head, if it is on this machine
_WITH_CLASSES = f"use {HEAD}, which is installed, or vgg16, which is downloaded"


@torch.inference_mode(False)
@normal_tensors()
def load_network(
    backbone: Backbone = AUTO,
    *,
    needs: Needs = "features",
    layers: Iterable[str] = (),
    pooling: Pooling = "max",
    padding: Padding = "zeros",
    convention: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
    device: str | torch.device | None = None,
    dtype: str = "auto",
) -> VGG:
    """Load a frozen network by any of its names.

    >>> load_network(layers=["relu4_2"]).weights_name
    'vgg19-installed'

    Args:
        backbone: one of

            - ``auto``: the installed convolutions of VGG-19. For classes, the full ``vgg19`` or ``vgg16`` if it is on
              this machine, else the installed head ``vgg19-gap``. Only a fully connected layer downloads ``vgg19`` if
              neither full network is on this machine.
            - a network, ``vgg16``: its published weights, for features the convolutions only; downloaded if needed.
              The convolutions of ``vgg19`` are the installed ones.
            - weights, ``vgg16-caffe``: a name from ``vggapps weights list``, or a record.
            - a file written by vggapps, ``mine.safetensors``.
            - any other file with its network, by name or in plan notation (see :func:`~vggapps.vgg.get_plan`):
              ``vgg16=mine.pth``, ``64x2-128x2_bn=mine.pth``.
            - a loaded network. A frozen one is shared, a trainable one is copied.
        needs: ``features``, or ``classes``, which need a head.
        layers: the layers that are needed. Fully connected layers are loaded only if they are listed here.
        pooling: see :func:`~vggapps.weights._load.load_vgg`, as for ``padding``, ``convention`` and ``classes``.
        device: where to run the network, in its fastest memory layout, see :func:`~vggapps.vgg._device.accelerate`;
            None leaves it in float32 on the CPU, and a loaded network as it is.
        dtype: for the device.

    Raises:
        SettingsError: a wrong name, or a setting that would have no effect.
        WeightsError: weights that are not available, damaged or do not fit, or have no head when classes are needed.
    """
    layers = as_names(layers)
    if classes is not None and needs != "classes":
        raise SettingsError(f"{argument('classes', classes)} has no effect: no class is used", "leave it out")
    if isinstance(backbone, nn.Module):
        vgg = _check_loaded(backbone, pooling, padding, convention)
        if vgg.head == "none" and needs == "classes":
            raise _no_classes(vgg.weights_name or vgg.plan.name)
        vgg.check(layers)
    else:
        vgg = _loaded(backbone, needs, layers, pooling, padding, convention)
    if device is not None:
        vgg = accelerated(vgg, device, dtype)
    if classes is not None:
        vgg = vgg.variant()
        name_classes(vgg, classes)
    return vgg


def plan_of(backbone: str) -> Plan | None:
    """The plan of a backbone; None for a file that does not state it.

    Raises:
        SettingsError: there is no network, no weights and no file of this name.
    """
    return _resolve(backbone)[0]


def is_file(backbone: str | Path) -> bool:
    """Whether a backbone is a file, not a network or weights on record."""
    word = file_of(str(backbone))
    return word not in {AUTO, *RECORDS, *PLANS} and (os.path.lexists(_expanded(word)) or _plan_named(word) is None)


def file_of(backbone: str) -> str:
    """The backbone without the prefix ``NAME=``, which names the network of a file."""
    name, equals, file = backbone.partition("=")
    return file if equals and not os.path.lexists(_expanded(backbone)) and _plan_named(name) else backbone


def local_networks(needs: Needs = "features") -> list[str]:
    """The backbones that are on this machine, ``auto`` first."""
    found = [record for record in RECORDS.values() if record.network in PLANS and store.find(record)]
    headed = [record.name for record in found if record.layers != "features"]
    if needs == "classes":
        return [AUTO, *headed]
    return [AUTO, *(r.name for r in found if r.layers != "head" and not (r.part and r.network in headed))]


def _loaded(
    backbone: str | Path | Plan | WeightsRecord,
    needs: Needs,
    layers: tuple[str, ...],
    pooling: Pooling,
    padding: Padding,
    convention: str | None,
) -> VGG:
    if not isinstance(backbone, str | Path | Plan | WeightsRecord):
        raise SettingsError(
            f"the backbone is a {type(backbone).__name__}",
            "give a network's name, a weights record, or a loaded VGG: load_vgg('vgg19', path, head='none')",
        )
    plan, weights = _auto(needs, layers) if backbone == AUTO else _resolve(backbone)
    if plan is None:
        if not Path(weights).exists():
            raise WeightsError(f"there is no file {weights}", "check its name and folder")
        raise SettingsError(f"{weights} does not state its network", f"name it: vgg16={weights}")
    for layer in layers:  # before a download of half a gigabyte
        if layer not in (known := (*layer_names(plan, "fc"), "gap")):
            raise unknown_layer(layer, known, torchvision_names(plan))
    headless = set(layers) <= set(layer_names(plan, "none")) and needs == "features"
    record = RECORDS.get(plan.name if weights == AUTO else str(weights))
    if convention is not None and record:
        raise known_convention(record.name, convention)
    if not headless:
        if weights == AUTO and record:
            weights = record.name
        if record and record.layers == "features":
            raise _no_classes(record.name) if needs == "classes" else _ends_early(record.name, plan, layers)
    vgg = load_vgg(
        plan, weights, head="none" if headless else None, pooling=pooling, padding=padding,
        convention=convention,  # type: ignore[arg-type]
    )  # fmt: skip
    if needs == "classes" and vgg.head == "none":
        raise _no_classes(vgg.weights_name)
    vgg.check(layers)
    return vgg


def _resolve(backbone: str | Path | Plan | WeightsRecord) -> tuple[Plan | None, str | Path]:
    """The plan, if known, and the weights for :func:`~vggapps.weights._load.load_vgg`."""
    if isinstance(backbone, WeightsRecord):
        return get_plan(backbone.network), backbone.name
    if isinstance(backbone, Plan):
        return backbone, AUTO
    if backbone == AUTO:
        return PLANS["vgg19"], INSTALLED
    if backbone in PLANS:
        return PLANS[str(backbone)], AUTO
    if backbone in RECORDS:
        return get_plan(RECORDS[str(backbone)].network), str(backbone)
    path = _expanded(backbone)
    name, equals, file = str(backbone).partition("=")
    if equals and not os.path.lexists(path):
        return get_plan(name), file if file in RECORDS else _expanded(file)
    if path.name == str(backbone) and not path.suffix and not os.path.lexists(path):  # a word, not a path
        if is_notation(path.name) or _plan_named(path.name):  # or by letter, or in capitals
            return get_plan(path.name), AUTO
        raise unknown("network", str(backbone), [AUTO, *RECORDS])
    found = network_of(path)
    return get_plan(found) if found else None, path


def _expanded(backbone: str | Path) -> Path:
    return Path(os.path.expanduser(backbone))  # noqa: PTH111 - pathlib raises for unknown users


def _plan_named(word: str) -> Plan | None:
    with suppress(SettingsError):
        return get_plan(word)
    return None


def _auto(needs: Needs, layers: tuple[str, ...]) -> tuple[Plan, str]:
    """The plan and weights of ``auto``: without a download if possible."""
    wanted, plan = set(layers), PLANS["vgg19"]
    if needs == "features" and wanted.isdisjoint(set(layer_names(plan, "fc")) - set(layer_names(plan, "none"))):
        return plan, INSTALLED
    for name in _FULL:
        if wanted <= set(layer_names(PLANS[name], "fc")) and store.find(RECORDS[name]):
            return PLANS[name], name
    return plan, HEAD if wanted <= set(layer_names(plan, "gap")) else "vgg19"


def _check_loaded(vgg: object, pooling: Pooling, padding: Padding, convention: str | None) -> VGG:
    if not isinstance(vgg, VGG):
        raise SettingsError(f"the backbone is a {type(vgg).__name__}", "give a network's name, or a VGG of vggapps")
    if (pooling, padding, convention) != ("max", "zeros", None):
        raise SettingsError(
            "a loaded network has its own pooling, padding and convention", "set these when it is loaded"
        )
    return vgg if vgg.frozen else deepcopy(vgg).freeze()


def _no_classes(name: str) -> WeightsError:
    return WeightsError(f"{name} has no head and so no classes", _WITH_CLASSES)


def _ends_early(name: str, plan: Plan, layers: tuple[str, ...]) -> WeightsError:
    beyond = next(layer for layer in layers if layer not in layer_names(plan, "none"))
    return WeightsError(f"{name} has no fully connected layers and so no {beyond}", f"use {plan.name}")
