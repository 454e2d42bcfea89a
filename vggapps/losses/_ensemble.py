"""A loss averaged over several views of the pictures."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.losses._bundle_terms import takes_mask
from vggapps.losses._pictures import check_mask, check_pair, wants_gradient
from vggapps.losses._prepared import Prepared


class ShiftEnsemble(nn.Module):
    """A loss averaged over shifted and mirrored views of both pictures, against the grid artefacts of strides.

    Pooling is not shift-invariant, so the mean of several views is steadier than one, in training and evaluation.
    (Kettunen 2019, E-LPIPS, also changes colours and sizes, and uses dropout.)

    Args:
        loss: any loss of two pictures.
        shift: largest shift in pixels; the views are smaller by that.
        views: number of views.
        flip: mirror half of them.
        generator: draws the views. By default torch's global one if a gradient is required, else the same views at each
            call, so that evaluation does not change the random numbers of training.
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
            raise SettingsError(f"shift is {shift} and views is {views}", "use at least 0 and 1")
        self.loss, self.shift, self.views, self.flip, self.generator = loss, shift, views, flip, generator

    @property
    def reduction(self) -> str:
        """The reduction of the loss."""
        return getattr(self.loss, "reduction", "mean")

    def forward(
        self, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], *, mask: Float[Tensor, "#n 1 h w"] | None = None
    ) -> Float[Tensor, "*n"]:
        """The mean over the views.

        Args:
            x: pictures.
            y: target pictures of the same size.
            mask: weight of each position, for a loss that takes one.

        Raises:
            SettingsError: pictures of different sizes or too small; a prepared target, which is of one view only; a
                mask for a loss that takes none.
        """
        if isinstance(y, Prepared):
            raise SettingsError(
                "a prepared target is of one view of the picture, and each call uses others",
                "pass the target pictures themselves",
            )
        check_pair(x, y, mask, "both")  # the loss itself checks for a gradient of the second
        if x.shape[2:] != y.shape[2:] or min(x.shape[2:]) <= self.shift:
            raise SettingsError(
                "the views need two pictures of one size", f"make both the same size, larger than {self.shift} pixels"
            )
        inputs = [x, y]
        if mask is not None:
            if not takes_mask(self.loss):
                raise SettingsError(f"{type(self.loss).__name__} takes no mask", "use a loss with a mask= argument")
            inputs.append(check_mask(mask, x))
        generator = self.generator
        if generator is None and not wants_gradient(*inputs):
            generator = torch.Generator().manual_seed(0)
        values = []
        for _ in range(self.views):
            x, y, *masks = self._view(generator, *inputs)
            values.append(self.loss(x, y, mask=masks[0]) if masks else self.loss(x, y))
        return torch.stack(values).mean(0)

    def _view(self, generator: torch.Generator | None, *images: Tensor) -> tuple[Tensor, ...]:
        top, left, mirror = torch.randint(0, 2**31, (3,), generator=generator).tolist()
        top, left = top % (self.shift + 1), left % (self.shift + 1)
        height, width = (side - self.shift for side in images[0].shape[2:])
        views = tuple(image[:, :, top : top + height, left : left + width] for image in images)
        return tuple(view.flip(3) for view in views) if self.flip and mirror % 2 else views
