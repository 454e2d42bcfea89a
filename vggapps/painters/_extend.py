"""New styles for a painter whose convolutions stay as they are.

Dumoulin, Shlens, Kudlur, A Learned Representation for Artistic Style, ICLR 2017 (arXiv 1610.07629), section 3.2: the
scales and shifts of a new style are learnt much faster than a network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.painters._network import STRENGTHS, Painter


@torch.inference_mode(False)
def extended(painter: Painter, names: Sequence[str]) -> Painter:
    """A copy of a painter with further styles; the others are painted as before.

    A new style begins with the mean of the old styles' scales and shifts. The convolutions of the copy are frozen, its
    scales and shifts are not. Batches of new styles alone change nothing for the old ones, as no gradient reaches
    their rows; an optimizer with weight decay would.

    Args:
        painter: of one or several styles.
        names: of the new styles.

    Raises:
        SettingsError: the painter has a style of that name.
    """
    check_new(painter, names)
    made = Painter([*painter.styles, *names], painter.channels, painter.blocks)
    made.to(next(painter.parameters()).device)
    made.convs.load_state_dict(painter.convs.state_dict())
    for old, new in zip(painter.norms, made.norms, strict=True):
        new.load_state_dict({name: _with_means(value, len(names)) for name, value in old.state_dict().items()})
    made.convs.requires_grad_(False)
    return made


def check_new(painter: Painter, names: Sequence[str]) -> None:
    """Raise a SettingsError if the painter has one of the styles."""
    if known := next((name for name in names if name in painter.styles), None):
        raise SettingsError(f"the painter has a style {known} already", "choose another name")


def _with_means(rows: Float[Tensor, "rows c"], count: int) -> Float[Tensor, "more c"]:
    """Rows for all strengths of each style, and as many new ones with their means over the styles."""
    means = rows.view(-1, len(STRENGTHS), rows.shape[1]).mean(0)
    return torch.cat([rows, means.repeat(count, 1)])
