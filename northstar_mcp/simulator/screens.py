"""Draws a page as a PNG: browser chrome or a desktop with a window, the content, the caption, and the pointer on top.

Takes some tens of milliseconds of CPU: call `draw` in a thread. It only puts ink where layout.py says things are.
"""

from typing import Final

from northstar_mcp.simulator.canvas import Canvas
from northstar_mcp.simulator.layout import MENU_BAR, TAB_STRIP, TASKBAR, TITLE_BAR, TOOLBAR, Box, Layout, lay_out
from northstar_mcp.simulator.pages import Kind, Look, Page
from northstar_mcp.simulator.topics import LINKS

INK: Final = "#1f2430"
MUTED: Final = "#6b7280"
HAIR: Final = "#e4e7ec"
SOFT: Final = "#f6f7f9"
WHITE: Final = "#ffffff"
LINK: Final = "#1a4fc4"
ACCENTS: Final = ("#2f6fed", "#0f8f7e", "#b4541f", "#7a4ad0", "#c03a63", "#3b7a1e")


def draw(page: Page, width: int, height: int) -> bytes:
    """The page on a screen of this many pixels, as PNG."""
    layout = lay_out(page, width, height)
    canvas = Canvas(width, height, scale=layout.scale, background=WHITE)
    accent = ACCENTS[sum(page.app.encode()) % len(ACCENTS)]
    if page.kind is Kind.BROWSER:
        _chrome(canvas, layout, page, accent)
    else:
        _desktop(canvas, layout, page, accent)
    if page.look is not Look.BLANK:
        _site_bar(canvas, layout, page, accent)
        _content(canvas, layout, page, accent)
    elif page.kind is Kind.BROWSER:
        _new_tab(canvas, layout)
    _notice(canvas, layout, page)
    _caption(canvas, layout, page)
    _pointer(canvas, layout, page)
    return canvas.png()


def _chrome(canvas: Canvas, layout: Layout, page: Page, accent: str) -> None:
    screen = layout.screen
    canvas.fill(Box(0, 0, screen.w, TAB_STRIP), "#dfe3ea")
    tab = Box(10, 7, 250, TAB_STRIP)
    canvas.fill(tab, WHITE, radius=9)
    canvas.disc(tab.x + 19, 24, 8, accent)
    canvas.text(tab.x + 19, 24.5, page.app[:1].upper(), 10, WHITE, anchor="mm", bold=True)
    canvas.text(tab.x + 35, 24, page.title, 12.5, INK, room=176)
    _cross(canvas, tab.right - 17, 24, 3.8)
    canvas.text(tab.right + 22, 23.5, "+", 18, MUTED, anchor="mm")
    toolbar = Box(0, TAB_STRIP, screen.w, TOOLBAR)
    canvas.fill(toolbar, WHITE)
    middle = toolbar.y + toolbar.h / 2
    canvas.line([(29, middle - 6), (22, middle), (29, middle + 6)], "#4b5563", width=2)
    canvas.line([(22, middle), (36, middle)], "#4b5563", width=2)
    canvas.line([(63, middle - 6), (70, middle), (63, middle + 6)], "#b6bcc6", width=2)
    canvas.line([(56, middle), (70, middle)], "#b6bcc6", width=2)
    canvas.disc(101, middle, 7, "#00000000", outline="#4b5563", line=2)
    canvas.fill(Box(103, middle - 8, 7, 5), WHITE)
    canvas.shape([(104, middle - 8), (109, middle - 3), (103, middle - 2)], "#4b5563", outline="#4b5563", width=1)
    focused = page.target == "address"
    canvas.fill(layout.address, WHITE if focused else "#eef1f5", radius=16, outline=accent if focused else None)
    _lock(canvas, layout.address.x + 19, middle, secure=page.url.startswith("https://"))
    canvas.text(layout.address.x + 36, middle, page.url, 13.5, INK, room=layout.address.w - 60)
    canvas.disc(screen.w - 72, middle, 12, "#d7dde7")
    canvas.text(screen.w - 72, middle + 0.5, "S", 12, "#475569", anchor="mm", bold=True)
    for dot in (-5, 0, 5):
        canvas.disc(screen.w - 32, middle + dot, 1.6, "#4b5563")
    canvas.fill(Box(0, toolbar.bottom - 1, screen.w, 1), HAIR)


