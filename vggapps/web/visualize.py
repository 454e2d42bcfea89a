"""The tab that shows what a channel or a class looks for."""

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
from vggapps.web.frame import Frame, put
from vggapps.web.running import Page, drained, ending, loaded

if TYPE_CHECKING:
    from vggapps.objectives._networks import Networks

NO_CLASS = ("no class: the channel above", "")
FIRST = "conv4_2"


def visualize_tab(page: Page) -> None:
    """Put the tab's content here."""
    from vggapps.vgg._names import unknown_layer
    from vggapps.vgg._plan import layer_facts, torchvision_names
    from vggapps.weights._backbone import networks_here, plan_of
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
            info="Early ones see edges, middle ones textures, late ones parts of things.",
        )  # fmt: skip
        channel = gr.Slider(
            0, channels(default.backbone)[FIRST] - 1, 12, step=1, precision=0, label="Channel", interactive=True,
            info="What one of the layer's detectors looks for.", elem_id="channel",
        )  # fmt: skip
        target = word(
            [NO_CLASS, *(label.name for label in imagenet())], "", label="Class",
            info="Or what a class looks like to the network.", interactive=True, elem_id="class",
        )  # fmt: skip
        frame.buttons()
    with frame.column("results"):
        picture = gr.Image(
            label="What it looks for", format="png", type="filepath", interactive=False, buttons=["fullscreen"],
            elem_id="visualized", height=480, alt_text="A picture that the channel or class answers to strongly",
        )  # fmt: skip
        put(frame.status)
        answer = gr.Textbox(label="How far it goes", interactive=False, elem_id="reached")
        put(frame.download)
    with frame.column("settings"):
        controls.place("parameterization", "steps", "seed", most={"steps": 512})
        with gr.Accordion("More", open=False):
            choices = {"backbone": networks_here()}
            most = {"size": min(512, page.limits.max_size), "pictures": 4}
            places = controls.rest("device", "dtype", "start", "spectrum")
            controls.place(*places, "backbone", choices=choices, most=most)

    def visualize(
        job: Job, files: RunFiles, *, layer: str, channel: int, target: str, **given: Any
    ) -> Iterator[Updates]:
        """Show what a channel of a layer looks for, or a class: pictures on the way, then the result."""
        from vggapps.objectives._text import parse
        from vggapps.visualization._made import score_pictures
        from vggapps.visualization._render import visualize_steps

        settings = controls.read(given)
        page.limits.check_work(settings.size or 224, settings.steps, settings.pictures)
        text = of_class(target) or of_channel(settings.backbone, layer, channel)
        yield {frame.status: "0 % · looking at the network"}
        networks = loaded(_networks, bool(target), settings.backbone, settings.pooling)
        objective = parse(text, networks)
        steps = job.call(lambda: visualize_steps(objective, settings, network=networks))
        step = yield from drained(
            job, steps, frame.status, lambda step: {picture: files.preview(_together(step.image()))}
        )
        made = score_pictures(step.image(), [objective], networks)
        path = files.save(made.picture(), text.replace(":", "_").replace(" ", "_"), made.recipe(settings))
        yield {
            picture: path,
            frame.download: path,
            answer: _said(made.facts()[0]),
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
        count = channels(backbone).get(layer)  # a name that is wrong is told at the button
        return gr.update(maximum=count - 1) if count else gr.skip()

    backbone: Any = controls.by_name["backbone"]
    backbone.change(
        other_backbone, [backbone, layer], [layer, channel], show_progress="hidden", api_visibility="private"
    )
    layer.change(other_layer, [backbone, layer], channel, show_progress="hidden", api_visibility="private")
    inputs = {"layer": layer, "channel": channel, "target": target, **controls.by_name}
    helps = {"layer": "The layer.", "channel": "Which of its channels.", "target": "A class instead, or empty."}
    frame.offer(visualize, inputs, [picture, answer, frame.download], helps=helps | controls.helps())


def _networks(classes: bool, backbone: str, pooling: Any) -> Networks:
    """A network, with classes or without: which layer is asked for does not matter to it."""
    from vggapps.objectives._networks import load_networks

    return load_networks(["class"] if classes else [], VisualizeSettings(backbone=backbone, pooling=pooling))


def _together(pictures: Any) -> Any:
    """Several beside one another."""
    import torch

    return torch.cat(list(pictures[:, None]), 3)


def _said(fact: dict[str, Any]) -> str:
    from vggapps.figures._sheet import short_number

    far = fact["relative_to_photographs"]
    beyond = f", {far:.1f} times the most that 1,000 photographs reach" if far else ""
    return f"{fact['objective']}: {short_number(fact['score'])}{beyond}"
