"""The tab for style transfer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from vggapps.errors import VggappsError
from vggapps.style._settings import StylizeSettings
from vggapps.web.controls import Controls
from vggapps.web.files import examples, upload
from vggapps.web.frame import Frame
from vggapps.web.messages import refusal, shown_error
from vggapps.web.painting import CHOSEN, PAINTINGS, Painting
from vggapps.web.running import Page

MAIN = ("size", "quality", "colors", "seed")
SERVERS = ("device", "dtype")  # settings of the server, not of visitors
SHOW = {"Photo": 100, "Half and half": 50, "Painting": 0}  # percentage of the width that shows the photo
LIVE = "A small picture when you move Strength or choose a photo or painting. ‘Make it fine’ goes on from it."
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
    chosen = {name: gr.State(None) for name in ("content", "style", "second_style", "third_style")}
    with frame.column("inputs"):
        with gr.Row(elem_classes="pair"):
            with gr.Column(min_width=140):
                content = upload(
                    "Photo", page.limits, chosen["content"], elem_id="content", height=220, alt_text="The photo"
                )
                examples("content", content)
            with gr.Column(min_width=140):
                style = upload(
                    "Painting", page.limits, chosen["style"], elem_id="style", height=220, alt_text="The painting"
                )
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
        with gr.Row():
            fine: Any = gr.Button("Make it fine", variant="primary", elem_id="fine", visible=False, min_width=120)
            frame.download.render()
        gallery = gr.Gallery(
            label="This visit", format="png", type="filepath", columns=5, fit_columns=False, height="auto",
            visible=False, interactive=False, allow_preview=False, buttons=[], object_fit="cover", elem_id="visit",
        )  # fmt: skip
        visit, seen = gr.State([]), gr.State(None)
    with frame.column("settings"):
        controls.place("strength")
        live = gr.Checkbox(True, label="Paint while I choose", info=LIVE, interactive=True, elem_id="live")
        controls.place(*MAIN, most=most, words={"size": ("Size", "Longer side of the result, in pixels.")})
        with gr.Accordion("Mix several paintings", open=False):
            mixed = _mixture(page, chosen)
        with gr.Accordion("More", open=False):
            choices = {"init": ("content", "noise"), "backbone": local_networks()}
            controls.place(*controls.rest(*SERVERS), *choices, choices=choices, most=most)
            recorded = upload(
                "Settings of a painting made here", page.limits, elem_id="recorded", height=120,
                placeholder="Drop it to restore its settings", alt_text="A painting made before",
            )  # fmt: skip

    work = Painting(page, controls, frame.status, result, both, frame.download, visit, seen)
    inputs = {"content": content, "style": style, **mixed, **controls.by_name}
    about: dict[str, Any] = {"helps": HELPS | controls.helps(), "required": ("content", "style")}
    shown = [result, both, show, frame.download, fine]
    frame.before(_reset_results, shown, fine)
    results = [result, both, frame.download, visit]
    for run, button in ((work.stylize, None), (work.refine, fine.click)):
        state = {"visit": visit} | ({"seen": seen} if button else {})
        done = frame.offer(run, inputs | state, results, **about, on=button, during=page.previews.suspended)
        done.success(_show_latest, visit, [*shown, gallery], api_visibility="private")

    def ask(request: gr.Request, live: bool, *values: Any) -> None:
        given = dict(zip(CHOSEN, values, strict=True))
        complete = given["content"] and any(given[style] and given[share] for style, share in PAINTINGS)
        if not (live and complete and page.previews.ask(request.session_hash or "", values)):
            raise refusal(visible=False)  # so that no preview follows

    sources: dict[str, Any] = {**controls.by_name, **mixed, **chosen}
    watched = [sources[name] for name in CHOSEN]
    asked = gr.on(
        [one.change for one in (live, *watched)], ask, [live, *watched],
        api_visibility="private", queue=False, trigger_mode="always_last", show_progress="hidden",
    )  # fmt: skip
    previewed = frame.offer(
        work.preview, inputs, [result, frame.download, seen], **about, quick=True, on=asked.success, live=True
    )
    previewed.success(_show_preview, seen, shown, api_visibility="private", queue=False)
    gallery.select(_show_selected, visit, shown, api_visibility="private")
    show.input(lambda word: gr.update(slider_position=SHOW[word]), show, both, api_visibility="private")
    recorded.upload(_restore(controls), recorded, list(controls.by_name.values()), api_visibility="private")


def _mixture(page: Page, chosen: Mapping[str, gr.State]) -> dict[str, Component]:
    """Controls for further paintings and the weights of all."""
    share = gr.Slider(0, 1, 1.0, step=0.05, label="Share of the painting above", interactive=True)
    parts: dict[str, Component] = {"share": share}
    with gr.Row():
        for word in ("second", "third"):
            with gr.Column(min_width=140):
                parts[f"{word}_style"] = upload(
                    f"{word.capitalize()} painting", page.limits, chosen[f"{word}_style"],
                    elem_id=f"{word}-style", height=160, alt_text=f"The {word} painting",
                )  # fmt: skip
                parts[f"{word}_share"] = gr.Slider(0, 1, 1.0, step=0.05, label="Its share", interactive=True)
    return parts


def _reset_results() -> tuple[Any, ...]:
    return gr.update(visible=True, value=None), *[gr.update(visible=False)] * 4


def _show_preview(seen: Mapping[str, str] | None) -> tuple[Any, ...]:
    if seen is None:
        return (gr.skip(),) * 5
    there, hidden = gr.update(visible=True), gr.update(visible=False)
    return there, hidden, hidden, there, there


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
        gr.update(visible=False),
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