def _cross(canvas: Canvas, x: float, y: float, arm: float) -> None:
    canvas.line([(x - arm, y - arm), (x + arm, y + arm)], "#4b5563")
    canvas.line([(x - arm, y + arm), (x + arm, y - arm)], "#4b5563")


def _lock(canvas: Canvas, x: float, y: float, *, secure: bool) -> None:
    if secure:
        canvas.disc(x, y - 3, 3.6, "#00000000", outline="#4b5563", line=1.6)
        canvas.fill(Box(x - 5, y - 2.5, 10, 8), "#4b5563", radius=1.5)
    else:
        canvas.disc(x, y, 6, "#00000000", outline="#4b5563", line=1.4)
        canvas.text(x, y + 0.5, "i", 9, "#4b5563", anchor="mm", bold=True)


def _desktop(canvas: Canvas, layout: Layout, page: Page, accent: str) -> None:
    screen, window = layout.screen, layout.window
    canvas.fade(Box(0, 0, screen.w, screen.h), (24, 49, 92), (92, 146, 178))
    for i, (label, colour) in enumerate((("Home", "#f2c14e"), ("Documents", "#7fb2f0"), ("Trash", "#c9d2de"))):
        top = 58 + i * 100
        canvas.fill(Box(52, top, 24, 12), colour, radius=3)
        canvas.fill(Box(52, top + 6, 48, 36), colour, radius=5)
        canvas.text(76, top + 58, label, 12.5, WHITE, anchor="mm", room=110)
    _taskbar(canvas, layout, page, accent)
    if page.look is Look.BLANK:
        return
    for spread, shade in ((14, "#0000000c"), (9, "#00000012"), (4, "#0000001a")):
        canvas.fill(
            Box(window.x - spread, window.y - spread + 6, window.w + 2 * spread, window.h + 2 * spread),
            shade,
            radius=16,
        )
    canvas.fill(window, WHITE, radius=10)
    canvas.fill(Box(window.x, window.y, window.w, TITLE_BAR), "#e9ecf1", radius=10)
    canvas.fill(Box(window.x, window.y + 14, window.w, TITLE_BAR - 14), "#e9ecf1")
    middle = window.y + TITLE_BAR / 2
    canvas.fill(Box(window.x + 12, middle - 8, 16, 16), accent, radius=4)
    canvas.text(window.x + 38, middle, page.title, 13.5, INK, room=window.w - 170)
    _cross(canvas, window.right - 24, middle, 4.5)
    canvas.fill(Box(window.right - 65, middle - 5, 10, 10), "#00000000", outline="#4b5563")
    canvas.line([(window.right - 101, middle), (window.right - 91, middle)], "#4b5563")
    x = window.x + 16
    for link in LINKS["desktop"]:
        x += canvas.text(x, window.y + TITLE_BAR + MENU_BAR / 2, link, 12.5, "#374151") + 22
    canvas.fill(Box(window.x, window.y + TITLE_BAR + MENU_BAR - 1, window.w, 1), HAIR)


def _taskbar(canvas: Canvas, layout: Layout, page: Page, accent: str) -> None:
    screen = layout.screen
    bar = Box(0, screen.h - TASKBAR, screen.w, TASKBAR)
    canvas.fill(bar, "#111a2bE6")
    middle = bar.y + TASKBAR / 2
    for dx in (-5.5, 5.5):
        for dy in (-5.5, 5.5):
            canvas.fill(Box(30 + dx - 4.5, middle + dy - 4.5, 9, 9), "#8fc1ff", radius=2)
    canvas.fill(Box(62, bar.y + 10, 190, 28), "#263248", radius=14)
    canvas.text(80, middle, "Search", 12.5, "#9aa8bd")
    if page.look is not Look.BLANK:
        canvas.fill(Box(268, bar.y + 7, 160, 34), "#2d3b55", radius=6)
        canvas.fill(Box(278, middle - 8, 16, 16), accent, radius=4)
        canvas.text(302, middle, page.app, 12.5, WHITE, room=116)
        canvas.fill(Box(288, bar.bottom - 5, 120, 2.5), "#8fc1ff", radius=1)
    minutes = 9 * 60 + 41 + page.step
    canvas.text(screen.w - 20, middle - 8, f"{minutes // 60 % 24:02}:{minutes % 60:02}", 12.5, WHITE, anchor="rm")
    canvas.text(screen.w - 20, middle + 9, "Fri 20 Nov", 11, "#c6cfdd", anchor="rm")


