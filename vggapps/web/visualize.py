"""The tab for feature visualization."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr

from vggapps.errors import SettingsError
from vggapps.visualization._settings import VisualizeSettings
from vggapps.web.controls import Controls, word
from vggapps.web.device import Job, Updates
from vggapps.web.explain import of_class
from vggapps.web.files import RunFiles
from vggapps.web.frame import Frame
from vggapps.web.running import Page, drained, ending, loaded

if TYPE_CHECKING:
    from vggapps.objectives._networks import Networks

NO_CLASS = ("no class: the channel above", "")
FIRST = "conv4_2"


def visualize_tab(page: Page) -> None:
    """Add the content of the tab."""
    from vggapps.vgg._facts import layer_facts
    from vggapps.vgg._names import unknown_layer
    from vggapps.vgg._plan import torchvision_names
    from vggapps.weights._backbone import local_networks, plan_of
    from vggapps.weights._labels import imagenet

    def channels(backbone: str) -> dict[str, int]:
        plan = plan_of(backbone)
        assert plan is not None, "the page offers networks by name only"
        facts = layer_facts(plan, head="none")
        return {fact.name: fact.shape[0] for fact in facts}

    def suggested(backbone: str) -> list[str]:
        return [name for name in channels(backbone) if name.startswith("conv")]

    frame, controls = Frame(page, "visualize", "Visualize"), Controls(VisualizeSettings)
    default = VisualizeSettings()
    with frame.column("inputs"):
        layer = word(
            suggested(default.backbone), FIRST, label="Layer", interactive=True, elem_id="layer",
            info="Early layers detect edges, middle ones textures, late ones parts of objects.",
        )  # fmt: skip
        channel = gr.Slider(
            0, channels(default.backbone)[FIRST] - 1, 12, step=1, precision=0, label="Channel", interactive=True,
            info="The channel of the layer to visualize.", elem_id="channel",
        )  # fmt: skip
        target = word(
            [NO_CLASS, *(label.name for label in imagenet())], "", label="Class",
            info="Or a class of the network to visualize.", interactive=True, elem_id="class",
        )  # fmt: skip
        frame.buttons()
    with frame.column("results"):
        picture = gr.Image(
            label="What it looks for", format="png", type="filepath", interactive=False, buttons=["fullscreen"],
            elem_id="visualized", height=480, alt_text="A picture with a high activation of the channel or class",
        )  # fmt: skip
        frame.status.render()
        answer = gr.Textbox(label="Activation", interactive=False, elem_id="reached")
        frame.download.render()
    with frame.column("settings"):
        controls.place("parameterization", "steps", "seed", most={"steps": 512})
        with gr.Accordion("More", open=False):
            choices = {"backbone": local_networks()}
            most = {"size": min(512, page.limits.max_size), "pictures": 4}
            places = controls.rest("device", "dtype", "start", "spectrum")
            controls.place(*places, "backbone", choices=choices, most=most)

    def visualize(
        job: Job, files: RunFiles, *, layer: str, channel: int, target: str, **given: Any
    ) -> Iterator[Updates]:
        """Visualize a channel of a layer, or a class: previews, then the result."""
        from vggapps.objectives._text import parse
        from vggapps.visualization._render import visualize_steps
        from vggapps.visualization._visualized import score_pictures

        settings = controls.read(given)
        page.limits.check_work(settings.size or 224, settings.steps, settings.pictures)
        text = of_class(target) or of_channel(settings.backbone, layer, channel)
        yield {frame.status: "0 % · loading the network"}
        networks = loaded(_networks, bool(target), settings.backbone, settings.pooling)
        objective = parse(text, networks)
        steps = job.call(lambda: visualize_steps(objective, settings, network=networks))
        step = yield from drained(
            job, steps, frame.status, lambda step: {picture: files.preview(_side_by_side(step.image()))}
        )
        made = score_pictures(step.image(), [objective], networks)
        path = files.save(made.picture(), text.replace(":", "_").replace(" ", "_"), made.recipe(settings))
        yield {
            picture: path,
            frame.download: path,
            answer: _score_text(made.facts()[0]),
            frame.status: ending(job, step.seconds),
        }

    def of_channel(backbone: str, layer: str, channel: int) -> str:
        found = channels(backbone)
        if layer not in found:
            plan = plan_of(backbone)
            raise unknown_layer(layer, list(found), torchvision_names(plan) if plan else {})
        if channel >= found[layer]:
            raise SettingsError(f"{backbone} has {found[layer]} channels in {layer}", "choose another one")
        return f"{layer}:{channel}"

    def other_backbone(backbone: str, layer: str) -> tuple[Any, Any]:
        found, names = channels(backbone), suggested(backbone)
        chosen = layer if layer in found else names[-1]
        return gr.update(choices=names, value=chosen), gr.update(maximum=found[chosen] - 1)

    def other_layer(backbone: str, layer: str) -> Any:
        count = channels(backbone).get(layer)  # a wrong name is reported when the button is pressed
        return gr.update(maximum=count - 1) if count else gr.skip()

    backbone: Any = controls.by_name["backbone"]
    backbone.change(
        other_backbone, [backbone, layer], [layer, channel], show_progress="hidden", api_visibility="private"
    )
    layer.change(other_layer, [backbone, layer], channel, show_progress="hidden", api_visibility="private")
    inputs = {"layer": layer, "channel": channel, "target": target, **controls.by_name}
    helps = {"layer": "The layer.", "channel": "Its channel.", "target": "A class instead, or empty."}
    frame.offer(visualize, inputs, [picture, answer, frame.download], helps=helps | controls.helps())


def _networks(classes: bool, backbone: str, pooling: Any) -> Networks:
    """A network with or without classes, independent of the layer, so that it is cached for all layers."""
    from vggapps.objectives._networks import load_networks

    return load_networks(["class"] if classes else [], VisualizeSettings(backbone=backbone, pooling=pooling))


def _side_by_side(pictures: Any) -> Any:
    import torch

    return torch.cat(list(pictures[:, None]), 3)


def _score_text(fact: dict[str, Any]) -> str:
    from vggapps.figures._sheet import short_number

    far = fact["relative_to_photographs"]
    beyond = f", {far:.1f} times the maximum over 1,000 photographs" if far else ""
    return f"{fact['objective']}: {short_number(fact['score'])}{beyond}"
