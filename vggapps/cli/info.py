"""``vggapps info``: what this machine has, for a look before a long run and for a report of a defect."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
from typing import Any

import typer

from vggapps import __version__
from vggapps.cli.options import Json, Verbose
from vggapps.errors import WeightsError


def info(as_json: Json = False, verbose: Verbose = 0) -> None:
    """Show versions, devices and their native dtype, memory, and which weights are here.

    [dim]vggapps info[/dim]
    [dim]vggapps info --json | jq .devices[/dim]
    """
    stored = weights()
    wrong = problems() + stored.pop("problems")
    facts = {"versions": versions(), "problems": wrong, "devices": devices(), "memory": memory(), **stored}
    if as_json:
        typer.echo(json.dumps(facts))
        return
    lines = [(name, version or "not installed") for name, version in facts["versions"].items()]
    lines += [("problem", problem) for problem in facts["problems"]]
    for device in facts["devices"]:
        size = f", {_gib(device['bytes'])}" if device["bytes"] else ""
        native = "bfloat16 is native" if device["native_bfloat16"] else "bfloat16 is not native"
        lines += [(device["device"], f"{device['name']}{size}, {native}: --dtype auto is {device['auto']}")]
    here = facts["memory"]
    limit = "" if here["limited_by"] == "the machine" else f", limited by {here['limited_by']}"
    lines += [
        ("threads", f"{here['threads']} of {here['processors']} processors"),
        ("memory", f"{_gib(here['free'])} free of {_gib(here['total'])}{limit}"),
        ("weights in", facts["weights_folder"] or "nowhere"),
        ("weights here", ", ".join(facts["weights"]) or "none (vggapps weights list shows what there is)"),
    ]
    for name, value in lines:
        typer.echo(f"{name + ':':<14}{value}")


def versions() -> dict[str, str | None]:
    """Of what matters in a report, by metadata: a package that is broken has a version, too."""
    found: dict[str, str | None] = {"vggapps": __version__, "python": platform.python_version()}
    for package in ("torch", "torchvision", "kornia", "pillow"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def problems() -> list[str]:
    """A torchvision that was built for another torch: pip can't see it, and its import fails obscurely."""
    try:
        importlib.import_module("torchvision")
    except ImportError:
        return ["torchvision can't be imported: pip install torchvision"]
    except RuntimeError:  # operator torchvision::nms does not exist
        pair = "torchvision {torchvision} does not fit torch {torch}".format_map(versions())
        return [f"{pair}: install a matching pair"]
    return []


def devices() -> list[dict[str, Any]]:
    """The processor and every accelerator, the one that ``auto`` takes first."""
    import torch

    from vggapps.style._machine import processor
    from vggapps.vgg._fast import has_native_bfloat16, pick_device, pick_dtype

    found: list[tuple[str, str, int | None]] = [("cpu", processor(), None)]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        found.append((f"cuda:{index}", properties.name, properties.total_memory))
    if torch.backends.mps.is_available():
        found.append(("mps", platform.processor(), torch.mps.recommended_max_memory()))
    best = pick_device("auto").type
    return [
        {
            "device": name,
            "name": label,
            "bytes": size,
            "native_bfloat16": has_native_bfloat16(torch.device(name)),
            "auto": str(pick_dtype("auto", torch.device(name))).removeprefix("torch."),
        }
        for name, label, size in sorted(found, key=lambda row: not row[0].startswith(best))
    ]


def memory() -> dict[str, int | str | None]:
    """Bytes of memory, what keeps it from being more, and how many processors work."""
    import psutil
    import torch

    from vggapps.style._available import available_memory

    free, limit = available_memory()
    threads = {"threads": torch.get_num_threads(), "processors": os.cpu_count()}
    return {"free": free, "total": psutil.virtual_memory().total, "limited_by": limit, **threads}


def weights() -> dict[str, Any]:
    """Where downloads go (None: nowhere), which weights are on this machine, and what is wrong with that."""
    from vggapps.weights._records import RECORDS
    from vggapps.weights._store import cache_folder, find

    folder, problems = None, []
    try:
        folder = str(cache_folder())
    except WeightsError as error:
        problems = [str(error)]

    def is_here(name: str) -> bool:
        try:
            return find(RECORDS[name]) is not None
        except WeightsError:  # that folder again
            return False

    return {"weights_folder": folder, "weights": [*filter(is_here, RECORDS)], "problems": problems}


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
