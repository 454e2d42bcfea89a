"""The tab that explains predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from vggapps.errors import SettingsError
from vggapps.explanation._settings import ExplainSettings
from vggapps.web.controls import Choices, Controls
from vggapps.web.device import Job, Updates
from vggapps.web.files import RunFiles, examples, upload
from vggapps.web.frame import Frame
from vggapps.web.running import Page, classifying, loaded, with_progress

WORDS = {
    "method": ("Method", "How the evidence is found."),
    "target": ("Class", "The class to explain: any of ImageNet's, predicted or not."),
    "layer": ("Layer", "The layer of the ...-cam methods."),
}
SLOW = {"integrated-gradients", "smoothgrad", "score-cam", "ablation-cam", "occlusion", "rise"}  # of many passes
NAMED = ("the predicted class", "")
LAST = ("the last convolution", "")


def of_class(word: str | None) -> str:
    """The objective for a class that a visitor has typed, "" for none.

    Only names of classes are accepted, since other text could be an objective that reads files.

    Raises:
        SettingsError: there is no such class; suggests the most similar name.
    """
    from vggapps.weights._labels import find_label

    return f"class:{find_label(word.removeprefix('class:')).name}" if word else ""


def explain_tab(page: Page) -> None:
    """Add the content of the tab."""
    from vggapps.explanation._methods import METHODS
    from vggapps.vgg._facts import layer_facts
    from vggapps.weights._backbone import local_networks
    from vggapps.weights._labels import imagenet

    frame, controls = Frame(page, "explain", "Explain"), Controls(ExplainSettings)
    convolutional = [fact.name for fact in layer_facts("vgg19", head="none") if fact.name.startswith("relu")]
    choices: dict[str, Sequence[str | tuple[str, str]]] = {
        "method": [(f"{method.name}: {method.help}", name) for name, method in METHODS.items()],
        "backbone": local_networks("classes"),
    }
    suggestions: dict[str, Choices] = {
        "target": [NAMED, *(label.name for label in imagenet())],
        "layer": [LAST, *convolutional],
    }
    with frame.column("inputs"):
        image = upload("Picture", page.limits, elem_id="explain-image", height=300, alt_text="The picture")
        examples("content", image)
        controls.place("method", "target", choices=choices, suggestions=suggestions, words=WORDS)
        frame.buttons()
    with frame.column("results"):
        why = gr.Image(
            label="Why", format="png", type="filepath", interactive=False, buttons=["fullscreen"],
            elem_id="why", height=460, alt_text="The picture, and the evidence for the class",
        )  # fmt: skip
        frame.status.render()
        answer = gr.Textbox(label="Answer", interactive=False, elem_id="answer")
        frame.download.render()
    with frame.column("settings"), gr.Accordion("More", open=False):
        controls.place(
            "layer", "backbone", "size", "samples", "seed",
            choices=choices, suggestions=suggestions, most={"size": 512}, words=WORDS,
        )  # fmt: skip

    def explain(job: Job, files: RunFiles, *, image: str | None, **given: Any) -> Iterator[Updates]:
        """Show where in a picture the evidence for a class is."""
        from vggapps.classification._explained import classify_center
        from vggapps.explanation._question import load_explained
        from vggapps.explanation._report import explanation_record, explanations, figure, headline, open_explained
        from vggapps.image._identity import identify

        if image is None:
            raise SettingsError("there is no picture", "drop one, or choose an example")
        settings = controls.read(given | {"target": of_class(given["target"])})
        yield {frame.status: "1 % · reading the picture"}
        picture = open_explained(image, settings)
        network = load_explained(settings, loaded(classifying, settings.backbone, settings.dtype))
        watch = partial(with_progress, job, frame.status)
        named = None if settings.target else job.call(lambda: classify_center([network], picture))
        found = job.call(lambda: explanations(network, picture, settings, lambda _: watch, named))
        about = explanation_record({"images": [identify(image)]}, settings, found, classified=named)
        path = files.save(figure(picture, found), f"{Path(image).stem}_why", about)
        yield {
            why: path,
            answer: headline(about),
            frame.download: path,
            frame.status: f"100 % · done in {found[0].seconds:.1f} s",
        }

    inputs = {"image": image, **controls.by_name}
    helps = {"image": "The picture.", **controls.helps()}
    outputs = [why, answer, frame.download]
    frame.offer(explain, inputs, outputs, helps=helps, required=("image",), quick=_is_quick)


def _is_quick(given: Mapping[str, Any]) -> bool:
    return given["method"] not in SLOW