def _new_tab(canvas: Canvas, layout: Layout) -> None:
    body = Box(0, TAB_STRIP + TOOLBAR, layout.screen.w, layout.screen.h - TAB_STRIP - TOOLBAR)
    canvas.fill(body, SOFT)
    canvas.fill(Box(body.w / 2 - 280, body.y + 150, 560, 48), WHITE, radius=24, outline=HAIR)
    canvas.text(body.w / 2 - 250, body.y + 174, "Search the web or type an address", 15, MUTED)
    for i in range(4):
        canvas.disc(body.w / 2 - 168 + i * 112, body.y + 270, 26, "#e3e8f0")


def _site_bar(canvas: Canvas, layout: Layout, page: Page, accent: str) -> None:
    bar = layout.bar
    middle = bar.y + bar.h / 2
    canvas.fill(bar, WHITE)
    canvas.fill(Box(bar.x + 28, middle - 14, 28, 28), accent, radius=8)
    canvas.text(bar.x + 42, middle + 0.5, page.app[:1].upper(), 15, WHITE, anchor="mm", bold=True)
    x = bar.x + 68 + canvas.text(bar.x + 68, middle, page.app, 16, INK, bold=True, room=260) + 36
    for link in LINKS["browser"] if page.kind is Kind.BROWSER else ("New", "Sort", "Share"):
        if x < layout.search.x - 60:
            x += canvas.text(x, middle, link, 13.5, "#4b5563") + 26
    focused = page.target == "search"
    canvas.fill(layout.search, WHITE if focused else "#f1f3f6", radius=18, outline=accent if focused else HAIR)
    glass = layout.search.x + 19
    canvas.disc(glass, middle - 1.5, 5, "#00000000", outline=MUTED, line=1.8)
    canvas.line([(glass + 4, middle + 2.5), (glass + 8, middle + 6.5)], MUTED, width=2)
    canvas.text(glass + 16, middle, page.query or "Search", 13.5, INK if page.query else MUTED, room=205)
    canvas.fill(Box(bar.x, bar.bottom - 1, bar.w, 1), HAIR)


def _content(canvas: Canvas, layout: Layout, page: Page, accent: str) -> None:
    canvas.fill(
        Box(layout.body.x, layout.body.y, layout.body.w, layout.body.h),
        SOFT,
        radius=10 if page.kind is Kind.DESKTOP else 0,
    )
    if page.look is Look.LOGIN:
        card = Box(
            layout.heading.x - 32,
            layout.heading.y - 22,
            layout.heading.w + 64,
            layout.button.bottom - layout.heading.y + 56,
        )
        canvas.fill(card, WHITE, radius=12, outline=HAIR)
    canvas.text(layout.heading.x, layout.heading.y + 20, page.heading, 25, INK, bold=True, room=layout.heading.w)
    if page.look in {Look.FORM, Look.LOGIN}:
        _form(canvas, layout, page, accent)
    else:
        _list(canvas, layout, page, accent)
        _aside(canvas, layout, accent)


def _list(canvas: Canvas, layout: Layout, page: Page, accent: str) -> None:
    shown = page.rows[page.scrolled :]
    for i, (box, row) in enumerate(zip(layout.rows, shown, strict=False)):
        hit = page.target == f"row:{i}"
        canvas.fill(box, "#eef4ff" if hit else WHITE, radius=9, outline=accent if hit else HAIR)
        room = box.w - 40
        if row.value:
            room -= canvas.measure(row.value, 15) + 30
            canvas.text(box.right - 20, box.y + box.h / 2, row.value, 15, INK, anchor="rm", bold=True)
        canvas.text(box.x + 20, box.y + 22, row.title, 16, LINK if page.kind is Kind.BROWSER else INK, room=room)
        canvas.text(box.x + 20, box.y + 44, row.detail, 13, MUTED, room=room)


