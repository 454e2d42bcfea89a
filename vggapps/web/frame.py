"""The frame of a tab: columns for inputs, results and settings; run and Stop buttons, status line and download.

A tab places its controls in the columns and passes one generator::

    frame = Frame(page, "classify", "Name it")
    with frame.column("inputs"):
        image = upload("Picture", page.limits)
        frame.buttons()
    with frame.column("results"):
        label = gr.Label()
        frame.status.render()
    frame.offer(classify, {"image": image}, [label], helps={"image": "The picture."}, required=("image",))
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import gradio as gr
from gradio.components import Component

from vggapps.web.device import Heartbeat, Job, Updates
from vggapps.web.files import RunFiles
from vggapps.web.messages import refusal, sentence
from vggapps.web.running import Page

Work = Callable[..., Iterator[Updates]]
During = Callable[[str], AbstractContextManager[Any]]
Quick = bool | Callable[[Mapping[str, Any]], bool]

STATUS = """
<div class="status" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100"
 aria-valuenow="${parseInt(value) || 0}" style="--done: ${parseInt(value) || 0}%"><span>{{value}}</span></div>
"""


class Frame:
    """The frame of a tab.

    Args:
        page: the page.
        name: the name of the tab, used in the ids of its button, status line and download.
        verb: the text of the button.

    Attributes:
        status: the status line, a progress bar whose text begins with the percentage; the tab renders it.
        download: a button that appears with the result; the tab renders it if it has one.
    """

    def __init__(self, page: Page, name: str, verb: str) -> None:
        self.page, self._name = page, name
        self.status: Any = gr.HTML(
            "", label="Status", html_template=STATUS, js_on_load=None, elem_id=f"{name}-status", render=False
        )
        self.download: Any = gr.DownloadButton(
            "Download", elem_id=f"{name}-download", visible=False, min_width=120, render=False
        )
        self._run: Any = gr.Button(verb, variant="primary", elem_id=name, scale=2, render=False)
        self._stop: Any = gr.Button("Stop", elem_id=f"{name}-stop", render=False)
        self._row = gr.Row(elem_classes="work")

    @contextmanager
    def column(self, kind: Literal["inputs", "results", "settings"]) -> Iterator[None]:
        """The column for these components."""
        with self._row, gr.Column(elem_classes=kind):
            yield

    def buttons(self) -> None:
        """Render the run and Stop buttons."""
        with gr.Row():
            self._run.render()
            self._stop.render()
        self._stop.click(self._stop_runs, api_name=f"{self._name}-stop", api_visibility="private", queue=False)

    def before(self, update: Callable[[], Any], outputs: Sequence[Component], *buttons: Any) -> None:
        """Update components when the run button, or one of these, is pressed."""
        triggers = [button.click for button in (self._run, *buttons)]
        gr.on(triggers, update, None, list(outputs), api_visibility="private", queue=False)

    def offer(
        self,
        work: Work,
        inputs: Mapping[str, Component],
        outputs: Sequence[Component],
        *,
        helps: Mapping[str, str],
        required: Sequence[str] = (),
        quick: Quick = False,
        on: Callable[..., Any] | None = None,
        live: bool = False,
        during: During = nullcontext,
    ) -> Any:
        """Run work when the button is pressed, and expose it as a named API endpoint.

        Args:
            work: ``(job, files, **inputs)`` yields updates; its name and docstring are the endpoint's.
            inputs: the component of each argument.
            outputs: the components that it may update, besides the status line.
            helps: descriptions of the arguments.
            required: the arguments without a default, which come first.
            quick: whether it takes seconds at most, so that it need not wait for pictures of others; by the arguments,
                if it depends on them.
            on: another event of Gradio than the button's click.
            live: whether it follows what the visitor does, without a press of a button: the newest event is answered
                and those between are dropped, components keep their values until there are new ones, errors are shown
                only in the status line, and files are those of a preview.
            during: a context, by the session, from the press of the button to the result.

        Returns:
            Gradio's event, to chain others.
        """
        done = (on or self._run.click)(
            _endpoint(self.page, work, inputs, [*outputs, self.status], helps, required, quick, live, during),
            list(inputs.values()),
            [*outputs, self.status],
            api_name=work.__name__,
            concurrency_limit=None,  # vggapps.web.device has its own queue
            trigger_mode="always_last" if live else "once",
            show_progress="hidden",
        )
        if self.download.is_rendered and not live:
            done.success(lambda: gr.update(visible=True), None, self.download, api_visibility="private", queue=False)
        return done

    def _stop_runs(self, request: gr.Request) -> None:
        if not self.page.stop(request.session_hash or ""):
            gr.Info("There is nothing to stop.", duration=3)


def _endpoint(
    page: Page,
    work: Work,
    inputs: Mapping[str, Component],
    outputs: Sequence[Component],
    helps: Mapping[str, str],
    required: Sequence[str],
    quick: Quick,
    live: bool,
    during: During,
) -> Callable[..., Iterator[Any]]:
    """Wrap work for Gradio, which derives the API from the name, signature and docstring."""
    line = outputs[-1]

    def endpoint(request: gr.Request, *values: Any) -> Iterator[Any]:
        given = dict(zip(inputs, values, strict=True))
        # Accumulated, because API clients need complete results; the page updates only what has changed.
        shown: dict[Component, Any] = {one: gr.skip() if live or isinstance(one, gr.State) else None for one in outputs}
        try:
            session = request.session_hash or ""
            files: RunFiles = page.previews.files(session) if live else page.results.run(session)

            def start(job: Job) -> Iterator[Updates]:
                return work(job, files, **given)

            device = page.quick if (quick(given) if callable(quick) else quick) else page.device
            with during(session):
                for updates in device.submit(session, start).follow():
                    shown |= _waiting(updates, line) if isinstance(updates, Heartbeat) else updates
                    yield [*shown.values()]
        except Exception as error:
            shown[line] = sentence(error)
            yield [*shown.values()]
            raise refusal(shown[line], visible=not live) from None

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
