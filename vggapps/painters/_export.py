"""Painters for other programs: ONNX and ``torch.export``, and with statistics folded into the weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps._files import check_writable, created
from vggapps.errors import PictureError, SettingsError, WeightsError
from vggapps.painters._network import STRIDE, ConditionalNorm, Painter, Statistics, statistics_of

_SUFFIXES = (".onnx", ".pt2")
_SMALLEST, _LARGEST = 8, 16384  # sides of the photos of a program for any size, in pixels
_EXAMPLE = (64, 80)  # (height, width) with which such a program is traced


def export_painter(
    painter: Painter,
    path: str | Path,
    styles: Mapping[str, float],
    *,
    strength: float = 0.5,
    size: tuple[int, int] | None = None,
    statistics: Sequence[Statistics] | None = None,
) -> None:
    """Write a painter of one mixture of styles as a program: 1 × 3 × H × W of RGB in [0, 1], in and out, float32.

    It replaces a file atomically. In ONNX, the input is ``photo``, the output ``painted``, and borders are padded in
    the mode ``edge``.

    Args:
        painter: on any device.
        path: a name that ends in ``.onnx`` for ONNX, or in ``.pt2`` for :func:`torch.export.load`.
        styles: names and weights, see :meth:`Painter.mix`.
        strength: see :meth:`Painter.mix`.
        size: (height, width) of the photos in pixels; by default any from 8 to 16,384.
        statistics: from :meth:`Painter.statistics`, which are folded into the weights, see :func:`folded`; by default
            those of each photo, which the program computes.

    Raises:
        SettingsError: see :meth:`Painter.mix`; a side below 8 pixels; or ONNX without its packages.
        WeightsError: another suffix, or a folder that is not writable.
    """
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        raise WeightsError(f"cannot export a painter as {path.name}", f"use a name that ends in {_SUFFIXES[0]} or .pt2")
    if path.suffix == ".onnx" and not (find_spec("onnx") and find_spec("onnxscript")):
        raise SettingsError("ONNX needs extra packages", run="pip install 'vggapps[onnx]'")
    try:
        check_writable(path, overwrite=True)
    except PictureError as error:
        raise WeightsError(error.message, error.hint) from error
    if size is not None and min(size) < _SMALLEST:
        raise SettingsError(f"{size[1]} x {size[0]} px are too few", f"use at least {_SMALLEST} x {_SMALLEST}")
    mix = painter.mix(styles, strength)
    whole = _Whole(_Measured(painter, mix)) if statistics is None else folded(painter, mix, statistics)
    sides = {axis: torch.export.Dim(name, min=_SMALLEST, max=_LARGEST) for axis, name in ((2, "height"), (3, "width"))}
    example = torch.rand(1, 3, *(size or _EXAMPLE))
    program = torch.export.export(whole.cpu(), (example,), dynamic_shapes=None if size else (sides,))
    with created(path, overwrite=True) as part:
        (_write_onnx if path.suffix == ".onnx" else torch.export.save)(program, part)


def folded(painter: Painter, mix: Float[Tensor, "#n rows"], statistics: Sequence[Statistics]) -> nn.Module:
    """A painter whose normalizations are folded into the weights and biases of its convolutions.

    What remains are convolutions with repeated borders, ReLU, nearest upsampling, pixel (un)shuffling and additions.
    With fixed statistics, the result does not depend on the rest of the picture, so that parts of a picture, or the
    pictures of a film, are painted in the same way.

    Args:
        painter: on any device.
        mix: of one mixture, from :meth:`Painter.mix`.
        statistics: of one photo, from :meth:`Painter.statistics`.

    Returns:
        A module on the same device, from photos of any size, n × 3 × h × w of RGB in [0, 1], to painted ones.
    """
    return _Whole(_Folded(painter, mix, statistics))


class _Whole(nn.Module):
    """Photos of any size, of which a module computes the change if the sides are multiples of 4.

    Padding and cutting are done by indices: those operations with sizes that depend on the photo can't be exported.
    """

    def __init__(self, change: nn.Module) -> None:
        super().__init__()
        self.change = change.requires_grad_(False).eval()

    def forward(self, photo: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        padded = photo
        axes = [axis for axis in (2, 3) if not isinstance(photo.shape[axis], int) or photo.shape[axis] % STRIDE]
        for axis in axes:
            side = photo.shape[axis]
            repeated = torch.arange((side + STRIDE - 1) // STRIDE * STRIDE, device=photo.device).clamp(max=side - 1)
            padded = padded.index_select(axis, repeated)
        change = self.change(padded)
        for axis in axes:
            change = change.index_select(axis, torch.arange(photo.shape[axis], device=photo.device))
        painted: Tensor = (photo + change).clamp(0, 1)
        return painted


class _Measured(nn.Module):
    """The change by a painter with the statistics of each photo."""

    def __init__(self, painter: Painter, mix: Float[Tensor, "1 rows"]) -> None:
        super().__init__()
        self.painter, self.mix = deepcopy(painter), nn.Buffer(mix)

    def forward(self, photo: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        return self.painter.change(photo, self.mix, statistics_of)


class _Folded(nn.Module):
    """The change by a painter with fixed statistics; see ``Painter.change``."""

    def __init__(self, painter: Painter, mix: Float[Tensor, "1 rows"], statistics: Sequence[Statistics]) -> None:
        super().__init__()
        *normalized, last = painter.convs
        made = [
            _with_norm(conv, norm, mix, one)  # type: ignore[arg-type]
            for conv, norm, one in zip(normalized, painter.norms, statistics, strict=True)
        ]
        first, down, *inner, up = made
        _shift_input(first)
        blocks = [nn.Sequential(one, nn.ReLU(), other) for one, other in zip(inner[::2], inner[1::2], strict=True)]
        self.head = nn.Sequential(nn.PixelUnshuffle(2), first, nn.ReLU(), down, nn.ReLU())
        self.blocks = nn.ModuleList(blocks)
        self.tail = nn.Sequential(nn.Upsample(scale_factor=2), up, nn.ReLU(), deepcopy(last), nn.PixelShuffle(2))

    def forward(self, photo: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        maps = self.head(photo)
        for block in self.blocks:
            maps = maps + block(maps)
        changed: Tensor = self.tail(maps)
        return changed


@torch.no_grad()
def _with_norm(
    conv: nn.Conv2d, norm: ConditionalNorm, mix: Float[Tensor, "1 rows"], statistics: Statistics
) -> nn.Conv2d:
    """A convolution and the normalization after it as one convolution."""
    factor = (mix @ norm.weight).flatten() * statistics.scale.flatten()
    made = nn.Conv2d(
        conv.in_channels, conv.out_channels, 3, conv.stride, padding=1, padding_mode="replicate",  # type: ignore[arg-type]
        device=factor.device,
    )  # fmt: skip
    made.weight.copy_(conv.weight * factor[:, None, None, None])
    assert made.bias is not None
    made.bias.copy_((mix @ norm.bias).flatten() - factor * statistics.mean.flatten())
    return made


@torch.no_grad()
def _shift_input(conv: nn.Conv2d) -> None:
    """Let a convolution subtract 0.5 from its input; borders are repeated, so that it is the same everywhere."""
    assert conv.bias is not None
    conv.bias.sub_(0.5 * conv.weight.sum((1, 2, 3)))


def _write_onnx(program: torch.export.ExportedProgram, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own code
        made = torch.onnx.export(program, (), input_names=["photo"], output_names=["painted"], verbose=False)
    assert made is not None
    made.save(path, external_data=False)
