"""What plausible pages are about: for each kind of subject, the words that point to it and the rows its pages show.

Data only, with the few lines that choose from it. Everything is made from the instruction, so the same instruction sees
the same web.
"""

import random
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list: what stands left, below it, and at the right edge."""

    title: str
    detail: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A subject: when it applies, where it lives, what its pages show. `{t}` is what the instruction is about."""

    words: tuple[str, ...]
    host: str
    app: str
    heading: str
    rows: tuple[Row, ...]
    fields: tuple[str, ...] = ("Title", "Description")
    submit: str = "Save"
    ranked: bool = False


TOPICS: Final[tuple[Topic, ...]] = (
    Topic(
        words=("invoice", "invoices", "expense", "expenses", "receipt", "billing", "payment", "payments"),
        host="ledger.example.com",
        app="Invoices",
        heading="Invoices",
        rows=(
            Row("INV-4821 · Acme Ltd", "due 14 Nov", "$1,240.00"),
            Row("INV-4822 · Borealis GmbH", "due 18 Nov", "$310.50"),
            Row("INV-4823 · Cedar & Sons", "paid", "$89.90"),
            Row("INV-4824 · Delta Freight", "overdue", "$2,675.00"),
            Row("INV-4825 · Elm Street Dental", "due 2 Dec", "$140.00"),
        ),
        fields=("Invoice number", "Customer", "Amount"),
    ),
    Topic(
        words=("email", "emails", "e-mail", "inbox", "mail", "message to", "reply"),
        host="mail.example.com",
        app="Mail",
        heading="Inbox",
        rows=(
            Row("Dana Whitfield", "Agenda for Thursday", "09:12"),
            Row("Build service", "Nightly run: all green", "07:40"),
            Row("Marco Silva", "Re: contract, second draft", "Yesterday"),
            Row("Travel desk", "Your itinerary", "Yesterday"),
            Row("Priya Nair", "Photos from the offsite", "Mon"),
        ),
        fields=("To", "Subject", "Message"),
        submit="Send",
    ),
    Topic(
        words=("contact", "contacts", "crm", "lead", "leads", "customer", "customers", "sign up", "register"),
        host="crm.example.com",
        app="Contacts",
        heading="Contacts",
        rows=(
            Row("Dana Whitfield", "Acme Ltd · Berlin", "Lead"),
            Row("Marco Silva", "Borealis GmbH · Porto", "Customer"),
            Row("Priya Nair", "Cedar & Sons · Pune", "Customer"),
            Row("Tom Okafor", "Delta Freight · Lagos", "Lead"),
            Row("Yuki Mori", "Elm Street Dental · Osaka", "Former"),
        ),
        fields=("Name", "Company", "Email"),
    ),
    Topic(
        words=(
            "price",
            "prices",
            "cheapest",
            "buy",
            "cart",
            "order",
            "product",
            "products",
            "shop",
            "laptop",
            "laptops",
        ),
        host="shop.example.com",
        app="Shop",
        heading="Results for {t}",
        rows=(
            Row("{T}, model A", "4.6 stars · 1,204 reviews · in stock", "$279.00"),
            Row("{T}, compact", "4.4 stars · 861 reviews · in stock", "$199.00"),
            Row("{T} Plus", "4.8 stars · 312 reviews · 2 left", "$349.00"),
            Row("{T}, refurbished", "4.1 stars · 97 reviews · in stock", "$149.00"),
            Row("{T} bundle", "4.5 stars · 540 reviews · ships Monday", "$399.00"),
        ),
        fields=("Name", "Address", "Card"),
        submit="Place order",
    ),
    Topic(
        words=("news", "headline", "headlines", "hacker", "story", "stories", "blog", "post", "posts"),
        host="news.example.com",
        app="News",
        heading="Top stories",
        rows=(
            Row("A small team rewrote its parser and halved the bill", "by mira · 214 comments", "482 points"),
            Row("Show: a spreadsheet that explains itself", "by okto · 96 comments", "351 points"),
            Row("Why the tide tables were wrong for eleven years", "by fen · 133 comments", "298 points"),
            Row("The quiet return of the paper map", "by lars_e · 71 comments", "240 points"),
            Row("Ask: what do you read on trains?", "by june · 305 comments", "187 points"),
        ),
        ranked=True,
    ),
    Topic(
        words=("file", "files", "folder", "document", "documents", "download", "spreadsheet", "notes"),
        host="files.example.com",
        app="Files",
        heading="Documents",
        rows=(
            Row("budget-2026.xlsx", "Spreadsheet · changed today", "48 KB"),
            Row("meeting-notes.txt", "Text · changed today", "3 KB"),
            Row("contract-draft-2.docx", "Document · changed Tuesday", "112 KB"),
            Row("floor-plan.png", "Image · changed 3 Nov", "1.4 MB"),
            Row("archive", "Folder · 27 items", ""),
        ),
        fields=("Contents", "File name"),
    ),
)

