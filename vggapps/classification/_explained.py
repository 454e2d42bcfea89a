"""The class that ``classify`` names."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vggapps.classification._views import crops, scales_of, softened
from vggapps.datasets._reading import check_strip, scaled_to, to_tensor
from vggapps.explanation._report import Classified
from vggapps.image import Picture
from vggapps.vgg._network import VGG


@torch.inference_mode()
def classified(networks: Sequence[VGG], picture: Picture) -> Classified:
    """The class that ``classify`` names by default, from the middle of a picture.

    Explanations and boxes are made of the whole picture, in which another class may be the likeliest.

    Args:
        networks: dense ones, whose probabilities are averaged.
        picture: of any size.

    Raises:
        PictureError: it is too long a strip, see :func:`~vggapps.datasets._reading.check_strip`.
    """
    check_strip(picture, whole=False)
    view = crops(to_tensor(scaled_to(picture, *scales_of("center"))), "center")
    rows = [softened(vgg(view.to(vgg.device)), vgg.temperature)[0].cpu() for vgg in networks]
    shares = torch.stack(rows).mean(0)
    index = int(shares.argmax())
    return Classified(index, float(shares[index]))
