"""The frozen network behind a loss."""

from __future__ import annotations

from copy import deepcopy

from vggapps.errors import SettingsError
from vggapps.vgg._network import VGG
from vggapps.vgg._plan import PLANS
from vggapps.weights._load import load_vgg
from vggapps.weights._records import RECORDS, WeightsRecord

Backbone = str | WeightsRecord | VGG


def load_backbone(backbone: Backbone) -> VGG:
    """The network, frozen, from a name, a weights record or a loaded VGG.

    A name of a network means the weights that ``load_vgg`` takes for it, for ``vgg19`` the installed ones; a name of
    weights, ``vgg19-convolutions``, just these. A frozen VGG is shared, one that learns is copied: a loss must not
    move under the feet of what is trained with it.

    Raises:
        SettingsError: a wrong name, or something else.
        WeightsError: the weights can't be had; never random ones in their place.
    """
    if isinstance(backbone, VGG):
        return backbone if backbone.frozen else deepcopy(backbone).freeze()
    if isinstance(backbone, WeightsRecord):
        return load_vgg(backbone.network, backbone.name, head="none")
    if not isinstance(backbone, str):
        raise SettingsError(
            f"the backbone is a {type(backbone).__name__}",
            "give a network's name, a weights record, or a loaded VGG: load_vgg('vgg19', path, head='none')",
        )
    if backbone in RECORDS and backbone not in PLANS:
        return load_vgg(RECORDS[backbone].network, backbone, head="none")
    return load_vgg(backbone, head="none")
