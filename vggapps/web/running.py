"""Shared by all tabs: the page, the cache of networks, and the progress of a run."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from gradio.components import Component

from vggapps.style._settings import StylizeSettings
from vggapps.web.device import Device, Job, Reason, Updates
from vggapps.web.files import Results
from vggapps.web.limits import Limits

if TYPE_CHECKING:
    from vggapps.optimize._step import Step
    from vggapps.vgg._network import VGG
    from vggapps.vgg._plan import Dtype
    from vggapps.web.previews import Previews

N = TypeVar("N")

_LIVE: WeakSet[Any] = WeakSet()  # loaded networks that are still in use
_LOADING = Lock()


@dataclass(frozen=True, eq=False)
class Page:
    """The parts of a page.

    Attributes:
        device: runs its long jobs.
        quick: runs its quick jobs, between the operations of the long ones.
        limits: what it accepts.
        results: the files of its results.
        previews: what visitors want to see before.
    """

    device: Device
    quick: Device
    limits: Limits
    results: Results
    previews: Previews

    def stop(self, session: str, reason: Reason = "stopped") -> int:
        """Stop the jobs of a session; returns their number."""
        return self.device.stop(session, reason) + self.quick.stop(session, reason)

    def leave(self, session: str) -> None:
        """End a session: stop its jobs and delete its files."""
        self.stop(session, "left")
        self.results.clear(session)
        self.previews.clear(session)

    def close(self) -> None:
        """Stop all jobs and wait until they have ended."""
        self.device.close()
        self.quick.close()


def drained(
    job: Job, steps: Iterator[Step], line: Component, preview: Callable[[Step], Updates]
) -> Generator[Updates, None, Step]:
    """Run an optimization until its last step or the end of the job; yields previews and progress in the status line.

    Returns:
        The last step.

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
    """The status line of a running optimization."""
    height, width = step.size
    left = f"about {step.seconds_left:.0f} s left" if step.index > 2 else "just started"
    return f"{100 * step.fraction:.0f} % · step {step.index} of {step.total} · {width} x {height} px · {left}"


def with_progress(job: Job, line: Component, steps: Sequence[int]) -> Iterator[int]:
    """Iterate over steps and show the progress in the status line."""
    for done, step in enumerate(steps):
        if job.wants_preview:
            job.show({line: f"{100 * done / len(steps):.0f} % · {done} of {len(steps)}"})
        yield step


def ending(job: Job, seconds: float) -> str:
    """The status line of a finished optimization."""
    if job.reason == "stopped":
        return f"100 % · stopped after {seconds:.0f} s; the picture is kept"
    if job.reason == "time":
        return f"100 % · ended at the time limit of {job.seconds:.0f} s; the picture is kept"
    return f"100 % · done in {seconds:.0f} s"


def loaded(load: Callable[..., N], *arguments: Any) -> N:
    """Load networks and cache the most recent ones.

    Each thread has its own networks, because hooks are part of a network. Weights that several have in common are
    stored once.
    """
    with _LOADING:
        result: N = _loaded(get_ident(), load, *arguments)
        return result


@lru_cache(maxsize=16)  # about as many as a visitor who tries every tab needs
def _loaded(_: int, load: Callable[..., N], *arguments: Any) -> N:
    from torch import nn

    from vggapps.vgg._moving import share_weights

    result = load(*arguments)
    networks: Any = result.values() if isinstance(result, Mapping) else [getattr(result, "network", result)]
    for network in networks:
        if isinstance(network, nn.Module):
            for other in _LIVE:
                share_weights(network, other)
            _LIVE.add(network)
    return result


def network(settings: StylizeSettings) -> VGG:
    """The cached network for the backbone and pooling of these settings."""
    from vggapps.style._transfer import load_backbone

    vgg: VGG = loaded(load_backbone, StylizeSettings(backbone=settings.backbone, pooling=settings.pooling))
    return vgg


def classifying(backbone: str, dtype: Dtype = "auto") -> VGG:
    """A network with classes; the views and explanations of the page share its weights."""
    from vggapps.weights._backbone import load_network

    return load_network(backbone, needs="classes", device="auto", dtype=dtype)
