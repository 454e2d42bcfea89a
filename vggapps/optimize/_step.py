"""What one step of the loop tells, and how to take the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.optimize._progress import Progress


@dataclass(frozen=True)
class Step(Progress):
    """One step of the optimisation of a picture.

    Attributes:
        size: (height, width) of the picture at this step.
        full_size: that of the run's result; larger than ``size`` where a run from coarse to fine is not yet at the end.
        evaluations: forward and backward passes so far.
    """

    size: tuple[int, int]
    full_size: tuple[int, int]
    evaluations: int
    _image: Callable[[], Tensor] = field(repr=False, compare=False)
    _enlarge: Callable[[Tensor], Tensor] | None = field(default=None, repr=False, compare=False)

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
