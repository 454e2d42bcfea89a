"""The tab that measures how alike two pictures are."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from vggapps.errors import SettingsError
from vggapps.web.controls import choice
from vggapps.web.device import Job, Updates
from vggapps.web.files import RunFiles, upload
from vggapps.web.frame import Frame, put
from vggapps.web.messages import label, sentence
from vggapps.web.running import Page, loaded

SIZE = "Scale both down first, to this many pixels on the longer side; 0: as they are."
SCALE = "Where B has another size, scale it to that of A: bicubic, antialiased."
NONE = 0  # a size of 0: compared as they are


def compare_tab(page: Page) -> None:
    """Put the tab's content here."""
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
            headers=["Measure", "Value", "Better is"], label="How alike", interactive=False,
            elem_id="distances", buttons=[], wrap=True,
        )  # fmt: skip
        put(frame.status)
        heat = gr.Image(
            label="Where they differ", format="png", type="filepath", interactive=False, buttons=["fullscreen"],
            elem_id="heat", height=380, alt_text="The first picture, brightest where the second differs most",
        )  # fmt: skip
        put(frame.download)
    with frame.column("settings"):
        side = gr.Slider(
            NONE, page.limits.max_size, NONE, step=32, precision=0, label="Size", interactive=True,
            info=SIZE,
        )  # fmt: skip
        scale = gr.Checkbox(False, label=label("scale_to_a"), interactive=True, info=SCALE)
        drawn = choice(maps, maps[0], label="Heat map of", interactive=True)

    def compare(
        job: Job, files: RunFiles, *, a: str | None, b: str | None, size: int, map_of: str, scale_to_a: bool
    ) -> Iterator[Updates]:
        """Measure how alike two pictures are, by every measure that is here, and draw where they differ."""
        from vggapps.figures._overlay import difference_map
        from vggapps.image import comparable, open_pair
        from vggapps.losses._comparison import available, get_metrics, measure
        from vggapps.vgg._fast import pick_device

        if a is None or b is None:
            raise SettingsError("two pictures are needed", "drop one on A and one on B")
        yield {frame.status: "1 % · looking"}
        where = pick_device("auto")
        pictures = open_pair(a, b, longer_side=int(size) or None, scale_to_a=bool(scale_to_a))
        x, y = (picture.to(where) for picture in comparable(*pictures, scale_to_a=bool(scale_to_a)))
        metrics = get_metrics(available())
        losses = {metric: loaded(metric.make, where) for metric in metrics}
        rows = []
        for done, metric in enumerate(metrics, 1):
            found = job.call(lambda metric=metric: measure({metric: losses[metric]}, x, y))  # type: ignore[misc]
            value = found.values[metric.name]
            shown = "too small for it" if value is None else metric.text(value)
            if found.errors:
                shown = sentence(found.errors[metric.name])
            rows.append([metric.title, shown, "lower" if metric.lower_is_better else "higher"])
            yield {table: rows, frame.status: f"{90 * done / len(metrics):.0f} % · {metric.title}"}
        picture, peak = job.call(lambda: difference_map(x, losses[METRICS[map_of]](x, y, map=True)))
        path = files.save(picture, "where-they-differ", {"map_of": map_of, "yellow": peak})
        yield {heat: path, frame.download: path, frame.status: f"100 % · yellow is the most, {peak:.3g} by {map_of}"}

    inputs = {"a": a, "b": b, "size": side, "map_of": drawn, "scale_to_a": scale}
    helps = {"a": "A picture.", "b": "What it is compared with, of the same size.", "size": SIZE}
    helps |= {"map_of": "The measure whose map is drawn.", "scale_to_a": SCALE}
    frame.offer(compare, inputs, [table, heat, frame.download], helps=helps, required=("a", "b"))
