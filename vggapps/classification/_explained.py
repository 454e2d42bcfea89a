"""The network that is explained, and the class that ``classify`` names."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vggapps.classification._classifier import OFFLINE, Classifier
from vggapps.classification._views import crops, scales_of, softened
from vggapps.datasets._reading import check_strip, scaled_to, to_tensor
from vggapps.errors import SettingsError, argument
from vggapps.explanation._question import ask
from vggapps.explanation._report import Classified
from vggapps.explanation._settings import ExplainSettings
from vggapps.image import Picture
from vggapps.vgg._fast import accelerate
from vggapps.vgg._network import VGG
from vggapps.weights._load import load_vgg


def load_explained(settings: ExplainSettings) -> VGG:
    """The network that settings name; its convolutions alone, where a layer is asked for that the head leaves out.

    Raises:
        SettingsError: no such network, layer or target.
        WeightsError: they can't be had.
    """
    device, dtype = settings.device, settings.dtype
    if settings.classes and settings.target and "class:" not in settings.target:
        raise SettingsError(
            f"{argument('classes', settings.classes)} names classes, and none is asked for", "leave it out"
        )
    network = Classifier(
        settings.backbone, views="dense", device=device, dtype=dtype,  # type: ignore[arg-type]
        classes=settings.classes, convention=settings.convention,  # type: ignore[arg-type]
    ).networks[0]  # fmt: skip
    try:
        ask(network, settings.target or 0)
    except SettingsError:
        if network.weights_name != OFFLINE or str(settings.target).startswith("class:"):
            raise
        bare = load_vgg(network.plan.name, head="none")
        network = accelerate(bare, device, dtype).freeze()
        ask(network, settings.target or 0)
    if settings.layer:
        network.check((settings.layer,))
    return network


@torch.inference_mode()
def classified(networks: Sequence[VGG], picture: Picture) -> Classified:
    """The class that ``classify`` names by default, from the middle of a picture.

    Explanations and boxes are made of the whole picture, in which another class may be the likeliest.

    Args:
        networks: dense ones, whose probabilities are averaged.
        picture: of any size.

    Raises:
        PictureError: it is too long a strip, see :func:`~vggapps.datasets._reading.check_strip`.
    """
    check_strip(picture, whole=False)
    view = crops(to_tensor(scaled_to(picture, *scales_of("center"))), "center")
    rows = [softened(vgg(view.to(vgg.conv1_1.weight.device)), vgg.temperature)[0].cpu() for vgg in networks]
    shares = torch.stack(rows).mean(0)
    index = int(shares.argmax())
    return Classified(index, float(shares[index]))
