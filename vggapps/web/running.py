"""What all tabs share: the page, the networks in memory, and how a run reports its progress."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from gradio.components import Component

from vggapps.web.device import Device, Job, Updates
from vggapps.web.files import Results
from vggapps.web.limits import Limits

if TYPE_CHECKING:
    from vggapps.optimize._step import Step
    from vggapps.vgg._network import VGG
    from vggapps.vgg._plan import Dtype

N = TypeVar("N")

_LIVE: WeakSet[Any] = WeakSet()  # networks that the page has loaded, and that somebody still uses


@dataclass(frozen=True, eq=False)
class Page:
    """What all parts of the page share.

    Attributes:
        device: where work is done.
        limits: what is accepted.
        results: the files that were made.
    """

    device: Device
    limits: Limits
    results: Results


def drained(
    job: Job, steps: Iterator[Step], line: Component, preview: Callable[[Step], Updates]
) -> Generator[Updates, None, Step]:
    """Run to the last step or until the job is to end, with previews and progress on the way; returns the step.

    Args:
        job: the job that runs.
        steps: of an optimization.
        line: the status line.
        preview: what to show of a step.

    Raises:
        Refused: the job ended before the first step, or the visitor left.
    """
    step = None
    for step in job.iterate(steps):
        if job.wants_preview:
            yield {**preview(step), line: progress(step)}
    if step is None or job.reason == "left":
        raise job.ended_empty()
    return step


def progress(step: Step) -> str:
    """How far a run is, and how long the rest takes."""
    height, width = step.size
    left = f"about {step.seconds_left:.0f} s left" if step.index > 2 else "just begun"
    return f"{100 * step.fraction:.0f} % · step {step.index} of {step.total} · {width} x {height} px · {left}"


def with_progress(job: Job, line: Component, steps: Sequence[int]) -> Iterator[int]:
    """Pass on the steps of something slow, and show how far it is."""
    for done, step in enumerate(steps):
        if job.wants_preview:
            job.show({line: f"{100 * done / len(steps):.0f} % · {done} of {len(steps)}"})
        yield step


def ending(job: Job, seconds: float) -> str:
    """How a run has ended."""
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
