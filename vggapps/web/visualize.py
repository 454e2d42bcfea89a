"""The tab that shows what a channel or a class looks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr

from vggapps.errors import SettingsError
from vggapps.visualization._settings import VisualizeSettings
from vggapps.web.controls import Controls, choice
from vggapps.web.device import Job, News
from vggapps.web.files import Shelf
from vggapps.web.running import Page, ended, how_far, loaded, offer, reveal, status, stopping

if TYPE_CHECKING:
    from vggapps.objectives._networks import Networks

NO_CLASS = ("no class: the channel above", "")
FIRST = "conv4_2"


def visualize_tab(page: Page) -> None:
    """Put the tab's content here."""
    from vggapps.vgg._plan import layer_facts
    from vggapps.weights._backbone import networks_here, plan_of
    from vggapps.weights._labels import imagenet

    def channels(backbone: str) -> dict[str, int]:
        plan = plan_of(backbone)
        assert plan is not None, "the page offers networks by name only"
        facts = layer_facts(plan, head="none")
        return {fact.name: fact.shape[0] for fact in facts if fact.name.startswith("conv")}

    controls = Controls(VisualizeSettings)
    default = VisualizeSettings()
    with gr.Row(elem_classes="work"):
        with gr.Column(elem_classes="inputs"):
            layer = gr.Dropdown(
                list(channels(default.backbone)), value=FIRST, label="Layer", interactive=True, elem_id="layer",
                info="Early ones see edges, middle ones textures, late ones parts of things.",
            )  # fmt: skip
            channel = gr.Slider(
                0, channels(default.backbone)[FIRST] - 1, 12, step=1, precision=0, label="Channel", interactive=True,
                info="What one of the layer's detectors looks for.", elem_id="channel",
            )  # fmt: skip
            target = choice(
                [NO_CLASS, *((label.name, label.name) for label in imagenet())], "", label="Class",
                info="Or what a class looks like to the network.", interactive=True, elem_id="class",
            )  # fmt: skip
            with gr.Row():
                go = gr.Button("Visualize", variant="primary", elem_id="visualize", scale=2)
                stop = gr.Button("Stop", elem_id="visualize-stop")
        with gr.Column(elem_classes="results"):
            picture = gr.Image(
                label="What it looks for", format="png", type="filepath", interactive=False, buttons=["fullscreen"],
                elem_id="visualized", height=480, alt_text="A picture that the channel or class answers to strongly",
            )  # fmt: skip
            line = status(elem_id="visualize-status")
            answer = gr.Textbox(label="How far it goes", interactive=False, elem_id="reached")
            download = gr.DownloadButton("Download", elem_id="visualize-download", visible=False)
        with gr.Column(elem_classes="settings"):
            controls.place("parameterization", "steps", "seed", most={"steps": 512})
            with gr.Accordion("More", open=False):
                choices = {"backbone": networks_here()}
                most = {"size": min(512, page.limits.max_size), "pictures": 4}
                places = controls.rest("device", "dtype", "start", "spectrum")
                controls.place(*places, "backbone", choices=choices, most=most)

    def visualize(job: Job, shelf: Shelf, *, layer: str, channel: int, target: str, **given: Any) -> Iterator[News]:
        """Show what a channel of a layer looks for, or a class: pictures on the way, then the result."""
        from vggapps.objectives._text import parse
        from vggapps.visualization._made import judge
        from vggapps.visualization._render import visualize

        settings = controls.read(given)
        page.limits.check_work(settings.size or 224, settings.steps, settings.pictures)
        if channel >= (count := channels(settings.backbone).get(layer, 0)):
            raise SettingsError(f"{settings.backbone} has {count} channels in {layer}", "choose another one")
        text = f"class:{target}" if target else f"{layer}:{channel}"
        yield {line: "0 % · looking at the network"}
        networks = loaded(_networks, bool(target), settings.backbone, settings.pooling)
        objective = parse(text, networks)
        step, steps = None, job.whole(lambda: visualize(objective, settings, network=networks))
        for step in job.until_asked(steps):
            if job.wants:
                yield {picture: shelf.preview(_together(step.image())), line: how_far(step)}
        if step is None or job.reason == "left":
            raise job.given_up()
        made = judge(step.image(), [objective], networks)
        path = shelf.keep(made.picture(), text.replace(":", "_").replace(" ", "_"), made.recipe(settings))
        yield {picture: path, download: path, answer: _said(made.facts()[0]), line: ended(job, step.seconds)}

    def fill(backbone: str, layer: str) -> tuple[Any, Any]:
        found = channels(backbone)
        chosen = layer if layer in found else next(reversed(found))
        return gr.update(choices=list(found), value=chosen), gr.update(maximum=found[chosen] - 1)

    for control in (controls.by_name["backbone"], layer):
        control.change(  # type: ignore[attr-defined]
            fill, [controls.by_name["backbone"], layer], [layer, channel], api_visibility="private"
        )
    inputs = {"layer": layer, "channel": channel, "target": target, **controls.by_name}
    helps = {"layer": "The layer.", "channel": "Which of its channels.", "target": "A class instead, or empty."}
    done = offer(
        page, go.click, visualize, inputs, [picture, answer, download], line,
        helps=helps | controls.helps(), required=(),
    )  # fmt: skip
    reveal(done, download)
    stopping(page, stop)


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
