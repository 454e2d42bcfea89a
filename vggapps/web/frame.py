"""The frame of a tab: inputs, results and settings side by side, a button that runs it, Stop, status and download.

A tab places its controls in the columns and hands over one generator::

    frame = Frame(page, "classify", "Name it")
    with frame.column("inputs"):
        image = upload("Picture", page.limits)
        frame.buttons()
    with frame.column("results"):
        label = gr.Label()
        put(frame.status)
    frame.offer(classify, {"image": image}, [label], helps={"image": "The picture."}, required=("image",))
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import gradio as gr
from gradio.components import Component

from vggapps.web.device import Heartbeat, Job, Updates
from vggapps.web.files import RunFiles
from vggapps.web.messages import refusal, sentence
from vggapps.web.running import Page

Work = Callable[..., Iterator[Updates]]

STATUS = """
<div class="status" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100"
 aria-valuenow="${parseInt(value) || 0}" style="--done: ${parseInt(value) || 0}%"><span>{{value}}</span></div>
"""


class Frame:
    """The frame of a tab.

    Args:
        page: the page.
        name: of the tab; its button, status line and download have it in their ids.
        verb: the text of the button.

    Attributes:
        status: a line that says how far a run is, with a bar behind it; what it shows begins with the percentage.
            The tab puts it into its results.
        download: a button that appears with the result; tabs that have one put it into their results.
    """

    def __init__(self, page: Page, name: str, verb: str) -> None:
        self.page, self._name = page, name
        self.status = gr.HTML(
            "", label="Status", html_template=STATUS, js_on_load=None, elem_id=f"{name}-status", render=False
        )
        self.download = gr.DownloadButton("Download", elem_id=f"{name}-download", visible=False, render=False)
        self._run = gr.Button(verb, variant="primary", elem_id=name, scale=2, render=False)
        self._stop = gr.Button("Stop", elem_id=f"{name}-stop", render=False)
        self._row = gr.Row(elem_classes="work")

    @contextmanager
    def column(self, kind: Literal["inputs", "results", "settings"]) -> Iterator[None]:
        """The column for that kind of components."""
        with self._row, gr.Column(elem_classes=kind):
            yield

    def buttons(self) -> None:
        """Put the button that runs the tab here, and Stop."""
        with gr.Row():
            put(self._run, self._stop)

    def before(self, update: Callable[[], Any], outputs: Sequence[Component]) -> None:
        """Update components when the button is pressed."""
        self._run.click(update, None, list(outputs), api_visibility="private", queue=False)

    def offer(
        self,
        work: Work,
        inputs: Mapping[str, Component],
        outputs: Sequence[Component],
        *,
        helps: Mapping[str, str],
        required: Sequence[str] = (),
    ) -> Any:
        """Run work by the button, and offer it as a named endpoint.

        Args:
            work: ``(job, files, **inputs)`` yields what is to be shown; its name and docstring are the endpoint's.
            inputs: for each of its arguments a component.
            outputs: the components in which it may show something, besides the status line.
            helps: what each argument is.
            required: the first of the inputs, which can't be left out.

        Returns:
            Gradio's event, for what is to happen after it.
        """
        done = self._run.click(
            _endpoint(self.page, work, inputs, [*outputs, self.status], helps, required),
            list(inputs.values()),
            [*outputs, self.status],
            api_name=work.__name__,
            concurrency_limit=None,  # the queue is the device's own, see vggapps.web.device
            trigger_mode="once",
            show_progress="hidden",
        )
        if self.download.is_rendered:
            done.success(lambda: gr.update(visible=True), None, self.download, api_visibility="private", queue=False)
        self._stop.click(_stopping(self.page), api_name=f"{self._name}-stop", api_visibility="private", queue=False)
        return done


def put(*components: Any) -> None:
    """Put components of a frame here."""
    for component in components:
        component.render()


def _stopping(page: Page) -> Callable[[gr.Request], None]:
    def stop(request: gr.Request) -> None:
        if not page.device.stop(request.session_hash or ""):
            gr.Info("There is nothing to stop.", duration=3)

    return stop


def _endpoint(
    page: Page,
    work: Work,
    inputs: Mapping[str, Component],
    outputs: Sequence[Component],
    helps: Mapping[str, str],
    required: Sequence[str],
) -> Callable[..., Iterator[Any]]:
    """The work as a function for Gradio, which reads its name, signature and docstring for the API."""
    line = outputs[-1]

    def endpoint(request: gr.Request, *values: Any) -> Iterator[Any]:
        given = dict(zip(inputs, values, strict=True))
        # All that there is to show so far: programs get whole answers, and the page changes only what is new.
        shown: dict[Component, Any] = {one: gr.skip() if isinstance(one, gr.State) else None for one in outputs}
        try:
            session = request.session_hash or ""
            files: RunFiles = page.results.run(session)

            def start(job: Job) -> Iterator[Updates]:
                return work(job, files, **given)

            for updates in page.device.submit(session, start).follow():
                shown |= _waiting(updates, line) if isinstance(updates, Heartbeat) else updates
                yield [*shown.values()]
        except Exception as error:
            shown[line] = sentence(error)
            yield [*shown.values()]
            raise refusal(shown[line]) from None

    endpoint.__name__ = work.__name__
    endpoint.__doc__ = f"{inspect.getdoc(work)}\n\nArgs:\n" + "\n".join(f"    {n}: {helps.get(n, '')}" for n in inputs)
    parameters = [inspect.Parameter("request", inspect.Parameter.POSITIONAL_ONLY, annotation=gr.Request)]
    for name in inputs:
        default = inspect.Parameter.empty if name in required else None
        parameters.append(inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default))
    endpoint.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    endpoint.__annotations__ = {"request": gr.Request}
    return endpoint


def _waiting(beat: Heartbeat, line: Component) -> Updates:
    if not beat.ahead:
        return {}
    others = "one visitor is" if beat.ahead == 1 else f"{beat.ahead} visitors are"
    return {line: f"0 % · waiting: {others} before you"}