ANYTHING: Final = Topic(
    words=(),
    host="search.example.com",
    app="Notes",
    heading="{T}",
    rows=(
        Row("{T}: an overview", "What it is, how it works and where to begin", "2 min"),
        Row("A practical guide to {t}", "Step by step, with examples and common mistakes", "7 min"),
        Row("{T}: questions and answers", "The twelve questions that people ask most", "4 min"),
        Row("What changed in {t} this year", "Last updated 12 November 2026", "5 min"),
        Row("{T} compared", "Five ways side by side, with a table", "9 min"),
    ),
)

_SKIPPED_WORDS: Final = """
a an and at by do find for from get give go hand i in into is it its list look me my of on open or page please read
report search see show site tell that the then there these this those three five ten to top up use visit website what
which with you your how many click type enter press button first every each all are was check verify make sure name
names title titles using com www https http example new create one two four about compare price prices cheapest
heading headings points result results message app browser please finally done save screen screenshot
"""
_SKIPPED: Final = frozenset(_SKIPPED_WORDS.split())


def topic_of(instruction: str) -> Topic:
    """The topic most of whose words occur; `ANYTHING` where none do."""
    lowered = instruction.lower()
    best = max(TOPICS, key=lambda topic: _hits(topic, lowered))
    return best if _hits(best, lowered) else ANYTHING


def subject_of(instruction: str) -> str:
    """What the instruction is about, in at most three of its own words."""
    quoted = re.search(r"[\"“]([^\"”]{2,40})[\"”]", instruction)
    if quoted:
        return quoted[1]
    spoken = re.sub(r"https?://\S+|\b[\w-]+(?:\.[\w-]+)+\b", " ", instruction)
    telling = [word for word in re.findall(r"[^\W\d_][\w'-]+", spoken) if word.lower() not in _SKIPPED]
    return " ".join(telling[:3]).lower()[:48] or "this page"


def rows_of(topic: Topic, instruction: str) -> tuple[Row, ...]:
    """The topic's rows about the instruction's subject, in an order that belongs to the instruction."""
    subject = subject_of(instruction)
    rows = [Row(filled(row.title, subject), filled(row.detail, subject), row.value) for row in topic.rows]
    if not topic.ranked:
        random.Random(zlib.crc32(instruction.encode())).shuffle(rows)  # noqa: S311 - the same order each time is the point
    return tuple(rows)


def filled(text: str, subject: str) -> str:
    """Put the subject into a template."""
    return text.replace("{t}", subject).replace("{T}", subject[:1].upper() + subject[1:])


def _hits(topic: Topic, lowered: str) -> int:
    return sum(1 for word in topic.words if re.search(rf"\b{re.escape(word)}\b", lowered))


LINKS: Final[Mapping[str, tuple[str, ...]]] = {
    "browser": ("Home", "Explore", "Help"),
    "desktop": ("File", "Edit", "View", "Help"),
}
