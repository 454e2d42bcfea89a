"""The tab for classification."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr

from vggapps.classification._settings import ClassifySettings, Views
from vggapps.errors import SettingsError
from vggapps.web.controls import Controls, choice
from vggapps.web.device import Job, Updates
from vggapps.web.files import RunFiles, examples, upload
from vggapps.web.frame import Frame
from vggapps.web.running import Page, classifying, loaded

if TYPE_CHECKING:
    from vggapps.classification._classifier import Classifier


def classifier_of(backbone: str, views: Views) -> Classifier:
    """A classifier on a cached network, which all views share."""
    from vggapps.classification._classifier import Classifier

    return Classifier(loaded(classifying, backbone), views=views)


def classify_tab(page: Page) -> None:
    """Add the content of the tab."""
    from vggapps.weights._backbone import local_networks

    frame, controls = Frame(page, "classify", "Name it"), Controls(ClassifySettings)
    with frame.column("inputs"):
        image = upload("Picture", page.limits, elem_id="classify-image", height=300, alt_text="The picture")
        examples("content", image)
        frame.buttons()
    with frame.column("results"):
        bars = gr.Label(label="What it is", elem_id="classes", show_heading=False)
        frame.status.render()
        why = gr.Image(
            label="Where it sees that", format="png", type="filepath", interactive=False, buttons=["fullscreen"],
            elem_id="classify-why", height=380, alt_text="The picture, with the evidence for the first class",
        )  # fmt: skip
    with frame.column("settings"):
        controls.place("top", most={"top": 20})
        with gr.Accordion("More", open=False):
            backbone = choice(
                local_networks("classes"), "auto", label="Backbone", info="The network.", interactive=True
            )
            controls.place("views")

    def classify(job: Job, files: RunFiles, *, image: str | None, backbone: str, **given: Any) -> Iterator[Updates]:
        """Classify a picture: the most probable classes, and where the evidence for the first one is."""
        from vggapps.classification._localize import class_heat
        from vggapps.image import open_picture

        if image is None:
            raise SettingsError("there is no picture", "drop one, or choose an example")
        settings = controls.read(given)
        yield {frame.status: "10 % · classifying"}
        picture = open_picture(image)
        classifier = classifier_of(backbone, settings.views)
        best = job.call(lambda: classifier(picture, settings.top))
        yield {bars: {one.label: one.probability for one in best}, frame.status: "60 % · localizing"}
        shown = job.call(lambda: class_heat(classifier, image, best[0].index))
        yield {why: files.thumbnail(shown), frame.status: f"100 % · by {', '.join(classifier.backbone)}"}

    inputs = {"image": image, **controls.by_name, "backbone": backbone}
    helps = {"image": "The picture.", "backbone": "The network.", **controls.helps()}
    frame.offer(classify, inputs, [bars, why], helps=helps, required=("image",), quick=True)
