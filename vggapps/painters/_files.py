"""Files of painters: .safetensors with convolutions in 8 bits, about 1 MB."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import safetensors
import torch
from jaxtyping import Float, Int8
from torch import Tensor

from vggapps.errors import WeightsError
from vggapps.image._identity import Identity, identify
from vggapps.painters._network import Painter
from vggapps.weights._files import write_tensors

_SAMPLES_FILE = "painter-samples.safetensors"
SAMPLES = "samples"  # the name of the painter of the sample styles
_LEVELS = 127


def save_painter(painter: Painter, path: str | Path, about: dict[str, Any] | None = None) -> None:
    """Write a painter; it replaces a file atomically.

    Convolutions are rounded to 8 bits with a scale for each output channel, scales and shifts to 16.

    Args:
        painter: to write.
        path: a name that ends in ``.safetensors``.
        about: JSON that is kept with it.

    Raises:
        WeightsError: another suffix, or a folder that is not writable.
    """
    path = Path(path)
    check_name(path)
    tensors: dict[str, Tensor] = {}
    for name, value in painter.state_dict().items():
        value = value.detach().float().cpu().contiguous()  # the training uses channels_last
        if value.ndim == 4:
            tensors[name], tensors[f"{name}_scale"] = _rounded(value)
        else:
            tensors[name] = value.half()
    notes = {"styles": painter.styles, "channels": painter.channels, "blocks": painter.blocks, "about": about or {}}
    write_tensors(path, tensors, {"vggapps-painter": json.dumps(notes)})


def check_name(path: Path) -> None:
    """Raise a WeightsError for a name that does not end in ``.safetensors``."""
    if path.suffix != ".safetensors":
        raise WeightsError(f"cannot save a painter as {path.name}", "use a name that ends in .safetensors")


def load_painter(path: str | Path) -> Painter:
    """Read a painter that :func:`save_painter` wrote, frozen and in evaluation mode, on the CPU.

    Args:
        path: the file; ``samples`` is the painter of the sample styles, which ``apps/train_painter.py`` makes.

    Raises:
        WeightsError: the file is missing, damaged, or not a painter.
    """
    if path == SAMPLES:
        with resources.as_file(resources.files("vggapps") / "data" / _SAMPLES_FILE) as shipped:
            painter = _load(shipped)
            painter.file = Identity(SAMPLES, identify(shipped).sha256)
    else:
        painter = _load(Path(path))
        painter.file = identify(path)
    return painter


def _load(path: Path) -> Painter:
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            notes = json.loads((opened.metadata() or {}).get("vggapps-painter", "null"))
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    except OSError as error:
        reason = error.strerror or ("there is no such file" if not path.exists() else str(error))
        hint = "apps/train_painter.py makes it" if path.name == _SAMPLES_FILE else "check the file's name"
        raise WeightsError(f"cannot read {path}: {reason}", hint) from None
    except (safetensors.SafetensorError, ValueError) as error:
        raise WeightsError(f"{path.name} is damaged: {error}", "train it again, or use another file") from None
    if not notes:
        raise WeightsError(f"{path.name} is not a painter", "use a file that save_painter wrote")
    try:
        painter = Painter(notes["styles"], notes["channels"], notes["blocks"])
        painter.load_state_dict({name: _read(name, tensors) for name in painter.state_dict()})
    except (KeyError, RuntimeError):
        raise WeightsError(f"{path.name} is damaged: it has other tensors than its network", "train it again") from None
    painter.about = notes["about"]
    return painter.requires_grad_(False).eval()


def _rounded(weight: Float[Tensor, "o i h w"]) -> tuple[Int8[Tensor, "o i h w"], Float[Tensor, "o 1 1 1"]]:
    """Whole numbers from -127 to 127, and the scale of each output channel.

    A scale has 8 significant bits, so that its multiples are exact: a painter that was read is written as it was.
    """
    scale = (weight.abs().amax((1, 2, 3), keepdim=True) / _LEVELS).clamp_min(torch.finfo(torch.float32).tiny)
    scale = scale.bfloat16().float()
    return (weight / scale).round().to(torch.int8), scale


def _read(name: str, tensors: Mapping[str, Tensor]) -> Tensor:
    """A tensor of the network from those of a file."""
    value = tensors[name].float()
    return value * tensors[f"{name}_scale"] if value.ndim == 4 else value
