"""The network that is explained."""

from __future__ import annotations

from vggapps.classify.classifier import OFFLINE, Classifier
from vggapps.errors import SettingsError
from vggapps.explain.question import ask
from vggapps.explain.settings import ExplainSettings
from vggapps.vgg.fast import accelerate
from vggapps.vgg.network import VGG
from vggapps.weights.load import load_vgg


def load_explained(settings: ExplainSettings) -> VGG:
    """The network that settings name; its convolutions alone, where a layer is asked for that the head leaves out.

    Raises:
        SettingsError: no such network, layer or target.
        WeightsError: they can't be had.
    """
    device, dtype = settings.device, settings.dtype
    if settings.classes and settings.target and "class:" not in settings.target:
        raise SettingsError(f"--classes {settings.classes} names classes, and none is asked for", "leave it out")
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
