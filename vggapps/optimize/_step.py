"""The steps of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError


@dataclass(frozen=True)
class Progress:
    """One step of a run, of optimizing a picture or training a network.

    Attributes:
        index: of the step in the whole run, from 1.
        total: steps of the whole run.
        fraction: of the run's work that is done; for pictures in pixels: a step at twice the size is four times the
            work.
        loss: before this step's update.
        terms: the parts of the loss by name; they add up to it.
        seconds: since the start of the run, without the time spent by the caller.
    """

    index: int
    total: int
    fraction: float
    loss: float
    terms: Mapping[str, float]
    seconds: float

    @property
    def seconds_left(self) -> float:
        """Estimate of the remaining time, in proportion to the remaining work."""
        return self.seconds * (1 / self.fraction - 1)


@dataclass(frozen=True)
class Step(Progress):
    """One step of the optimisation of a picture.

    Attributes:
        size: (height, width) of the picture at this step.
        full_size: (height, width) of the run's result; larger than ``size`` at the coarser scales.
        evaluations: forward and backward passes so far.
    """

    size: tuple[int, int]
    full_size: tuple[int, int]
    evaluations: int
    _image: Callable[[], Tensor] = field(repr=False, compare=False)
    _enlarge: Callable[[Tensor], Tensor] | None = field(default=None, repr=False, compare=False)

    def image(self) -> Float[Tensor, "1 3 h w"]:
        """The picture after this step, on the CPU, in [0, 1].

        It is computed when this is called, so call it before the next step.

        Raises:
            RuntimeError: a later step has been taken.
        """
        return self._image()

    def full_image(self) -> Float[Tensor, "1 3 h w"]:
        """The picture at ``full_size``, for runs that are stopped early.

        A picture of a coarser scale is enlarged, with the finer details of the start, as at a change of scale.

        Raises:
            RuntimeError: as ``image()``.
        """
        image = self._image()
        return image if self._enlarge is None or self.size == self.full_size else self._enlarge(image)


def last(steps: Iterator[Step]) -> Step:
    """Run to the end and return the last step."""
    step = None
    for step in steps:  # noqa: B007
        pass
    if step is None:
        raise SettingsError("there are no steps to run", "set at least one step")
    return step