def _aside(canvas: Canvas, layout: Layout, accent: str) -> None:
    """A card beside the list, where the window is wide enough for one."""
    left = layout.heading.right + 32
    room = layout.body.right - left - 32
    if room < 180 or not layout.rows:
        return
    card = Box(left, layout.rows[0].y, room, 190)
    canvas.fill(card, WHITE, radius=9, outline=HAIR)
    canvas.text(card.x + 18, card.y + 26, "Overview", 14.5, INK, bold=True)
    for i, share in enumerate((0.82, 0.55, 0.68, 0.31)):
        top = card.y + 56 + i * 31
        canvas.fill(Box(card.x + 18, top, card.w - 36, 10), "#edf0f4", radius=5)
        canvas.fill(Box(card.x + 18, top, (card.w - 36) * share, 10), accent, radius=5)


def _form(canvas: Canvas, layout: Layout, page: Page, accent: str) -> None:
    for i, (box, entry) in enumerate(zip(layout.entries, page.entries, strict=True)):
        focused = page.target == f"entry:{i}"
        canvas.text(box.x, box.y - 13, entry.label, 13, "#374151", bold=True)
        canvas.fill(box, WHITE, radius=8, outline=accent if focused else "#cfd5de")
        width = canvas.text(box.x + 14, box.y + box.h / 2, entry.value, 15, INK, room=box.w - 32)
        if focused:
            canvas.fill(Box(box.x + 16 + width, box.y + 12, 1.5, 20), INK)
    pressed = page.target == "button"
    if pressed:
        canvas.fill(layout.button.inset(-4), accent + "40", radius=12)
    canvas.fill(layout.button, accent, radius=8)
    button = layout.button
    canvas.text(
        button.x + button.w / 2, button.y + button.h / 2, page.button, 15, WHITE, anchor="mm", bold=True, room=130
    )


def _notice(canvas: Canvas, layout: Layout, page: Page) -> None:
    if not page.notice:
        return
    box = layout.notice
    canvas.fill(Box(box.x, box.y + 3, box.w, box.h), "#00000014", radius=10)
    canvas.fill(box, "#e9f7ee", radius=10, outline="#9fd8b4")
    canvas.disc(box.x + 24, box.y + box.h / 2, 9, "#23945a")
    tick = [(box.x + 19.5, box.y + 22), (box.x + 23, box.y + 26), (box.x + 29, box.y + 18)]
    canvas.line(tick, WHITE, width=2)
    canvas.text(box.x + 44, box.y + box.h / 2, page.notice, 14, "#14532d", room=box.w - 60)


def _caption(canvas: Canvas, layout: Layout, page: Page) -> None:
    """The step and what it did, as the recording of a session would show them."""
    label = f"Step {page.step} of {page.steps}" if page.step else "Ready"
    screen = layout.screen
    left = canvas.measure(label, 13) + 44
    wide = min(left + (canvas.measure(page.caption, 13) + 26 if page.caption else 0), screen.w - 60)
    bottom = screen.h - (TASKBAR if page.kind is Kind.DESKTOP else 0) - 14
    pill = Box((screen.w - wide) / 2, bottom - 34, wide, 34)
    canvas.fill(pill, "#111827E0", radius=17)
    canvas.disc(pill.x + 18, pill.y + 17, 4.5, "#5eead4")
    canvas.text(pill.x + 32, pill.y + 17, label, 13, "#99f6e4")
    canvas.text(pill.x + left, pill.y + 17, page.caption, 13, WHITE, room=pill.right - pill.x - left - 16)


def _pointer(canvas: Canvas, layout: Layout, page: Page) -> None:
    x, y = layout.pointer(page)
    if page.pressed:
        canvas.disc(x, y, 19, "#2f6fed2b", outline="#2f6fed99", line=2)
        canvas.disc(x, y, 7, "#2f6fed73")
    arrow = ((0, 0), (0, 21), (5, 16.5), (8.6, 24.6), (12.2, 23), (8.7, 15), (15.4, 15))
    canvas.shape([(x + dx + 1.2, y + dy + 1.8) for dx, dy in arrow], "#00000030", outline="#00000018", width=2)
    canvas.shape([(x + dx, y + dy) for dx, dy in arrow], "#111111", outline=WHITE, width=1.8)
