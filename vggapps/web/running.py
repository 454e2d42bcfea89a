"""From a button to the device and back: endpoints with names, a place in line, progress, errors in words."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

import gradio as gr
from gradio.components import Component

from vggapps.web.device import Beat, Device, Job, News
from vggapps.web.files import Shelves
from vggapps.web.limits import Limits
from vggapps.web.telling import refusal, sentence

if TYPE_CHECKING:
    from vggapps.optimize._step import Step
    from vggapps.vgg._network import VGG
    from vggapps.vgg._plan import Dtype

N = TypeVar("N")
Work = Callable[..., Iterator[News]]

_LIVE: WeakSet[Any] = WeakSet()  # networks that the page has loaded, and that somebody still uses

STATUS = """
<div class="status" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100"
 aria-valuenow="${parseInt(value) || 0}" style="--done: ${parseInt(value) || 0}%"><span>{{value}}</span></div>
"""


@dataclass(frozen=True, eq=False)
class Page:
    """What all parts of the page share.

    Attributes:
        device: where work is done.
        limits: what is taken on.
        shelves: where results stand.
    """

    device: Device
    limits: Limits
    shelves: Shelves


def status(**properties: Any) -> gr.HTML:
    """A line that says how far a run is, and a bar behind it. What it shows begins with the percentage."""
    return gr.HTML("", label="Status", html_template=STATUS, js_on_load=None, **properties)


def offer(
    page: Page,
    event: Callable[..., Any],
    work: Work,
    inputs: Mapping[str, Component],
    outputs: Sequence[Component],
    line: gr.HTML,
    *,
    helps: Mapping[str, str],
    required: Sequence[str],
) -> Any:
    """Offer work as a named endpoint, and let an event of the page start it.

    Args:
        page: the page.
        event: a button's ``click``.
        work: ``(job, shelf, **inputs)`` yields what is to be shown; its name and docstring are the endpoint's.
        inputs: for each of its arguments a component.
        outputs: what it may show something in.
        line: shows how far it is.
        helps: what each argument is.
        required: the first of the inputs, which can't be left out.
    """

    def endpoint(request: gr.Request, *values: Any) -> Iterator[Any]:
        given = dict(zip(inputs, values, strict=True))
        # All that there is to show so far: a program that asks gets whole answers, and the page changes what is new.
        shown: dict[Component, Any] = {
            one: gr.skip() if isinstance(one, gr.State) else None for one in [*outputs, line]
        }
        try:
            session = request.session_hash or ""
            shelf = page.shelves.run(session)
            for news in page.device.submit(session, lambda job: work(job, shelf, **given)).follow():
                shown |= _place(news, line) if isinstance(news, Beat) else news
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
    return event(
        endpoint,
        list(inputs.values()),
        [*outputs, line],
        api_name=work.__name__,
        concurrency_limit=None,  # the line is the device's own, see vggapps.web.device
        trigger_mode="once",
        show_progress="hidden",
    )


def _place(beat: Beat, line: gr.HTML) -> News:
    if not beat.ahead:
        return {}
    others = "one visitor is" if beat.ahead == 1 else f"{beat.ahead} visitors are"
    return {line: f"0 % · waiting: {others} before you"}


def how_far(step: Step) -> str:
    """A step in a line: how much is done, and how long the rest takes."""
    height, width = step.size
    left = f"about {step.seconds_left:.0f} s left" if step.index > 2 else "just begun"
    return f"{100 * step.fraction:.0f} % · step {step.index} of {step.total} · {width} x {height} px · {left}"


def counted(job: Job, line: gr.HTML, steps: Sequence[int]) -> Iterator[int]:
    """Pass on the steps of something slow, and show how far it is."""
    for done, step in enumerate(steps):
        if job.wants:
            job.tell({line: f"{100 * done / len(steps):.0f} % · {done} of {len(steps)}"})
        yield step


def ended(job: Job, seconds: float) -> str:
    """How a run came to its end."""
    if job.reason == "stopped":
        return f"100 % · stopped after {seconds:.0f} s; the picture is kept"
    if job.reason == "time":
        return f"100 % · ended after {job.seconds:.0f} s, the most that a run may take here; the picture is kept"
    return f"100 % · done in {seconds:.0f} s"


@lru_cache(maxsize=10)  # about what a visitor who tries every tab uses
def loaded(load: Callable[..., N], *arguments: Any) -> N:
    """Networks stay in memory for the next visitor, the last few of them. Only the device's thread asks for them.

    Weights that several of them have in common are kept once.
    """
    from torch import nn

    from vggapps.vgg._moving import share

    made = load(*arguments)
    parts: Any = made.values() if isinstance(made, Mapping) else [getattr(made, "network", made)]
    for network in parts:
        if isinstance(network, nn.Module):
            for other in _LIVE:
                share(network, other)
            _LIVE.add(network)
    return made


def classifying(backbone: str, dtype: Dtype = "auto") -> VGG:
    """A network with classes, kept for the next visitor; views and explanations of it share its weights."""
    from vggapps.weights._backbone import load_network

    return load_network(backbone, needs="classes", device="auto", dtype=dtype)


def reveal(done: Any, download: gr.DownloadButton) -> None:
    """Show the button once there is something to download."""
    done.success(lambda: gr.update(visible=True), None, download, api_visibility="private", queue=False)


def stopping(page: Page, button: gr.Button, *, named: bool = False) -> None:
    """Let a button stop what its visitor has asked for."""

    def stop(request: gr.Request) -> None:
        """Stop whatever this session runs or waits for; a picture that is there by then is kept as it is."""
        if not page.device.stop(request.session_hash or ""):
            gr.Info("There is nothing to stop.", duration=3)

    visibility = "public" if named else "private"
    button.click(stop, api_name="stop" if named else None, api_visibility=visibility, queue=False)
