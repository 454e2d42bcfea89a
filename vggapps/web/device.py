"""A job queue with one worker: jobs report updates, and can be stopped and held up at any time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition, Lock
from typing import Any, Literal, TypeVar

from vggapps.errors import VggappsError
from vggapps.web.turns import Lane, Turns

T = TypeVar("T")
Updates = Mapping[Any, Any]  # new values by component
Reason = Literal["", "stopped", "time", "left"]

HEARTBEAT = 0.4  # seconds between two yields to a visitor, at which a disconnect is noticed
LOST_AFTER = 10.0  # seconds without a poll after which a visitor counts as gone: Gradio does not always report it
PREVIEW_INTERVAL = 0.3  # seconds


class Refused(VggappsError):
    """A job that was rejected, or ended without a result."""


@dataclass(frozen=True)
class Heartbeat:
    """A report of a job without updates.

    Attributes:
        ahead: number of jobs before it in the queue; 0 while it runs.
        seconds: time since it began to wait, or to run.
    """

    ahead: int
    seconds: float


class Job:
    """The work of one visitor, run in the device's thread and followed from the visitor's.

    Attributes:
        reason: why it must end early: ``stopped``, ``time`` (the limit is reached) or ``left`` (by the visitor); else
            empty.
        seconds: its time limit.
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

    # Called in the device's thread.

    def run(self) -> None:
        """Run the work."""
        self._device.position(self)  # waits until the job is in the queue
        self._started = time.monotonic()
        self._deadline = self._started + self.seconds
        if self.should_end():
            raise self.ended_empty()
        with self._device.turns.running(self._device.lane):
            for updates in self._work(self):
                self.show(updates)

    def show(self, updates: Updates) -> None:
        """Publish updates; later ones replace earlier ones."""
        with self._changed:
            self._last_shown = time.monotonic()
            self._updates |= updates
            self._changed.notify_all()

    @property
    def wants_preview(self) -> bool:
        """Whether the last updates were fetched, and long enough ago for another preview."""
        return not self._updates and time.monotonic() - self._last_shown >= PREVIEW_INTERVAL

    def should_end(self) -> bool:
        """Whether the work must end."""
        if not self.reason and time.monotonic() > self._deadline:
            self.reason = "time"
        return bool(self.reason) or self.abandoned

    def _held_up_or_ends(self) -> bool:
        """Wait for the device's turn, which does not count as time of the job; whether the work must end."""
        self._deadline += self._device.turns.wait(self._device.lane, lambda: bool(self.reason) or self.abandoned)
        return self.should_end()

    @property
    def abandoned(self) -> bool:
        """Whether the visitor has left."""
        if time.monotonic() - self._last_poll > LOST_AFTER:
            self.reason = "left"
        return self.reason == "left"

    def iterate(self, items: Iterator[T]) -> Iterator[T]:
        """Iterate until the items or the job end; an unfinished item is dropped."""
        from vggapps.optimize._interrupt import Interrupted, interruptible

        while not self.should_end():
            try:
                with interruptible(self._held_up_or_ends):
                    item = next(items)
            except (StopIteration, Interrupted):
                return
            yield item

    def call(self, make: Callable[[], T]) -> T:
        """Call a function.

        Raises:
            Refused: the job ended before the function returned.
        """
        from vggapps.optimize._interrupt import Interrupted, interruptible

        try:
            with interruptible(self._held_up_or_ends):
                return make()
        except Interrupted:
            raise self.ended_empty() from None

    def ended_empty(self) -> Refused:
        """The error for a job that ends without a result."""
        if self.reason == "time":
            hint = "choose a smaller size, fewer steps or a quicker method"
            return Refused(f"this took longer than the {self.seconds:g} seconds that a run may take here", hint)
        return Refused("stopped before there was anything to show")

    # Called in the visitor's thread.

    def stop(self, reason: Reason = "stopped") -> None:
        """End soon, with the result so far unless the visitor ``left``."""
        self.reason = self.reason or reason
        self._future.cancel()  # a waiting job; a running one checks `should_end`

    def follow(self) -> Iterator[Updates | Heartbeat]:
        """Iterate over updates, or a :class:`Heartbeat` at least every :data:`HEARTBEAT` seconds.

        Closing the iterator ends the job. Exceptions of the work are raised here.
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
                    yield Heartbeat(self._device.position(self), time.monotonic() - self._started)
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
    """A worker that runs jobs in the order of submission.

    A job starts after the previous one has ended, not already when that one's visitor has left.

    Args:
        waiting: the most jobs that may wait.
        seconds: the time limit of each job.
        turns: shared with another device that uses the same processors; by default there is none.
        lane: which of the two it is.
    """

    def __init__(self, waiting: int, seconds: float, turns: Turns | None = None, lane: Lane = "long") -> None:
        self.waiting, self.seconds, self.turns, self.lane = waiting, seconds, turns or Turns(), lane
        self._worker = ThreadPoolExecutor(1, f"device-{lane}")
        self._queue: list[Job] = []
        self._lock = Lock()

    def submit(self, session: str, work: Callable[[Job], Iterator[Updates]]) -> Job:
        """Put work of a session into the queue; the work takes the job and yields updates.

        Raises:
            Refused: the queue is full.
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
        """Stop the jobs of a session; returns their number."""
        with self._lock:
            jobs = [job for job in self._queue if job.session == session]
        for job in jobs:
            job.stop(reason)
        return len(jobs)

    def position(self, job: Job) -> int:
        """The position of a job in the queue, from 0; 0 if it is done. Jobs of visitors who have left are stopped."""
        with self._lock:
            left = [other for other in self._queue if other is not job and other.abandoned]
        for other in left:
            other.stop("left")
        with self._lock:
            return self._queue.index(job) if job in self._queue else 0

    def remove(self, job: Job) -> None:
        """Remove a job from the queue."""
        with self._lock:
            if job in self._queue:
                self._queue.remove(job)

    def __len__(self) -> int:
        """The number of jobs in the queue, including the running one."""
        return len(self._queue)

    def close(self) -> None:
        """Stop all jobs and wait until they have ended."""
        for job in list(self._queue):
            job.stop("left")
        self._worker.shutdown(wait=True, cancel_futures=True)
