"""Drawings: a few shapes, put down as SVG, as PNG, or into a PDF. Lengths are points, y grows downwards."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal, NamedTuple

from fpdf import FPDF
from PIL import Image, ImageDraw, ImageFont

Anchor = Literal["start", "middle", "end"]
# Pixels a point: sharp on the screens that mail is read on.
PIXELS = 2
_ANCHORS = {"start": "l", "middle": "m", "end": "r"}


class Rect(NamedTuple):
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    colour: str


class Line(NamedTuple):
    """A line through points."""

    points: Sequence[tuple[float, float]]
    colour: str
    width: float


class Label(NamedTuple):
    """A text whose baseline is at y."""

    x: float
    y: float
    text: str
    size: float
    colour: str
    anchor: Anchor = "start"
    bold: bool = False


@dataclass(slots=True)
class Drawing:
    """Shapes on a white sheet, the later ones on top. `title` is what it shows, for who does not see it."""

    width: float
    height: float
    title: str
    shapes: list[Rect | Line | Label] = field(default_factory=list)


def svg(drawing: Drawing) -> str:
    """As an SVG element that stands in a page."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawing.width:g} {drawing.height:g}" role="img" '
        f'aria-label="{escape(drawing.title)}">'
    ]
    parts += map(_svg_shape, drawing.shapes)
    return "".join([*parts, "</svg>"])


def _svg_shape(shape: Rect | Line | Label) -> str:
    match shape:
        case Rect():
            place = f'x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" height="{shape.height:.1f}"'
            return f'<rect {place} fill="{shape.colour}"/>'
        case Line():
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
            return (
                f'<polyline points="{points}" fill="none" stroke="{shape.colour}" stroke-width="{shape.width:g}" '
                'stroke-linejoin="round"/>'
            )
        case Label():
            weight = ' font-weight="600"' if shape.bold else ""
            return (
                f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="{shape.size:g}" fill="{shape.colour}" '
                f'text-anchor="{shape.anchor}"{weight}>{escape(shape.text)}</text>'
            )


def png(drawing: Drawing) -> bytes:
    """As PNG, for mail: many readers show no SVG."""
    image = Image.new("RGB", (round(drawing.width * PIXELS), round(drawing.height * PIXELS)), "white")
    brush = ImageDraw.Draw(image)
    for shape in drawing.shapes:
        match shape:
            case Rect():
                corner = (shape.x + shape.width, shape.y + shape.height)
                brush.rectangle([_pixels(shape.x, shape.y), _pixels(*corner)], fill=shape.colour)
            case Line():
                points = [_pixels(x, y) for x, y in shape.points]
                brush.line(points, fill=shape.colour, width=round(shape.width * PIXELS), joint="curve")
            case Label():
                font = ImageFont.load_default(shape.size * PIXELS)
                anchor = f"{_ANCHORS[shape.anchor]}s"
                brush.text(_pixels(shape.x, shape.y), shape.text, fill=shape.colour, font=font, anchor=anchor)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def onto(pdf: FPDF, drawing: Drawing, left: float, top: float, width: float) -> float:
    """Put a drawing onto a page of a PDF that measures in points; returns its height there."""
    scale = width / drawing.width
    for shape in drawing.shapes:
        match shape:
            case Rect():
                pdf.set_fill_color(shape.colour)
                x, y = left + shape.x * scale, top + shape.y * scale
                pdf.rect(x, y, shape.width * scale, shape.height * scale, style="F")
            case Line():
                pdf.set_draw_color(shape.colour)
                pdf.set_line_width(shape.width * scale)
                pdf.polyline([(left + x * scale, top + y * scale) for x, y in shape.points])
            case Label():
                pdf.set_text_color(shape.colour)
                pdf.set_font(style="B" if shape.bold else "", size=shape.size * scale)
                shown = latin(shape.text)
                back = {"start": 0.0, "middle": 0.5, "end": 1.0}[shape.anchor] * pdf.get_string_width(shown)
                pdf.text(left + shape.x * scale - back, top + shape.y * scale, shown)
    return drawing.height * scale


def latin(text: str) -> str:
    """A text as the fonts that every reader of PDF has can show it."""
    return text.encode("latin-1", "replace").decode("latin-1")


def _pixels(x: float, y: float) -> tuple[float, float]:
    return x * PIXELS, y * PIXELS
