"""A drawing surface in logical units: Pillow, drawn at twice the size and reduced, so that edges and letters are
smooth.

Knows shapes, colours and letters; knows nothing of pages. The font is the one that Pillow carries.
"""

import io
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from northstar_mcp.simulator.layout import Box

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
"""`load_default` gives the bitmap font where Pillow was built without FreeType."""

_SMOOTH_UP_TO_PIXELS = 1920 * 1200


@lru_cache(maxsize=64)
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


class Canvas:
    """One picture in the making."""

    def __init__(self, width: int, height: int, *, scale: float, background: str) -> None:
        self._over = 2 if width * height <= _SMOOTH_UP_TO_PIXELS else 1
        self._unit = scale * self._over
        self._image = Image.new("RGB", (width * self._over, height * self._over), background)
        self._draw = ImageDraw.Draw(self._image, "RGBA")

    def fill(self, box: Box, colour: str, *, radius: float = 0, outline: str | None = None) -> None:
        """A filled rectangle, with round corners and a thin outline where asked for."""
        u = self._unit
        corners = (box.x * u, box.y * u, max(box.right * u - 1, box.x * u), max(box.bottom * u - 1, box.y * u))
        line = max(1, round(u)) if outline else 1
        if radius:
            self._draw.rounded_rectangle(corners, radius * u, fill=colour, outline=outline, width=line)
        else:
            self._draw.rectangle(corners, fill=colour, outline=outline, width=line)

    def fade(self, box: Box, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> None:
        """A vertical gradient."""
        u = self._unit
        mask = Image.linear_gradient("L").resize((max(1, round(box.w * u)), max(1, round(box.h * u))))
        below = Image.new("RGB", mask.size, bottom)
        above = Image.new("RGB", mask.size, top)
        self._image.paste(Image.composite(below, above, mask), (round(box.x * u), round(box.y * u)))

    def disc(
        self, x: float, y: float, radius: float, colour: str, *, outline: str | None = None, line: float = 2
    ) -> None:
        """A filled circle about a point."""
        u = self._unit
        corners = ((x - radius) * u, (y - radius) * u, (x + radius) * u, (y + radius) * u)
        self._draw.ellipse(corners, fill=colour, outline=outline, width=max(1, round(line * u)))

    def line(self, points: list[tuple[float, float]], colour: str, *, width: float = 1.5) -> None:
        """An open line with round joints."""
        u = self._unit
        self._draw.line([(x * u, y * u) for x, y in points], fill=colour, width=max(1, round(width * u)), joint="curve")

    def shape(self, points: list[tuple[float, float]], colour: str, *, outline: str, width: float = 1.5) -> None:
        """A filled polygon."""
        u = self._unit
        corners = [(x * u, y * u) for x, y in points]
        self._draw.polygon(corners, fill=colour)
        self._draw.line([*corners, corners[0]], fill=outline, width=max(1, round(width * u)), joint="curve")

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        colour: str,
        *,
        room: float = 10_000,
        bold: bool = False,
        anchor: str = "lm",
    ) -> float:
        """One line of text, cut with an ellipsis where it does not fit; returns its width."""
        u = self._unit
        font = _font(max(6, round(size * u)))
        shown = self._fitted(text, font, room * u)
        stroke = 0.02 * size * u if bold else 0
        self._draw.text((x * u, y * u), shown, fill=colour, font=font, anchor=anchor, stroke_width=stroke)
        return font.getlength(shown) / u

    def measure(self, text: str, size: float) -> float:
        """The width of a text."""
        return _font(max(6, round(size * self._unit))).getlength(text) / self._unit

    def png(self) -> bytes:
        """The finished picture."""
        image = self._image.reduce(self._over) if self._over > 1 else self._image
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=4)
        return buffer.getvalue()

    def _fitted(self, text: str, font: Font, room: float) -> str:
        text = " ".join(text.split())[:300]
        if font.getlength(text) <= room:
            return text
        while text and font.getlength(text + "…") > room:
            text = text[: len(text) - max(1, len(text) // 12)]
        return text.rstrip() + "…"
