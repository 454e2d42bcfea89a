"""What the first convolution looks for, drawn as it is: its weights are small pictures."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.figures._sheet import contact_sheet
from vggapps.image import Picture
from vggapps.vgg._any import as_network


def first_filters(network: nn.Module) -> Float[Tensor, "c 3 k k"]:
    """The filters of a network's first convolution as pictures, all on one scale: grey is a weight of 0.

    The largest weight of all, of either sign, is full colour, so that strong filters look stronger than weak ones.
    Of ours they are in the colours of the pictures that it takes, whatever its weights were trained on; those of a
    network for grey pictures are grey.

    Raises:
        SettingsError: the network has no convolution that takes colours or grey.
    """
    found = (one for one in network.modules() if isinstance(one, nn.Conv2d) and one.in_channels in (1, 3))
    first = next(found, None)
    if first is None:
        raise SettingsError(f"{type(network).__name__} has no convolution of colours", "its filters can't be drawn")
    weights = first.weight.detach().float().cpu().expand(-1, 3, -1, -1)
    if convention := as_network(network).convention:  # a colour that is scaled down before counts for less
        weights = weights / torch.tensor(convention.std).view(3, 1, 1)
    return 0.5 + 0.5 * weights / weights.abs().max().clamp_min(torch.finfo(weights.dtype).tiny)


def filter_sheet(network: nn.Module) -> Picture:
    """The filters of :func:`first_filters` on a contact sheet, by number."""
    filters = first_filters(network)
    return contact_sheet(list(filters), [str(n) for n in range(len(filters))], title="Filters of the first convolution")
