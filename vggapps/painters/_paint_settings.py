"""Settings of a photo that a painter paints."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from vggapps.settings import check
from vggapps.style._settings import StylizeSettings
from vggapps.vgg._plan import Dtype

_OF_STYLIZE = {field.name: field for field in dataclasses.fields(StylizeSettings)}


def _as_in_stylize(name: str) -> Any:
    """A field that means the same in style transfer, with its default, bounds and help."""
    return dataclasses.field(default=_OF_STYLIZE[name].default, metadata=_OF_STYLIZE[name].metadata)


@dataclass(frozen=True)
class PaintSettings:
    """Settings of :func:`paint`, a part of :class:`~vggapps.style.StylizeSettings` with the same meaning."""

    size: int | str = _as_in_stylize("size")
    strength: float = _as_in_stylize("strength")
    colors: Literal["style", "content"] = _as_in_stylize("colors")
    device: str = _as_in_stylize("device")
    dtype: Dtype = _as_in_stylize("dtype")

    def __post_init__(self) -> None:
        check(self)
        StylizeSettings(size=self.size)  # which knows the words for a size
