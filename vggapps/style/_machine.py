"""What of a machine changes a picture's last digits, and so in the end its strokes."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

from vggapps.style._settings import StylizeSettings
from vggapps.vgg._fast import pick_device, pick_dtype


@cache
def processor() -> str:
    """The processor's name as its maker has it; Linux keeps it where ``platform`` does not look."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def machine(settings: StylizeSettings) -> dict[str, Any]:
    """What the same settings give other pictures on: torch's version, processor or GPU, threads, and the dtype.

    Sums in another order round differently, and hundreds of steps make that visible. Threads are told only for the
    processor: a GPU does not divide its work by them.
    """
    device = pick_device(settings.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    threads = {"threads": torch.get_num_threads()} if device.type == "cpu" else {}
    dtype = str(pick_dtype(settings.dtype, device)).removeprefix("torch.")
    return {"torch": torch.__version__, "device": f"{device.type}: {name}", **threads, "dtype": dtype}


def differences(then: Mapping[str, Any], settings: StylizeSettings) -> list[str]:
    """What is otherwise here than where a picture was made, a line each; empty where the same picture comes out.

    Args:
        then: what :func:`machine` gave; empty for a picture of a version that did not record it.
        settings: with which the picture is to be made again.
    """
    words = {"torch": "with torch {}", "device": "on {}", "threads": "with threads: {}", "dtype": "in {}"}
    return [
        f"made {words[key].format(then[key])}, now {now}: expect small differences"
        for key, now in machine(settings).items()
        if key in then and then[key] != now
    ]
