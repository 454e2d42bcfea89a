"""The tab that shows why a network sees what it sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from vggapps.errors import SettingsError
from vggapps.explanation._settings import ExplainSettings
from vggapps.web.controls import Controls
from vggapps.web.device import Job, News
from vggapps.web.files import Shelf, examples, upload
from vggapps.web.running import Page, classifying, counted, loaded, offer, reveal, status, stopping

WORDS = {
    "method": ("Method", "How the evidence is found."),
    "target": ("Class", "What is looked for; any of the thousand, whether the network believes in it or not."),
}
NAMED = ("the one that Classify names", "")
LAST = ("the last convolution's", "")


def explain_tab(page: Page) -> None:
    """Put the tab's content here."""
    from vggapps.explanation._methods import METHODS
    from vggapps.vgg._plan import get_plan, layer_facts
    from vggapps.weights._backbone import networks_here
    from vggapps.weights._labels import imagenet

    controls = Controls(ExplainSettings)
    convolutional = [fact.name for fact in layer_facts(get_plan("vgg19"), head="none") if fact.name.startswith("relu")]
    choices: dict[str, Sequence[str | tuple[str, str]]] = {
        "method": [(f"{method.name}: {method.help}", name) for name, method in METHODS.items()],
        "target": [NAMED, *((label.name, f"class:{label.name}") for label in imagenet())],
        "layer": [LAST, *((name, name) for name in convolutional)],
        "backbone": networks_here("classes"),
    }
    with gr.Row(elem_classes="work"):
        with gr.Column(elem_classes="inputs"):
            image = upload("Picture", page.limits, elem_id="explain-image", height=300, alt_text="The picture")
            examples("content", image)
            controls.place("method", "target", choices=choices, words=WORDS)
            with gr.Row():
                go = gr.Button("Explain", variant="primary", elem_id="explain", scale=2)
                stop = gr.Button("Stop", elem_id="explain-stop")
        with gr.Column(elem_classes="results"):
            why = gr.Image(
                label="Why", format="png", type="filepath", interactive=False, buttons=["fullscreen"],
                elem_id="why", height=460, alt_text="The picture, and beside it what speaks for the class",
            )  # fmt: skip
            line = status(elem_id="explain-status")
            answer = gr.Textbox(label="Answer", interactive=False, elem_id="answer")
            download = gr.DownloadButton("Download", elem_id="explain-download", visible=False)
        with gr.Column(elem_classes="settings"), gr.Accordion("More", open=False):
            controls.place("layer", "backbone", "size", "samples", "seed", choices=choices, most={"size": 512})

    def explain(job: Job, shelf: Shelf, *, image: str | None, **given: Any) -> Iterator[News]:
        """Show where in a picture the evidence lies for what a network sees there."""
        from vggapps.classification._explained import classified
        from vggapps.explanation._question import load_explained
        from vggapps.explanation._report import explanations, figure, headline, open_explained, record

        if image is None:
            raise SettingsError("there is no picture", "drop one, or take an example")
        settings = controls.read(given)
        yield {line: "1 % · looking"}
        picture = open_explained(image, settings)
        network = load_explained(settings, loaded(classifying, settings.backbone, settings.dtype))
        watch = partial(counted, job, line)
        named = None if settings.target else job.whole(lambda: classified([network], picture))
        found = job.whole(lambda: explanations(network, picture, settings, lambda _: watch, named))
        about = record(Path(image).name, settings, found, evaluate=False, classified=named)
        path = shelf.keep(figure(picture, found), f"{Path(image).stem}_why", about)
        yield {why: path, answer: headline(about), download: path, line: f"100 % · done in {found[0].seconds:.1f} s"}

    inputs = {"image": image, **controls.by_name}
    helps = {"image": "The picture.", **controls.helps()}
    done = offer(page, go.click, explain, inputs, [why, answer, download], line, helps=helps, required=("image",))
    reveal(done, download)
    stopping(page, stop)
