"""The training of a painter: a generator of steps, as every loop of this package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from vggapps.errors import SettingsError
from vggapps.painters._batches import PainterBatches
from vggapps.painters._extend import extended
from vggapps.painters._loss import PainterLoss
from vggapps.painters._network import Painter
from vggapps.painters._settings import PainterSettings
from vggapps.style._settings import StylizeSettings
from vggapps.style._styles import Styles, read_styles
from vggapps.style._transfer import load_backbone
from vggapps.training import FitSettings, Pictures, TrainingStep, fit
from vggapps.vgg._device import pick_device

STEPS_ON_BASE = PainterSettings().steps // 10
_WARMUP = 100  # steps
_EMA, _CLIP = 0.999, 1.0
# Without relu5_1: at half the size, relu4_1 sees what it sees, and the network is a quarter smaller.
_LAYERS = ("relu1_1:1.6", "relu2_1:1.3", "relu3_1:1", "relu4_1:0.7")
_LONGEST, _SHORTEST = 4, 3  # sides of the photo for whose size the styles are measured


def train_painter(
    styles: Mapping[str, Styles],
    photos: Pictures,
    settings: PainterSettings | None = None,
    *,
    base: Painter | None = None,
    state: Mapping[str, Any] | None = None,
) -> Iterator[TrainingStep]:
    """Train a painter for styles, step by step: ``step.network()`` is the painter so far, with averaged weights.

    Args:
        styles: by name; each one picture or a mixture of several, as for :func:`~vggapps.style.stylize`.
        photos: to learn from, a few hundred or more; their classes are not used.
        settings: see :class:`PainterSettings`; by default with a tenth of the steps if there is a ``base``.
        base: a trained painter that learns the styles besides its own, which it paints as before: its convolutions are
            kept, and scales and shifts for the new styles are trained.
        state: ``step.state()`` of an earlier training with the same arguments, to go on from.

    Raises:
        VggappsError: invalid arguments, before the first step.
        DivergedError: the loss is infinite or NaN.
    """
    settings = settings or default_settings(base)
    if not styles:
        raise SettingsError("there is no style", "name at least one picture")
    wanted = style_settings(settings)
    torch.manual_seed(settings.seed)
    painter = Painter(list(styles)) if base is None else extended(base, list(styles))
    painter.to(pick_device(settings.device)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shape = torch.zeros(1, 3, settings.size * _SHORTEST // _LONGEST, settings.size)
    paintings = [read_styles(style, shape, settings.style_size) for style in styles.values()]
    loss = PainterLoss(
        load_backbone(wanted), paintings, (shape.shape[2], shape.shape[3]), wanted, settings.motion_weight
    )
    batches = PainterBatches(
        photos, painter, settings.steps, size=settings.crop, count=settings.batch, styles=list(styles),
        motion=settings.motion_weight > 0, seed=settings.seed, workers=settings.workers,
    )  # fmt: skip
    how = FitSettings(
        epochs=1, learning_rate=settings.learning_rate, warmup=min(0.2, _WARMUP / settings.steps), ema=_EMA,
        clip=_CLIP, dtype=settings.dtype, seed=settings.seed,
    )  # fmt: skip
    return fit(painter, batches, loss, how, state=state)


def default_settings(base: object | None) -> PainterSettings:
    """Those of a painter from scratch, or of one whose network is given."""
    return PainterSettings() if base is None else PainterSettings(steps=STEPS_ON_BASE)


def style_settings(settings: PainterSettings) -> StylizeSettings:
    """The style transfer that a painter learns."""
    return StylizeSettings(
        size=settings.size, style_size=settings.style_size, style_weight=settings.style_weight,
        content_weight=settings.content_weight, tv_weight=settings.tv_weight, backbone=settings.backbone,
        device=settings.device, dtype=settings.dtype, style_layers=_LAYERS,
    )  # fmt: skip
