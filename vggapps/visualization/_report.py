"""An HTML report on a layer's channels: for each its visualization and its exemplars."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.figures._sheet import short_number
from vggapps.image import encode_picture
from vggapps.objectives._objective import channel
from vggapps.optimize._step import last
from vggapps.vgg._wrapped import as_network
from vggapps.visualization._activations import maps_of
from vggapps.visualization._render import visualize_steps
from vggapps.visualization._retrieval import Exemplars, captions, patches_of
from vggapps.visualization._settings import VisualizeSettings
from vggapps.visualization._visualized import score_pictures

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p>{about}</p>
{sections}
</body>
</html>
"""
_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #222; --faint: #777; --line: #ddd; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --ink: #eee; --faint: #999; --line: #333; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; font-weight: 600; margin: 0; }
h2 { font-size: 1.05rem; font-weight: 600; margin: 0 0 .6rem; }
p, figcaption { color: var(--faint); margin: 0; }
section { border-top: 1px solid var(--line); margin-top: 1.6rem; padding-top: 1.2rem; }
section > div { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
figure { margin: 0; font-size: .8rem; width: 7rem; overflow-wrap: anywhere; }
figure img { display: block; width: 100%; border-radius: 3px; }
figure.made { width: 16rem; }
.found { display: flex; flex: 1 1 30rem; flex-wrap: wrap; gap: .7rem; }
"""
_BATCH = 8


def visualize_channels(
    network: nn.Module, layer: str, channels: Sequence[int], settings: VisualizeSettings
) -> Iterator[Float[Tensor, "1 3 s s"]]:
    """A visualization of each channel, in order."""
    for start in range(0, len(channels), _BATCH):
        objectives = [channel(layer, index) for index in channels[start : start + _BATCH]]
        yield from torch.split(last(visualize_steps(objectives, settings, network=network)).image(), 1)


def report(network: nn.Module, layer: str, found: Exemplars, made: Sequence[Float[Tensor, "1 3 s s"]]) -> str:
    """A self-contained HTML page with embedded pictures; light or dark as its reader prefers.

    Args:
        network: the network of the exemplars.
        layer: the layer of the exemplars.
        found: from :func:`~vggapps.visualization.exemplars`.
        made: a visualization of each channel, in order.
    """
    patches = patches_of(one for best in found.by_channel.values() for one in best)
    sections, lines_of = [], captions(found)
    for (index, best), picture in zip(found.by_channel.items(), made, strict=True):
        name = f"{layer}:{index}"
        figures = [_figure(patches[one], Path(one.path).name, lines_of[one]) for one in best]
        natural = "\n".join(figures) or "<p>no picture activates this channel</p>"
        synthetic = _figure(
            picture, f"visualization of {name}", [_activation_line(network, layer, index, picture)], "made"
        )
        inside = f'<div>{synthetic}<div class="found">\n{natural}\n</div></div>'
        sections.append(f'<section id="{escape(name)}">\n<h2>{escape(name)}</h2>\n{inside}\n</section>')
    net = as_network(network)
    which = ", ".join(filter(None, (net.name, net.weights_name)))
    title, about = f"Channels of {layer}", f"{which}; {found.pictures} pictures"
    return _PAGE.format(title=escape(title), about=escape(about), style=_STYLE, sections="\n".join(sections))


def _activation_line(network: nn.Module, layer: str, index: int, picture: Tensor) -> str:
    """Maximum and mean activation of a visualization, and the ratio to photographs if it is known."""
    map_ = maps_of(network, layer, picture)[index]
    line = f"{short_number(float(map_.max()))} at most, {short_number(float(map_.mean()))} on average"
    (times,) = score_pictures(picture, [channel(layer, index)], {"": network}).natural
    return line if times is None else f"{line}: {times:.1f} times the best of 1,000 photographs"


def _figure(picture: Tensor, text: str, lines: Sequence[str], kind: str = "") -> str:
    # JPEG takes a sixth of the size of PNG.
    data = base64.b64encode(encode_picture(picture, "jpg")).decode()
    caption = "<br>".join(escape(line) for line in lines if line)
    opening = f'<figure class="{kind}">' if kind else "<figure>"
    image = f'<img src="data:image/jpeg;base64,{data}" alt="{escape(text)}">'
    return f"{opening}{image}<figcaption>{caption}</figcaption></figure>"
