"""What is on a screen, and how a step changes it. Pure values: nothing is drawn here.

A `Page` is small and frozen, so a screenshot is kept as the page it shows and drawn when somebody asks for the picture.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from urllib.parse import quote_plus, urlsplit

from northstar_mcp.simulator.script import Step, Verb
from northstar_mcp.simulator.topics import ANYTHING, Row, filled, rows_of, subject_of, topic_of


class Kind(StrEnum):
    """The kind of a computer."""

    BROWSER = "browser"
    DESKTOP = "desktop"


class Look(StrEnum):
    """What the page mostly consists of."""

    BLANK = "blank"
    LIST = "list"
    ARTICLE = "article"
    FORM = "form"
    LOGIN = "login"


@dataclass(frozen=True, slots=True)
class Entry:
    """A labelled field and what is typed in it."""

    label: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One screen: where it is, what it shows, and where the pointer stands (`target` names a place of layout.py)."""

    kind: Kind
    url: str = "about:blank"
    app: str = "New tab"
    title: str = "New tab"
    heading: str = ""
    look: Look = Look.BLANK
    rows: tuple[Row, ...] = ()
    entries: tuple[Entry, ...] = ()
    button: str = ""
    query: str = ""
    notice: str = ""
    target: str = "page"
    pressed: bool = False
    scrolled: int = 0
    caption: str = ""
    step: int = 0
    steps: int = 0


def blank(kind: Kind) -> Page:
    """A computer nobody has used yet."""
    if kind is Kind.BROWSER:
        return Page(kind=kind)
    return Page(kind=kind, url="", app="Desktop", title="Desktop")


def page_after(page: Page, step: Step, *, instruction: str, number: int, total: int) -> Page:
    """The screen as the step leaves it."""
    resting = replace(page, pressed=False, notice="", step=number, steps=total, caption=_caption(step))
    return _CHANGES[step.verb](resting, step, instruction)


def _caption(step: Step) -> str:
    return step.done[:1].upper() + step.done[1:]


def _opened(page: Page, step: Step, instruction: str) -> Page:
    if page.look is not Look.BLANK and "://" not in step.what:
        return _clicked(page, step, instruction)  # something on the page, such as a file in a list
    topic = topic_of(instruction)
    subject = subject_of(instruction)
    heading = filled(topic.heading, subject)
    shown = replace(
        blank(page.kind),
        heading=heading,
        rows=rows_of(topic, instruction),
        look=Look.ARTICLE if topic is ANYTHING else Look.LIST,
        caption=page.caption,
        step=page.step,
        steps=page.steps,
        target="address",
        pressed=True,
    )
    if page.kind is Kind.DESKTOP:
        return replace(shown, app=topic.app, title=f"{topic.app} - {heading}")
    url = step.what if "://" in step.what else (page.url if page.url != "about:blank" else f"https://{topic.host}/")
    return replace(shown, url=url, app=site_of(url), title=f"{heading} - {site_of(url)}")


def _looked(page: Page, _step: Step, _instruction: str) -> Page:
    return replace(page, target="heading")


def _searched(page: Page, step: Step, instruction: str) -> Page:
    shown = _with_content(page, step, instruction)
    url = (
        f"{shown.url.split('?')[0].rstrip('/')}/search?q={quote_plus(step.what)}" if shown.kind is Kind.BROWSER else ""
    )
    return replace(
        shown,
        url=url.replace("/search/search", "/search"),
        query=step.what,
        heading=f"Results for “{step.what}”",
        look=Look.LIST,
        scrolled=0,
        target="search",
        pressed=True,
    )


def _clicked(page: Page, step: Step, instruction: str) -> Page:
    shown = _with_content(page, step, instruction)
    if shown.look in {Look.FORM, Look.LOGIN}:
        return replace(shown, target="button", pressed=True, notice=f"{shown.button}: done")
    row = next((i for i, row in enumerate(shown.rows) if _mentions(row.title, step.what)), 0)
    return replace(shown, target=f"row:{row}", pressed=True, scrolled=0)


def _typed(page: Page, step: Step, instruction: str) -> Page:
    shown = _with_content(page, step, instruction)
    entries = list(
        shown.entries if shown.look is Look.FORM else (Entry(label) for label in topic_of(instruction).fields)
    )
    place = next((i for i, entry in enumerate(entries) if _mentions(step.what, entry.label)), None)
    if place is None:
        place = next((i for i, entry in enumerate(entries) if not entry.value), len(entries) - 1)
    entries[place] = Entry(entries[place].label, step.what)
    return replace(
        shown,
        look=Look.FORM,
        heading=shown.heading if shown.look is Look.FORM else "New entry",
        entries=tuple(entries),
        button=topic_of(instruction).submit,
        target=f"entry:{place}",
        pressed=True,
    )


def _scrolled(page: Page, _step: Step, _instruction: str) -> Page:
    return replace(page, scrolled=min(page.scrolled + 1, max(len(page.rows) - 2, 0)), target="page")


def _read(page: Page, step: Step, instruction: str) -> Page:
    shown = _with_content(page, step, instruction)
    look = Look.LIST if shown.look in {Look.FORM, Look.LOGIN} else shown.look
    return replace(shown, look=look, target="row:0")


def _signed_in(page: Page, step: Step, instruction: str) -> Page:
    shown = _with_content(page, step, instruction)
    return replace(
        shown,
        look=Look.LOGIN,
        heading="Sign in",
        entries=(Entry("Email", "sam@example.com"), Entry("Password", "**********")),
        button="Sign in",
        target="button",
        pressed=True,
    )


def _verified(page: Page, step: Step, instruction: str) -> Page:
    shown = _with_content(page, step, instruction)
    return replace(shown, notice="All changes saved" if shown.look is Look.FORM else "Up to date", target="notice")


def _with_content(page: Page, step: Step, instruction: str) -> Page:
    """A step may come first (a hook, a message): then the place it works on is opened along with it."""
    return page if page.look is not Look.BLANK else _opened(page, step, instruction)


def _mentions(text: str, other: str) -> bool:
    wanted = other.strip("“”").lower()
    return bool(wanted) and (wanted in text.lower() or text.lower() in wanted)


_CHANGES: Final[Mapping[Verb, Callable[[Page, Step, str], Page]]] = {
    Verb.OPEN: _opened,
    Verb.LOOK: _looked,
    Verb.SEARCH: _searched,
    Verb.CLICK: _clicked,
    Verb.TYPE: _typed,
    Verb.SCROLL: _scrolled,
    Verb.READ: _read,
    Verb.LOGIN: _signed_in,
    Verb.VERIFY: _verified,
    Verb.FOLLOW: _looked,
}


def site_of(url: str) -> str:
    """The site's name, as a tab shows it: the host without `www.`."""
    host = urlsplit(url).hostname or url
    return host.removeprefix("www.")
