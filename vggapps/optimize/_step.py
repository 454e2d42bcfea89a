"""What one step of the loop tells, and how to take the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError


@dataclass(frozen=True)
class Step:
    """One step of an optimisation.

    Attributes:
        index: counts from 1 over the whole run.
        total: steps of the whole run.
        fraction: of the run's work that is done, counted in pixels: a step at twice the size is four times the work.
        size: (height, width) of the picture at this step.
        full_size: that of the run's result; larger than ``size`` where a run from coarse to fine is not yet at the end.
        loss: before this step's update.
        terms: the loss's parts by name; they add up to it.
        evaluations: forward and backward passes so far.
        seconds: since the start of the run, without the time that the consumer took.
    """

    index: int
    total: int
    fraction: float
    size: tuple[int, int]
    full_size: tuple[int, int]
    loss: float
    terms: Mapping[str, float]
    evaluations: int
    seconds: float
    _image: Callable[[], Tensor] = field(repr=False, compare=False)
    _enlarge: Callable[[Tensor], Tensor] | None = field(default=None, repr=False, compare=False)

    @property
    def seconds_left(self) -> float:
        """As many more, by the pixels that are done and those that are not."""
        return self.seconds * (1 / self.fraction - 1)

    def image(self) -> Float[Tensor, "1 3 h w"]:
        """The picture after this step, on the CPU, in [0, 1].

        Nothing is copied until it is called, so call it before asking for the next step.

        Raises:
            RuntimeError: a later step has been taken; the picture of this one is gone.
        """
        return self._image()

    def full_image(self) -> Float[Tensor, "1 3 h w"]:
        """The same at ``full_size``: a run may be stopped at any step, and its picture has the size asked for.

        A picture of a coarser scale is enlarged, and gets the finer detail of what the run started from, as it does
        when the run itself goes on to the next scale.

        Raises:
            RuntimeError: as ``image()``.
        """
        image = self._image()
        return image if self._enlarge is None or self.size == self.full_size else self._enlarge(image)


def last(steps: Iterator[Step]) -> Step:
    """Run to the end; the last step."""
    step = None
    for step in steps:  # noqa: B007
        pass
    if step is None:
        raise SettingsError("there is not a single step to take", "ask for at least one step")
    return step
