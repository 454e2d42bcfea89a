"""The tab for style transfer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from vggapps.errors import SettingsError, VggappsError
from vggapps.style._settings import StylizeSettings
from vggapps.web.controls import Controls
from vggapps.web.device import Job, Updates
from vggapps.web.files import SHOWN, RunFiles, examples, upload
from vggapps.web.frame import Frame
from vggapps.web.messages import shown_error
from vggapps.web.running import Page, drained, ending, loaded

if TYPE_CHECKING:
    from vggapps.vgg._network import VGG

MAIN = ("strength", "size", "steps", "colors", "seed")
SERVERS = ("device", "dtype")  # settings of the server, not of visitors
SHOW = {"Photo": 100, "Half and half": 50, "Painting": 0}  # percentage of the width that shows the photo
HELPS = {
    "content": "The photo.",
    "style": "The painting.",
    "share": "The weight of this painting among several.",
    "second_style": "Another painting to mix in.",
    "second_share": "Its weight.",
    "third_style": "A third painting.",
    "third_share": "Its weight.",
}


def stylize_tab(page: Page) -> None:
    """Add the content of the tab."""
    from vggapps.weights._backbone import local_networks

    frame, controls = Frame(page, "stylize", "Paint"), Controls(StylizeSettings)
    most = {"size": page.limits.max_size, "steps": 400}
    with frame.column("inputs"):
        with gr.Row(elem_classes="pair"):
            with gr.Column(min_width=140):
                content = upload("Photo", page.limits, elem_id="content", height=220, alt_text="The photo")
                examples("content", content)
            with gr.Column(min_width=140):
                style = upload("Painting", page.limits, elem_id="style", height=220, alt_text="The painting")
                examples("style", style)
        frame.buttons()
    with frame.column("results"):
        result = gr.Image(
            label="Painted", format="png", type="filepath", interactive=False, elem_id="painted",
            buttons=["fullscreen"], height=480, alt_text="The photo, painted",
        )  # fmt: skip
        both = gr.ImageSlider(
            label="Before and after", format="png", type="filepath", interactive=False, elem_id="both",
            visible=False, max_height=480, buttons=["fullscreen"],
        )  # fmt: skip
        frame.status.render()
        show = gr.Radio(list(SHOW), value="Painting", label="Show", visible=False, elem_id="show")
        frame.download.render()
        gallery = gr.Gallery(
            label="This visit", format="png", type="filepath", columns=5, fit_columns=False, height="auto",
            visible=False, interactive=False, allow_preview=False, buttons=[], object_fit="cover", elem_id="visit",
        )  # fmt: skip
        visit = gr.State([])
    with frame.column("settings"):
        controls.place(*MAIN, most=most, words={"size": ("Size", "Longer side of the result, in pixels.")})
        with gr.Accordion("Mix several paintings", open=False):
            mixed = _mixture(page)
        with gr.Accordion("More", open=False):
            choices = {"init": ("content", "noise"), "backbone": local_networks()}
            controls.place(*controls.rest(*SERVERS), *choices, choices=choices)
            recorded = upload(
                "Settings of a painting made here", page.limits, elem_id="recorded", height=120,
                placeholder="Drop it to restore its settings", alt_text="A painting made before",
            )  # fmt: skip

    def stylize(job: Job, files: RunFiles, **given: Any) -> Iterator[Updates]:
        """Paint a photo in the style of one painting or several: previews, then the result."""
        from vggapps.image import fit, resize
        from vggapps.image._identity import identify
        from vggapps.style._recipe import recipe
        from vggapps.style._styles import open_photo, open_style
        from vggapps.style._transfer import stylize_steps

        settings = controls.read(given)
        weighted = _weighted(given)
        if given["content"] is None or not weighted:
            raise SettingsError("a photo and a painting are needed", "drop one of each, or choose an example")
        yield {frame.status: "0 % · reading the pictures"}
        photo, size = open_photo(given["content"], settings)
        page.limits.check_work(size, settings.steps)
        paintings = [(open_style(path, size, settings.style_size), weight) for path, weight in weighted]
        vgg = network(settings)
        steps = job.call(lambda: stylize_steps(photo, paintings, settings, vgg=vgg, size=size))
        step = yield from drained(
            job, steps, frame.status, lambda step: {result: files.preview(photo.with_rgb(step.full_image()))}
        )
        picture = photo.with_rgb(step.full_image())
        used = [(identify(path), weight) for path, weight in weighted]
        about = recipe(settings, identify(given["content"]), used) | {"interrupted": step.index < step.total}
        name = f"{Path(photo.name).stem}_by_" + "_".join(Path(path).stem for path, _ in weighted)
        path = files.save(picture, name, about)
        small = fit(*picture.size, SHOWN)
        slides = files.thumbnail(replace(photo, rgb=resize(photo.rgb, small), alpha=None)), files.thumbnail(picture)
        history = [{"path": path, "slides": slides, "name": name}, *given["visit"]]
        yield {
            result: path,
            both: slides,
            frame.download: path,
            frame.status: ending(job, step.seconds),
            visit: history,
        }

    frame.before(_reset_results, [result, both, show, frame.download])
    inputs = {"content": content, "style": style, **mixed, **controls.by_name, "visit": visit}
    outputs, helps = [result, both, frame.download, visit], HELPS | controls.helps()
    done = frame.offer(stylize, inputs, outputs, helps=helps, required=("content", "style"))
    done.success(_show_latest, visit, [result, both, show, frame.download, gallery], api_visibility="private")
    gallery.select(_show_selected, visit, [result, both, show, frame.download], api_visibility="private")
    show.input(lambda word: gr.update(slider_position=SHOW[word]), show, both, api_visibility="private")
    recorded.upload(_restore(controls), recorded, list(controls.by_name.values()), api_visibility="private")


def _mixture(page: Page) -> dict[str, Component]:
    """Controls for further paintings and the weights of all."""
    share = gr.Slider(0, 1, 1.0, step=0.05, label="Share of the painting above", interactive=True)
    parts: dict[str, Component] = {"share": share}
    with gr.Row():
        for word in ("second", "third"):
            with gr.Column(min_width=140):
                parts[f"{word}_style"] = upload(
                    f"{word.capitalize()} painting", page.limits, elem_id=f"{word}-style", height=160,
                    alt_text=f"The {word} painting",
                )  # fmt: skip
                parts[f"{word}_share"] = gr.Slider(0, 1, 1.0, step=0.05, label="Its share", interactive=True)
    return parts


def _weighted(given: Mapping[str, Any]) -> list[tuple[str, float]]:
    names = (("style", "share"), ("second_style", "second_share"), ("third_style", "third_share"))
    return [(given[style], given[share]) for style, share in names if given[style] is not None and given[share] > 0]


def network(settings: StylizeSettings) -> VGG:
    """The cached network for the backbone and pooling of these settings."""
    from vggapps.style._transfer import load_backbone

    vgg: VGG = loaded(load_backbone, StylizeSettings(backbone=settings.backbone, pooling=settings.pooling))
    return vgg


def _reset_results() -> tuple[Any, ...]:
    hidden = gr.update(visible=False)
    return gr.update(visible=True, value=None), hidden, hidden, hidden


def _show_latest(visit: list[dict[str, Any]]) -> tuple[Any, ...]:
    pictures = [(one["slides"][1], one["name"]) for one in visit]
    return *_shown(visit[0]), gr.update(visible=True, value=pictures)


def _show_selected(visit: list[dict[str, Any]], event: gr.SelectData) -> tuple[Any, ...]:
    return _shown(visit[event.index])


def _shown(one: dict[str, Any]) -> tuple[Any, ...]:
    return (
        gr.update(visible=False, value=one["path"]),
        gr.update(visible=True, value=one["slides"], slider_position=SHOW["Painting"]),
        gr.update(visible=True, value="Painting"),
        gr.update(visible=True, value=one["path"]),
    )


def _restore(controls: Controls[StylizeSettings]) -> Callable[[str | None], list[Any]]:
    def restore(picture: str | None) -> list[Any]:
        from vggapps.style._recipe import read_recipe, settings_from

        if picture is None:
            return [gr.skip()] * len(controls.by_name)
        try:
            name = Path(picture).name
            found = replace(read_recipe(picture), picture=name)
            shown, unfit = controls.show(settings_from(found, {}))
        except VggappsError as error:
            raise shown_error(error) from None
        if unfit:
            gr.Warning(f"This page does not support the picture's values of: {', '.join(unfit)}.")
        return shown

    return restore
