"""Bounding boxes drawn on an image, with names and probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from PIL import ImageDraw
from torch import Tensor

from vggapps.image import Picture, open_picture, to_pil
from vggapps.image._lettering import LEFT_TO_RIGHT, draw_text, shorten, text_box, text_width

Place = tuple[float, float, float, float]  # left, top, right, bottom in pixels; right and bottom are exclusive

# Okabe and Ito's colour-blind safe palette, darkened for white text.
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 130, 94), (170, 70, 130), (90, 90, 90))


def draw_boxes(
    image: Float[Tensor, "1 3 h w"], boxes: Sequence[Place], names: Sequence[str], probabilities: Sequence[float]
) -> Float[Tensor, "1 3 h w"]:
    """The image with each box framed and labelled with its name and probability, the first box on top.

    Args:
        image: in [0, 1].
        boxes: in pixels of the image.
        names: one for each box; shortened in the middle if too long.
        probabilities: in [0, 1].
    """
    drawn = to_pil(Picture(image))
    pen = ImageDraw.Draw(drawn)
    line = max(2, round(max(drawn.size) / 300))
    size = max(12, round(max(drawn.size) / 45))
    for number, box in reversed(list(enumerate(boxes))):
        left, top = round(box[0]), round(box[1])
        frame = (left, top, max(left, round(box[2]) - 1), max(top, round(box[3]) - 1))
        # Thin white lines on both sides keep the frame visible on a background of the same colour.
        pen.rectangle((left - 1, top - 1, frame[2] + 1, frame[3] + 1), outline="white", width=line + 2)
        pen.rectangle(frame, outline=_COLOURS[number % len(_COLOURS)], width=line)
    taken: list[Place] = []
    for number, (box, name, probability) in enumerate(zip(boxes, names, probabilities, strict=True)):
        percent = f"{LEFT_TO_RIGHT} {100 * probability:.0f} %"
        text = shorten(name, size, drawn.width - 4 * line - text_width(percent, size)) + percent
        first_x, first_y, last_x, last_y = text_box(text, size)
        width, height = last_x - first_x + 4 * line, last_y - first_y + 4 * line
        # Above the box if there is room, else inside; and below labels drawn before.
        x = max(0, min(round(box[0]), drawn.width - width))
        y = round(box[1]) - height if box[1] >= height else round(box[1])
        while any(_overlap((x, y, x + width, y + height), other) for other in taken):
            y += 1
        taken.append((x, y, x + width, y + height))
        pen.rectangle((x, y, x + width - 1, y + height - 1), fill=_COLOURS[number % len(_COLOURS)])
        draw_text(drawn, (x + 2 * line - first_x, y + 2 * line - first_y), text, size, "ls", "white")
    return open_picture(drawn).rgb


def _overlap(a: Place, b: Place) -> bool:
    return max(a[0], b[0]) < min(a[2], b[2]) and max(a[1], b[1]) < min(a[3], b[3])
