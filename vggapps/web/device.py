"""One worker a device: work waits in line, shows what it has, and can be stopped at any moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition, Lock
from typing import Any, Literal, TypeVar

from vggapps.errors import VggappsError

T = TypeVar("T")
News = Mapping[Any, Any]  # what is to be shown, by where
Reason = Literal["", "stopped", "time", "left"]

BEAT = 0.4  # seconds: at least so often a visitor hears, and may leave
GONE = 10.0  # seconds after which one of whom nothing is heard has left: Gradio does not always say so
EVERY = 0.3  # seconds between pictures of a run


class Refused(VggappsError):
    """Work that is not taken on, or was given up."""


@dataclass(frozen=True)
class Beat:
    """Nothing new.

    Attributes:
        ahead: how many are served before this one; 0 while it is this one's turn.
        seconds: since it began to wait, or its turn began.
    """

    ahead: int
    seconds: float


class Job:
    """Work of one visitor. It is done in the device's thread and followed from the visitor's.

    Attributes:
        reason: why it is to end early, empty while it is not: somebody ``stopped`` it, its ``time`` is over, or the
            visitor ``left``.
        seconds: that it may take.
    """

    def __init__(self, device: Device, session: str, work: Callable[[Job], Iterator[News]], seconds: float) -> None:
        self.session, self.reason = session, ""
        self.seconds = seconds
        self._device, self._work = device, work
        self._since, self._deadline, self._told = time.monotonic(), float("inf"), 0.0
        self._heard = self._since
        self._news: dict[Any, Any] = {}
        self._changed = Condition()
        self._future: Future[None]

    # The device's side.

    def run(self) -> None:
        """Do the work, now."""
        self._device.place(self)  # which waits until it has been put in line
        self._since = time.monotonic()
        self._deadline = self._since + self.seconds
        if self.asked():
            raise self.given_up()
        for news in self._work(self):
            self.tell(news)

    def tell(self, news: News) -> None:
        """Show something from within the work, later news over earlier."""
        with self._changed:
            self._told = time.monotonic()
            self._news |= news
            self._changed.notify_all()

    @property
    def wants(self) -> bool:
        """Whether it is time for another picture: the one before has been seen, and for long enough."""
        return not self._news and time.monotonic() - self._told >= EVERY

    def asked(self) -> bool:
        """Whether to end."""
        if not self.reason and time.monotonic() > self._deadline:
            self.reason = "time"
        return bool(self.reason) or self.gone

    @property
    def gone(self) -> bool:
        """Whether nobody follows it any more."""
        if time.monotonic() - self._heard > GONE:
            self.reason = "left"
        return self.reason == "left"

    def until_asked(self, items: Iterator[T]) -> Iterator[T]:
        """Items of something long, until they or the job are at an end; the one that is being made is given up."""
        from vggapps.optimize._interrupt import Interrupted, interruptible

        while not self.asked():
            try:
                with interruptible(self.asked):
                    item = next(items)
            except (StopIteration, Interrupted):
                return
            yield item

    def whole(self, make: Callable[[], T]) -> T:
        """Something that is worth nothing half done.

        Raises:
            Refused: somebody asked to end before it was there.
        """
        from vggapps.optimize._interrupt import Interrupted, interruptible

        try:
            with interruptible(self.asked):
                return make()
        except Interrupted:
            raise self.given_up() from None

    def given_up(self) -> Refused:
        """The error for work that ends with nothing to show."""
        if self.reason == "time":
            hint = "choose a smaller size, fewer steps or a quicker method"
            return Refused(f"this took longer than the {self.seconds:g} seconds that a run may take here", hint)
        return Refused("stopped before there was anything to show")

    # The visitor's side.

    @property
    def ahead(self) -> int:
        """How many are served before; 0 when it is this one's turn."""
        return self._device.place(self)

    def stop(self, reason: Reason = "stopped") -> None:
        """End soon; unless it ``left``, with what there is."""
        self.reason = self.reason or reason
        self._future.cancel()  # where it waits; what has begun looks for itself

    def follow(self) -> Iterator[News | Beat]:
        """What there is to show, and at least every :data:`BEAT` seconds a :class:`Beat`; whoever stops listening
        lets go of the device.

        Raises:
            Exception: whatever the work raised.
        """
        try:
            while True:
                self._heard = time.monotonic()
                with self._changed:
                    self._changed.wait_for(lambda: self._news or self._future.done(), BEAT)
                    news, self._news, done = self._news, {}, self._future.done()
                if news:
                    yield news
                elif done:
                    break
                else:
                    yield Beat(self.ahead, time.monotonic() - self._since)
            try:
                self._future.result()
            except CancelledError:
                raise self.given_up() from None
        finally:
            self.stop("left")

    def _ended(self, _: Future[None]) -> None:
        self._device.forget(self)
        with self._changed:
            self._changed.notify_all()


class Device:
    """A worker that does one thing after another, in the order in which they were asked for.

    Its next work begins when the one before has really ended, not when its visitor has gone.

    Args:
        waiting: how many may wait.
        seconds: that each may take.
    """

    def __init__(self, waiting: int, seconds: float) -> None:
        self.waiting, self.seconds = waiting, seconds
        self._worker = ThreadPoolExecutor(1, "device")
        self._line: list[Job] = []
        self._lock = Lock()

    def submit(self, session: str, work: Callable[[Job], Iterator[News]]) -> Job:
        """Put work in line.

        Args:
            session: whose it is.
            work: takes the job, and yields what is to be shown.

        Raises:
            Refused: too many wait already.
        """
        job = Job(self, session, work, self.seconds)
        with self._lock:
            if len(self._line) > self.waiting:
                others = "one other is" if len(self._line) == 1 else f"{len(self._line)} others are"
                raise Refused(f"{others} before you, and more can't wait", "try again in a minute")
            self._line.append(job)
            job._future = self._worker.submit(job.run)
        job._future.add_done_callback(job._ended)
        return job

    def stop(self, session: str, reason: Reason = "stopped") -> int:
        """Stop what a session has asked for; how many that were."""
        with self._lock:
            jobs = [job for job in self._line if job.session == session]
        for job in jobs:
            job.stop(reason)
        return len(jobs)

    def place(self, job: Job) -> int:
        """Of a job in line, counted from 0; 0 for one that is done. Those who have left don't count."""
        with self._lock:
            left = [other for other in self._line if other is not job and other.gone]
        for other in left:
            other.stop("left")
        with self._lock:
            return self._line.index(job) if job in self._line else 0

    def forget(self, job: Job) -> None:
        """It no longer stands in line."""
        with self._lock:
            if job in self._line:
                self._line.remove(job)

    def __len__(self) -> int:
        """How many are in line, the one that is served included."""
        return len(self._line)

    def close(self) -> None:
        """Stop all work, and wait until the device is free."""
        for job in list(self._line):
            job.stop("left")
        self._worker.shutdown(wait=True, cancel_futures=True)
