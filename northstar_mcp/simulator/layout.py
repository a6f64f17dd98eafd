"""Where things are on a screen, in logical units: the drawing puts them there, and the agent's clicks go there.

One scale per viewport keeps a screen readable at every size: logical coordinates times the scale are pixels. Pure
arithmetic.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from northstar_mcp.simulator.pages import Kind, Look, Page

TAB_STRIP: Final = 40.0
TOOLBAR: Final = 46.0
SITE_BAR: Final = 60.0
TASKBAR: Final = 48.0
TITLE_BAR: Final = 38.0
MENU_BAR: Final = 30.0
ROW: Final = 76.0
ENTRY: Final = 74.0


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle."""

    x: float
    y: float
    w: float
    h: float

    @property
    def right(self) -> float:
        """The right edge."""
        return self.x + self.w

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.y + self.h

    def inset(self, by: float) -> "Box":
        """The same, smaller on every side."""
        return Box(self.x + by, self.y + by, self.w - 2 * by, self.h - 2 * by)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The places of one page at one size."""

    scale: float
    screen: Box
    window: Box
    bar: Box
    body: Box
    address: Box
    search: Box
    heading: Box
    notice: Box
    rows: tuple[Box, ...]
    entries: tuple[Box, ...]
    button: Box

    def pointer(self, page: Page) -> tuple[float, float]:
        """Where the page's pointer stands, in logical units."""
        box = self._place(page.target)
        if page.target.startswith(("row", "heading")):
            return box.x + min(box.w * 0.3, 240), box.y + box.h * 0.42
        if page.target in {"search", "address", "button"}:
            return box.x + box.w * 0.82, box.y + box.h * 0.55
        return box.x + box.w * 0.5, box.y + box.h * 0.55

    def _place(self, target: str) -> Box:
        name, _, index = target.partition(":")
        if name == "row":
            return self.rows[min(int(index), len(self.rows) - 1)] if self.rows else self.body
        if name == "entry":
            return self.entries[min(int(index), len(self.entries) - 1)] if self.entries else self.body
        places = {
            "address": self.address,
            "search": self.search,
            "heading": self.heading,
            "button": self.button,
            "notice": self.notice,
        }
        return places.get(name, self.body)


def lay_out(page: Page, width: int, height: int) -> Layout:
    """The places of the page on a screen of this many pixels."""
    scale = max(min(width / 1280, height / 720), 0.25)
    screen = Box(0, 0, width / scale, height / scale)
    browser = page.kind is Kind.BROWSER
    window = screen if browser else _window(screen)
    top = TAB_STRIP + TOOLBAR if browser else TITLE_BAR + MENU_BAR
    bar = Box(window.x, window.y + top, window.w, SITE_BAR)
    body = Box(window.x, bar.bottom, window.w, window.bottom - bar.bottom)
    column = Box(body.x + 64, body.y + 28, min(880.0, body.w - 128), body.h - 28)
    if page.look is Look.LOGIN:
        width_of_card = min(420.0, body.w - 40)
        column = Box(body.x + (body.w - width_of_card) / 2, body.y + 44, width_of_card, body.h - 44)
    heading = Box(column.x, column.y, column.w, 40)
    entries = tuple(
        Box(column.x, heading.bottom + 44 + i * ENTRY, min(520.0, column.w), 44) for i in range(len(page.entries))
    )
    below = entries[-1].bottom + 26 if entries else heading.bottom + 26
    address = (
        Box(132, TAB_STRIP + 7, screen.w - 132 - 120, 32) if browser else Box(window.x, window.y, window.w, TITLE_BAR)
    )
    return Layout(
        scale=scale,
        screen=screen,
        window=window,
        bar=bar,
        body=body,
        address=address,
        search=Box(bar.right - 324, bar.y + 12, 260, 36),
        heading=heading,
        notice=Box(body.right - 300, body.y + 18, 270, 44),
        rows=tuple(_rows(column, heading.bottom + 18, page)),
        entries=entries,
        button=Box(column.x, below, 148, 42),
    )


def _window(screen: Box) -> Box:
    return Box(150, 44, screen.w - 210, screen.h - TASKBAR - 44 - 62)


def _rows(column: Box, top: float, page: Page) -> Iterator[Box]:
    """As many rows as fit, above the caption."""
    for i in range(len(page.rows) - page.scrolled):
        if top + (i + 1) * ROW > column.bottom - 8:
            return
        yield Box(column.x, top + i * ROW, column.w, ROW - 12)
