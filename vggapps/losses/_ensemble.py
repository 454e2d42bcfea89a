"""One loss over several views of the pictures."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.losses._bundle_terms import takes_mask
from vggapps.losses._pictures import check_mask, check_pair, wants_gradient
from vggapps.losses._prepared import Prepared


class ShiftEnsemble(nn.Module):
    """A loss averaged over shifted and mirrored views of both pictures, against the grid that strides leave.

    Trained on, or measured with, the mean of several views is steadier than one: a shift of a pixel changes what a
    pooling sees. (Kettunen 2019, E-LPIPS, goes further: colours, sizes, dropout.)

    Args:
        loss: any loss of two pictures.
        shift: up to so many pixels are cut off each side.
        views: how many are averaged.
        flip: mirror half of them.
        generator: for the views. By default torch's own where a gradient is wanted, and the same views at each call
            where none is: measuring does not change what a training draws.
    """

    def __init__(
        self,
        loss: nn.Module,
        *,
        shift: int = 7,
        views: int = 4,
        flip: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if shift < 0 or views < 1:
            raise SettingsError(f"shift is {shift} and views is {views}", "take at least 0 and 1")
        self.loss, self.shift, self.views, self.flip, self.generator = loss, shift, views, flip, generator

    @property
    def reduction(self) -> str:
        """Of the pictures' losses, as the loss has it."""
        return getattr(self.loss, "reduction", "mean")

    def forward(
        self, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], *, mask: Float[Tensor, "#n 1 h w"] | None = None
    ) -> Float[Tensor, "*n"]:
        """The mean over the views; pictures of one size, and a mask for a loss that takes one.

        Raises:
            SettingsError: pictures that can't be cut alike; a prepared target, which is of one view only; a mask that
                the loss has no use for.
        """
        if isinstance(y, Prepared):
            raise SettingsError(
                "a prepared target is of one view of the picture, and each call takes others",
                "give the target pictures themselves",
            )
        check_pair(x, y, mask, "both")  # whether the second gets a gradient is for the loss to say
        if x.shape[2:] != y.shape[2:] or min(x.shape[2:]) <= self.shift:
            raise SettingsError("the pictures can't be cut alike", f"give both of one size, over {self.shift} pixels")
        given = [x, y]
        if mask is not None:
            if not takes_mask(self.loss):
                raise SettingsError(f"{type(self.loss).__name__} takes no mask", "take a loss with a mask= argument")
            given.append(check_mask(mask, x))
        generator = self.generator
        if generator is None and not wants_gradient(*given):
            generator = torch.Generator().manual_seed(0)
        return torch.stack([self._of_view(*self._view(generator, *given)) for _ in range(self.views)]).mean(0)

    def _of_view(self, x: Tensor, y: Tensor, *mask: Tensor) -> Tensor:
        found: Tensor = self.loss(x, y, mask=mask[0]) if mask else self.loss(x, y)
        return found

    def _view(self, generator: torch.Generator | None, *images: Tensor) -> tuple[Tensor, ...]:
        top, left, mirror = torch.randint(0, 2**31, (3,), generator=generator).tolist()
        top, left = top % (self.shift + 1), left % (self.shift + 1)
        height, width = (side - self.shift for side in images[0].shape[2:])
        views = tuple(image[:, :, top : top + height, left : left + width] for image in images)
        return tuple(view.flip(3) for view in views) if self.flip and mirror % 2 else views
