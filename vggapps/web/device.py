"""One worker for a device: jobs wait in a queue, report what there is to show, and can be stopped at any moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition, Lock
from typing import Any, Literal, TypeVar

from vggapps.errors import VggappsError

T = TypeVar("T")
Updates = Mapping[Any, Any]  # what is to be shown, by where
Reason = Literal["", "stopped", "time", "left"]

HEARTBEAT = 0.4  # seconds: the longest time without anything for a visitor, who may leave then
LOST_AFTER = 10.0  # seconds without a poll after which a visitor counts as gone: Gradio does not always tell
PREVIEW_INTERVAL = 0.3  # seconds


class Refused(VggappsError):
    """A job that was not accepted, or ended with nothing to show."""


@dataclass(frozen=True)
class Heartbeat:
    """A job that has nothing new.

    Attributes:
        ahead: how many jobs are before it; 0 while it runs.
        seconds: since it began to wait, or to run.
    """

    ahead: int
    seconds: float


class Job:
    """The work of one visitor. It runs in the device's thread and is followed from the visitor's.

    Attributes:
        reason: why it is to end early: it was ``stopped``, its ``time`` is over, or the visitor ``left``; else empty.
        seconds: that it may take.
    """

    def __init__(self, device: Device, session: str, work: Callable[[Job], Iterator[Updates]], seconds: float) -> None:
        self.session, self.reason = session, ""
        self.seconds = seconds
        self._device, self._work = device, work
        self._started, self._deadline, self._last_shown = time.monotonic(), float("inf"), 0.0
        self._last_poll = self._started
        self._updates: dict[Any, Any] = {}
        self._changed = Condition()
        self._future: Future[None]

    # The device's side.

    def run(self) -> None:
        """Do the work."""
        self._device.position(self)  # which waits until it is in the queue
        self._started = time.monotonic()
        self._deadline = self._started + self.seconds
        if self.should_end():
            raise self.ended_empty()
        for updates in self._work(self):
            self.show(updates)

    def show(self, updates: Updates) -> None:
        """Show something from within the work; later updates replace earlier ones."""
        with self._changed:
            self._last_shown = time.monotonic()
            self._updates |= updates
            self._changed.notify_all()

    @property
    def wants_preview(self) -> bool:
        """Whether it is time for another preview: the last one has been fetched, and a while ago."""
        return not self._updates and time.monotonic() - self._last_shown >= PREVIEW_INTERVAL

    def should_end(self) -> bool:
        """Whether the work is to end."""
        if not self.reason and time.monotonic() > self._deadline:
            self.reason = "time"
        return bool(self.reason) or self.abandoned

    @property
    def abandoned(self) -> bool:
        """Whether its visitor has left."""
        if time.monotonic() - self._last_poll > LOST_AFTER:
            self.reason = "left"
        return self.reason == "left"

    def iterate(self, items: Iterator[T]) -> Iterator[T]:
        """The items, until they or the job end; an item that is unfinished by then is dropped."""
        from vggapps.optimize._interrupt import Interrupted, interruptible

        while not self.should_end():
            try:
                with interruptible(self.should_end):
                    item = next(items)
            except (StopIteration, Interrupted):
                return
            yield item

    def call(self, make: Callable[[], T]) -> T:
        """The result of a function.

        Raises:
            Refused: the job was to end before the function returned.
        """
        from vggapps.optimize._interrupt import Interrupted, interruptible

        try:
            with interruptible(self.should_end):
                return make()
        except Interrupted:
            raise self.ended_empty() from None

    def ended_empty(self) -> Refused:
        """The error for a job that ends with nothing to show."""
        if self.reason == "time":
            hint = "choose a smaller size, fewer steps or a quicker method"
            return Refused(f"this took longer than the {self.seconds:g} seconds that a run may take here", hint)
        return Refused("stopped before there was anything to show")

    # The visitor's side.

    @property
    def ahead(self) -> int:
        """How many jobs are before it; 0 while it runs."""
        return self._device.position(self)

    def stop(self, reason: Reason = "stopped") -> None:
        """End soon, with what there is unless the visitor ``left``."""
        self.reason = self.reason or reason
        self._future.cancel()  # if it waits; running work checks for itself

    def follow(self) -> Iterator[Updates | Heartbeat]:
        """What there is to show, and a :class:`Heartbeat` at least every :data:`HEARTBEAT` seconds; closing the
        iterator ends the job.

        Raises:
            Exception: whatever the work raised.
        """
        try:
            while True:
                self._last_poll = time.monotonic()
                with self._changed:
                    self._changed.wait_for(lambda: self._updates or self._future.done(), HEARTBEAT)
                    updates, self._updates, done = self._updates, {}, self._future.done()
                if updates:
                    yield updates
                elif done:
                    break
                else:
                    yield Heartbeat(self.ahead, time.monotonic() - self._started)
            try:
                self._future.result()
            except CancelledError:
                raise self.ended_empty() from None
        finally:
            self.stop("left")

    def _ended(self, _: Future[None]) -> None:
        self._device.remove(self)
        with self._changed:
            self._changed.notify_all()


class Device:
    """A worker that runs one job after another, in the order of submission.

    A job begins when the one before has really ended, not when the visitor of that has left.

    Args:
        waiting: how many jobs may wait.
        seconds: that each may take.
    """

    def __init__(self, waiting: int, seconds: float) -> None:
        self.waiting, self.seconds = waiting, seconds
        self._worker = ThreadPoolExecutor(1, "device")
        self._queue: list[Job] = []
        self._lock = Lock()

    def submit(self, session: str, work: Callable[[Job], Iterator[Updates]]) -> Job:
        """Put work into the queue.

        Args:
            session: whose it is.
            work: takes the job, and yields what is to be shown.

        Raises:
            Refused: too many wait already.
        """
        job = Job(self, session, work, self.seconds)
        with self._lock:
            if len(self._queue) > self.waiting:
                others = "one other is" if len(self._queue) == 1 else f"{len(self._queue)} others are"
                raise Refused(f"{others} before you, and more can't wait", "try again in a minute")
            self._queue.append(job)
            job._future = self._worker.submit(job.run)
        job._future.add_done_callback(job._ended)
        return job

    def stop(self, session: str, reason: Reason = "stopped") -> int:
        """Stop the jobs of a session; returns how many."""
        with self._lock:
            jobs = [job for job in self._queue if job.session == session]
        for job in jobs:
            job.stop(reason)
        return len(jobs)

    def position(self, job: Job) -> int:
        """Of a job in the queue, from 0; 0 for one that is done. Jobs of visitors who have left don't count."""
        with self._lock:
            left = [other for other in self._queue if other is not job and other.abandoned]
        for other in left:
            other.stop("left")
        with self._lock:
            return self._queue.index(job) if job in self._queue else 0

    def remove(self, job: Job) -> None:
        """Take a job out of the queue."""
        with self._lock:
            if job in self._queue:
                self._queue.remove(job)

    def __len__(self) -> int:
        """How many jobs are in the queue, with the one that runs."""
        return len(self._queue)

    def close(self) -> None:
        """Stop all work, and wait until the device is free."""
        for job in list(self._queue):
            job.stop("left")
        self._worker.shutdown(wait=True, cancel_futures=True)
