"""The tab that measures the similarity of two pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr

from vggapps.errors import SettingsError
from vggapps.web.controls import choice
from vggapps.web.device import Job, Updates
from vggapps.web.files import RunFiles, upload
from vggapps.web.frame import Frame
from vggapps.web.messages import label, sentence
from vggapps.web.running import Page, loaded

SIZE = "Scale both down to this longer side in pixels first; 0 keeps their sizes."
QUICK_SIDE = 512  # pixels
SCALE = "Scale B to the size of A: bicubic, antialiased."


def compare_tab(page: Page) -> None:
    """Add the content of the tab."""
    from vggapps.losses._comparison import METRICS, available

    maps = [name for name in available() if METRICS[name].has_map]
    frame = Frame(page, "compare", "Compare")
    with frame.column("inputs"):
        with gr.Row(elem_classes="pair"):
            a = upload("A", page.limits, elem_id="a", height=240, alt_text="The first picture")
            b = upload("B", page.limits, elem_id="b", height=240, alt_text="The second picture")
        frame.buttons()
    with frame.column("results"):
        table = gr.Dataframe(
            headers=["Measure", "Value", "Better is"], label="Similarity", interactive=False,
            elem_id="distances", buttons=[], wrap=True,
        )  # fmt: skip
        frame.status.render()
        heat = gr.Image(
            label="Where they differ", format="png", type="filepath", interactive=False, buttons=["fullscreen"],
            elem_id="heat", height=380, alt_text="The first picture, brightest where the second differs most",
        )  # fmt: skip
        frame.download.render()
    with frame.column("settings"):
        side = gr.Slider(
            0, page.limits.max_size, 0, step=32, precision=0, label="Size", interactive=True, info=SIZE,
        )  # fmt: skip
        scale = gr.Checkbox(False, label=label("scale_to_a"), interactive=True, info=SCALE)
        drawn = choice(maps, maps[0], label="Heat map of", interactive=True)

    def compare(
        job: Job, files: RunFiles, *, a: str | None, b: str | None, size: int, map_of: str, scale_to_a: bool
    ) -> Iterator[Updates]:
        """Measure the similarity of two pictures by all available metrics, and draw where they differ."""
        from vggapps.figures._overlay import difference_map
        from vggapps.image import comparable, open_pair
        from vggapps.losses._comparison import available, get_metrics, measure
        from vggapps.vgg._device import pick_device

        if a is None or b is None:
            raise SettingsError("two pictures are needed", "drop one on A and one on B")
        yield {frame.status: "1 % · reading the pictures"}
        device = pick_device("auto")
        pictures = open_pair(a, b, longer_side=int(size) or None, scale_to_a=bool(scale_to_a))
        x, y = (picture.to(device) for picture in comparable(*pictures, scale_to_a=bool(scale_to_a)))
        metrics = get_metrics(available())
        losses = {metric: loaded(metric.make, device) for metric in metrics}
        rows = []
        for done, metric in enumerate(metrics, 1):
            found = job.call(lambda metric=metric: measure({metric: losses[metric]}, x, y))  # type: ignore[misc]
            value = found.values[metric.name]
            shown = "pictures too small" if value is None else metric.text(value)
            if found.errors:
                shown = sentence(found.errors[metric.name])
            rows.append([metric.title, shown, "lower" if metric.lower_is_better else "higher"])
            yield {table: rows, frame.status: f"{90 * done / len(metrics):.0f} % · {metric.title}"}
        picture, peak = job.call(lambda: difference_map(x, losses[METRICS[map_of]](x, y, map=True)))
        path = files.save(picture, "where-they-differ", {"map_of": map_of, "yellow": peak})
        yield {heat: path, frame.download: path, frame.status: f"100 % · yellow is the maximum, {peak:.3g} by {map_of}"}

    inputs = {"a": a, "b": b, "size": side, "map_of": drawn, "scale_to_a": scale}
    helps = {"a": "A picture.", "b": "The picture to compare it with, of the same size.", "size": SIZE}
    helps |= {"map_of": "The metric of the map.", "scale_to_a": SCALE}
    frame.offer(compare, inputs, [table, heat, frame.download], helps=helps, required=("a", "b"), quick=_is_quick)


def _is_quick(given: Mapping[str, Any]) -> bool:
    """Whether the pictures are small enough for all metrics within seconds."""
    from vggapps.image import size_of

    sides = [int(given["size"] or 0) or max(size_of(given[name])) for name in ("a", "b") if given[name]]
    return max(sides, default=0) <= QUICK_SIDE
