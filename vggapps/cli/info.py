"""``vggapps info``: versions, devices, memory and weights, for bug reports."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
from contextlib import suppress
from typing import Any

import typer

from vggapps import __version__
from vggapps.cli.options import Json, Verbose
from vggapps.errors import WeightsError


def info(as_json: Json = False, verbose: Verbose = 0) -> None:
    """Show versions, devices with their native dtype, memory, and the weights on this machine.

    [dim]vggapps info[/dim]
    [dim]vggapps info --json | jq .devices[/dim]
    """
    facts = {"versions": versions(), "devices": devices(), "memory": memory(), **weights()}
    facts["problems"] = problems() + facts["problems"]
    if as_json:
        typer.echo(json.dumps(facts))
        return
    lines = [(name, version or "not installed") for name, version in facts["versions"].items()]
    lines += [("problem", problem) for problem in facts["problems"]]
    for device in facts["devices"]:
        size = f", {_gib(device['bytes'])}" if device["bytes"] else ""
        native = f"bfloat16 is {'' if device['native_bfloat16'] else 'not '}native"
        lines += [(device["device"], f"{device['name']}{size}, {native}: --dtype auto is {device['auto']}")]
    ram = facts["memory"]
    limit = "" if ram["limited_by"] == "the machine" else f", limited by {ram['limited_by']}"
    lines += [
        ("threads", f"{ram['threads']} of {ram['processors']} processors"),
        ("memory", f"{_gib(ram['free'])} free of {_gib(ram['total'])}{limit}"),
        ("weights in", facts["weights_folder"] or "no folder"),
        ("weights here", ", ".join(facts["weights"]) or "none (see vggapps weights list)"),
    ]
    typer.echo("\n".join(f"{name + ':':<14}{value}" for name, value in lines))


def versions() -> dict[str, str | None]:
    """Versions from package metadata, which works for broken packages, too; None for packages not installed."""
    packages = dict.fromkeys(("torch", "torchvision", "kornia", "pillow"))
    found: dict[str, str | None] = {"vggapps": __version__, "python": platform.python_version(), **packages}
    for package in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def problems() -> list[str]:
    """Detects a torchvision that was built for another torch: pip allows it, and its import fails obscurely."""
    try:
        importlib.import_module("torchvision")
    except ImportError:
        return ["torchvision can't be imported: pip install torchvision"]
    except RuntimeError:  # operator torchvision::nms does not exist
        return ["torchvision {torchvision} does not fit torch {torch}: install a matching pair".format_map(versions())]
    return []


def devices() -> list[dict[str, Any]]:
    """The processor and every accelerator, beginning with the device that ``auto`` selects."""
    import torch

    from vggapps.style._recipe import processor
    from vggapps.vgg._device import has_native_bfloat16, pick_device, pick_dtype

    found: list[tuple[str, str, int | None]] = [("cpu", processor(), None)]
    gpus = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    found += [(f"cuda:{index}", gpu.name, gpu.total_memory) for index, gpu in enumerate(gpus)]
    if torch.backends.mps.is_available():
        found.append(("mps", platform.processor(), torch.mps.recommended_max_memory()))

    def facts(name: str, label: str, size: int | None) -> dict[str, Any]:
        native, auto = has_native_bfloat16(torch.device(name)), str(pick_dtype("auto", torch.device(name)))
        dtypes = {"native_bfloat16": native, "auto": auto.removeprefix("torch.")}
        return {"device": name, "name": label, "bytes": size, **dtypes}

    best = pick_device("auto").type
    return [facts(*row) for row in sorted(found, key=lambda row: not row[0].startswith(best))]


def memory() -> dict[str, int | str | None]:
    """Bytes of memory, what limits it, and the numbers of threads and processors."""
    import psutil
    import torch

    from vggapps._memory import available_memory

    free, limit = available_memory()
    cores = {"threads": torch.get_num_threads(), "processors": os.cpu_count()}
    return {"free": free, "total": psutil.virtual_memory().total, "limited_by": limit, **cores}


def weights() -> dict[str, Any]:
    """The cache folder, the weights on this machine, and problems with the folder."""
    from vggapps.weights._records import RECORDS
    from vggapps.weights._store import cache_folder, find

    folder, problems, here = None, [], []
    try:
        folder = str(cache_folder())
    except WeightsError as error:
        problems = [str(error)]
    for name, record in RECORDS.items():
        with suppress(WeightsError):  # the cache folder again; installed weights need none
            here += [name] * (find(record) is not None)
    return {"weights_folder": folder, "weights": here, "problems": problems}


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
