"""From an instruction to the steps that the scripted agent takes.

Deterministic and pure: sentences, clauses and numbered lines become steps by their verbs (`VERBS`); quoted text is what
gets typed or clicked. Between 4 and 12 steps, unless a hook says how many. Nothing here draws or waits.
"""

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from northstar_mcp.simulator.hooks import Hooks, read_hooks
from northstar_mcp.simulator.topics import topic_of

FEWEST: Final = 4
MOST: Final = 12


class Verb(StrEnum):
    """What a step does."""

    OPEN = "open"
    LOOK = "look"
    SEARCH = "search"
    CLICK = "click"
    TYPE = "type"
    SCROLL = "scroll"
    READ = "read"
    LOGIN = "login"
    VERIFY = "verify"
    FOLLOW = "follow"


VERBS: Final[tuple[tuple[Verb, str], ...]] = (
    (Verb.LOGIN, r"log ?in|sign ?in|authenticate"),
    (Verb.VERIFY, r"verify|confirm|make sure|ensure|double.check"),
    (Verb.SEARCH, r"search|look up|google|filter"),
    (Verb.TYPE, r"type|enter|fill|write|set|reply|add|create|rename|draft"),
    (Verb.CLICK, r"click|press|select|choose|tap|submit|send|save|delete|remove|download|buy|close|pick"),
    (Verb.SCROLL, r"scroll"),
    (Verb.OPEN, r"open|go to|visit|navigate|launch|start"),
    (
        Verb.READ,
        r"read|find|list|report|tell|summari[sz]e|count|check|compare|extract|note|what|which|how|get|show|give",
    ),
)

THOUGHTS: Final[dict[Verb, str]] = {
    Verb.OPEN: "I need to be on the right page first, so I open {what}.",
    Verb.LOOK: "The page has loaded. I look it over before I touch anything.",
    Verb.SEARCH: "A search is the quickest way to {what}.",
    Verb.CLICK: "I can see {what}. I click it.",
    Verb.TYPE: "The field has focus, so I type {what}.",
    Verb.SCROLL: "There is more below, so I scroll down.",
    Verb.READ: "Now I read what is on the screen: {what}.",
    Verb.LOGIN: "This needs a signed-in session: {what}.",
    Verb.VERIFY: "Before I report, I check that it worked: {what}.",
    Verb.FOLLOW: "A new message came in while I was working: “{what}”. I adjust my plan to it.",
}

DONE: Final[dict[Verb, str]] = {
    Verb.OPEN: "opened {what}",
    Verb.LOOK: "looked over the page",
    Verb.SEARCH: "searched for “{what}”",
    Verb.CLICK: "clicked {what}",
    Verb.TYPE: "typed “{what}”",
    Verb.SCROLL: "scrolled further down",
    Verb.READ: "read the screen ({what})",
    Verb.LOGIN: "signed in",
    Verb.VERIFY: "checked the outcome ({what})",
    Verb.FOLLOW: "followed the message “{what}”",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One action: its verb and what it acts on."""

    verb: Verb
    what: str = ""

    @property
    def thought(self) -> str:
        """What the agent thinks before it acts."""
        return THOUGHTS[self.verb].format(what=self.what)

    @property
    def done(self) -> str:
        """What it says it did."""
        return DONE[self.verb].format(what=self.what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The plan for one task."""

    instruction: str
    steps: tuple[Step, ...]
    hooks: Hooks = field(default_factory=Hooks)


def write_script(instruction: str, *, start_url: str | None, browser: bool) -> Script:
    """The plan that an instruction stands for."""
    plain, hooks = read_hooks(instruction)
    place = start_url or _address(plain) or _home(plain, browser=browser)
    steps = [Step(Verb.OPEN, place), Step(Verb.LOOK)]
    asked = [step for step in map(_step, _clauses(plain)) if step is not None and step != steps[0]]
    if browser and asked and asked[0].verb is Verb.OPEN and "://" not in asked[0].what:
        asked = asked[1:]  # "open the CRM": the first page is that already
    steps += asked
    if steps[-1].verb is not Verb.VERIFY:
        steps.append(Step(Verb.VERIFY, "the screen shows what was asked for"))
    return Script(instruction=plain, steps=_fitted(steps, hooks.steps), hooks=hooks)


def _clauses(instruction: str) -> list[str]:
    """Numbered lines, sentences, and the parts that `then`, `and` or a comma before a verb join."""
    text = re.sub(r"(?m)(?:^|(?<=\s))(?:\d{1,2}[.)]|[-*•])\s+", "\n", instruction)
    joint = "|".join(pattern for _, pattern in VERBS)
    text = re.sub(rf"(?i)(?:,|;)?\s*(?:\bthen\b|\band\b|,)\s+(?=(?:then\s+)?(?:{joint})\b)", "\n", text)
    clauses = re.split(r"[\n;]+|(?<=[.!?])\s+", text)
    return [clause.strip(" .,:!") for clause in clauses if re.search(r"\w{2}", clause)]


def _step(clause: str) -> Step | None:
    for verb, pattern in VERBS:
        found = re.search(rf"(?i)^(?:please\s+|then\s+|now\s+)*(?:{pattern})\b", clause)
        if found:
            return _made(verb, clause, clause[found.end() :].strip(" :"))
    return Step(Verb.READ, _short(clause))


def _made(verb: Verb, clause: str, rest: str) -> Step | None:
    quoted = re.search(r"[\"“]([^\"”]+)[\"”]", clause)
    if verb is Verb.OPEN:
        address = _address(rest)
        return Step(verb, address or _short(rest)) if rest else None
    if verb in {Verb.TYPE, Verb.SEARCH}:
        return Step(verb, _short(quoted[1] if quoted else re.sub(r"(?i)^(?:for|in|up|the)\s+", "", rest) or clause))
    if verb is Verb.CLICK:
        return Step(verb, f"“{_short(quoted[1])}”" if quoted else _short(re.sub(r"(?i)^on\s+", "", rest) or clause))
    return Step(verb, _short(clause))


def _fitted(steps: list[Step], wanted: int | None) -> tuple[Step, ...]:
    """As many steps as wanted (else FEWEST to MOST): the last one stays last, what is missing is looked at and read."""
    length = wanted or min(max(len(steps), FEWEST), MOST)
    *body, last = steps
    padding = (Step(Verb.SCROLL), Step(Verb.READ, "the rest of the page"))
    while len(body) < length - 1:
        body.append(padding[len(body) % 2])
    return (*body[: length - 1], last)


def _address(text: str) -> str | None:
    found = re.search(
        r"https?://[^\s<>\"”]+|\b(?:[a-z0-9-]+\.)+(?:com|org|net|io|ai|dev|de|edu|gov|test)\b(?:/[^\s\"”]*)?",
        text,
        re.IGNORECASE,
    )
    if not found:
        return None
    address = found[0].rstrip(".,;:!?)")
    return address if "://" in address else f"https://{address}"


def _home(plain: str, *, browser: bool) -> str:
    topic = topic_of(plain)
    return f"https://{topic.host}/" if browser else topic.app


def _short(text: str, limit: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def following(message: str) -> tuple[Step, ...]:
    """The steps that an injected message adds: take it in, then do what it says."""
    acting = _step(_short(message, 200)) or Step(Verb.LOOK)
    return (Step(Verb.FOLLOW, _short(message, 200)), replace(acting, what=_short(acting.what)))


def asks_to_stop(message: str) -> bool:
    """Whether a message tells the agent to stop working."""
    return re.match(r"(?i)\s*(?:please\s+)?(?:stop|cancel|abort|quit|end the task)\b", message) is not None
