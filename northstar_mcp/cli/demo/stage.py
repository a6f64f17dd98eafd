"""How the demo looks: on a terminal, in a log without colours, and as a picture for a page.

It shows what it is given and knows nothing of MCP. Text from afar is shown as it is, without control characters.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from northstar_mcp.cli.demo.evidence import Item
from northstar_mcp.cli.words import one_line, printable, shortened

_WIDTH: Final = 100
_INDENT: Final = 2
_ARGUMENT: Final = 60
_ANSWER: Final = 400
_FONT_FACES: Final = re.compile(r"\s*@font-face\s*\{[^}]*\}")


class Stage:
    """Writes to stdout.

    Args:
        recording: Keep everything, so that `save_picture` can draw it.
    """

    def __init__(self, *, recording: bool = False) -> None:
        here = Console()
        # Beyond that, lines are hard to read; a log has no width of its own.
        width = min(here.width, _WIDTH) if here.is_terminal and not recording else _WIDTH
        self._console = Console(highlight=False, record=recording, width=width)
        self._in_a_log = not (here.is_terminal or recording)

    def open(self, title: str, words: str, facts: Mapping[str, str]) -> None:
        """The headline, a sentence, and what takes part."""
        self._show(Text(title, style="bold"), indent=0)
        self._show(Text(words, style="dim"), indent=0)
        self._blank()
        self._show(_pairs(facts.items(), style="dim"))

    def chapter(self, words: str) -> None:
        """A new step of the story."""
        self._blank()
        self._show(Text.assemble(("● ", "blue"), (words, "bold")), indent=0)

    def listing(self, rows: Iterable[tuple[str, str]]) -> None:
        """Names, and what they are."""
        self._show(_pairs(rows, style="cyan"))

    def call(self, tool: str, arguments: Mapping[str, object]) -> None:
        """What the client sends."""
        words = Text.assemble((tool, "bold cyan"))
        for name, value in arguments.items():
            shown = shortened(one_line(str(value)), _ARGUMENT)
            words.append(f"  {name}=", style="dim")
            words.append(f'"{shown}"' if isinstance(value, str) and " " in value else shown)
        self._marked("→", "cyan", words)

    def progress(self, number: float, message: str) -> None:
        """A notification, as it comes: what fits on one line."""
        words = Text(one_line(message), style="dim", no_wrap=True, overflow="ellipsis")
        self._marked(f"┊ {number:>3g}", "blue", words)

    def answer(self, text: str, *, lines: int) -> None:
        """The beginning of what the tool answered."""
        told = [shortened(line, _ANSWER) for line in printable(text).splitlines() if line.strip()]
        self._marked("←", "green", Text("\n".join(told[:lines])))
        if len(told) > lines:
            rest = len(told) - lines
            self._marked(" ", "", Text(f"… {rest} more line{'' if rest == 1 else 's'}", style="dim"))

    def result(self, text: str) -> None:
        """What the task was done for."""
        self._show(
            Panel(Text(printable(text)), title="result", title_align="left", border_style="green", padding=(1, 2))
        )

    def note(self, text: str, *, style: str = "") -> None:
        """A line of our own."""
        self._show(Text(printable(text), style=style))

    def close(self, items: Iterable[Item], faults: Iterable[str]) -> None:
        """What happened and what did not."""
        self.chapter("What came over the wire")
        for item in items:
            mark, style = ("✓", "green") if item.happened else ("✗", "bold red")
            self._marked(mark, style, Text(item.words, style="" if item.happened else "red"))
        for fault in faults:
            self._show(Text(printable(fault), style="red"))

    def save_picture(self, path: Path, *, title: str) -> None:
        """Everything that was shown, as an SVG without anything from another place."""
        drawn = self._console.export_svg(title=title)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_FONT_FACES.sub("", drawn), encoding="utf-8")

    def _marked(self, mark: str, style: str, words: Text) -> None:
        row = Table.grid(padding=(0, 1))
        row.add_column(no_wrap=True)
        row.add_column(overflow="fold")
        row.add_row(Text(mark, style=style), words)
        self._show(row)

    def _blank(self) -> None:
        if self._in_a_log:
            print()
        else:
            self._console.print()

    def _show(self, what: RenderableType, *, indent: int = _INDENT) -> None:
        block = Padding(what, (0, 0, 0, indent), expand=False)
        if not self._in_a_log:
            self._console.print(block)
            return
        with self._console.capture() as shown:
            self._console.print(block)
        print("\n".join(line.rstrip() for line in shown.get().splitlines()), flush=True)


def _pairs(rows: Iterable[tuple[str, str]], *, style: str) -> Table:
    grid = Table.grid(padding=(0, 3))
    grid.add_column(style=style, no_wrap=True)
    grid.add_column(overflow="fold")
    for name, words in rows:
        grid.add_row(Text(name), Text(printable(words)))
    return grid
