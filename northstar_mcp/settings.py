"""Everything that an operator can set, and where it is read: defaults < file < environment < flags.

Only `app` and `cli` use this; every other room is given plain arguments. A fault names the place it came from and says what was
expected; the value of a secret is in no fault, no repr and no log line.
"""

import difflib
import logging
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from northstar_mcp.errors import SettingsInvalid

APPLICATION: Final = "northstar-mcp"
CONFIG_VARIABLE: Final = "NORTHSTAR_MCP_CONFIG"

_PREFIX: Final = "NORTHSTAR_MCP_"
_NAMES_OF_LIGHTCONE: Final[Mapping[str, str]] = {  # as the official client
    "api_key": "TZAFON_API_KEY",
    "base_url": "LIGHTCONE_BASE_URL",
    "custom_headers": "LIGHTCONE_CUSTOM_HEADERS",
}
_PLACEHOLDER: Final = re.compile(r"\s*\$\{[^}]*\}\s*")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_KEY_LOOKING: Final = re.compile(r"sk[-_]|bearer\s|@", re.IGNORECASE)
_LONGEST_SHOWN: Final = 60

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a value has to be, in words that follow "must be".

    Attributes:
        empty_counts: An empty text is a value (an empty list); elsewhere it is the same as none.
        secret: Its value is never shown.
    """

    words: str
    empty_counts: bool = False
    secret: bool = False


def _no_truth(value: object) -> object:
    if isinstance(value, bool):  # pydantic would take it for 0 or 1
        raise ValueError("not a number")  # noqa: TRY004 - pydantic turns a ValueError into a fault, and nothing else
    return value


def _listed(value: object) -> object:
    return [part for piece in value.split(",") if (part := piece.strip())] if isinstance(value, str) else value


def _stripped(value: object) -> object:
    return (value.strip() or None) if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _folder(value: object) -> object:
    if not isinstance(value, str | Path):
        return value
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:  # no home folder
        raise ValueError(str(error)) from None


def _address(value: str) -> str:
    url = urlsplit(value.strip())
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
        raise ValueError("not an address")
    _ = url.port  # raises ValueError where it is none
    return value.strip().rstrip("/")


def _header_lines(value: object) -> object:
    if not isinstance(value, str):
        return value
    pairs = (line.partition(":") for line in value.splitlines())
    return {name.strip(): text.strip() for name, colon, text in pairs if colon}


def _plain_headers(headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not value.get_secret_value().isprintable():
            raise ValueError("not a header")
    return headers


_A_HOST: Final = r"^(\*\.)?[A-Za-z0-9_-][A-Za-z0-9._-]*$|^[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*$"
_WITH_PORT: Final = r"^([A-Za-z0-9_-][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:([0-9]+|\*))?$"
_AN_ORIGIN: Final = r"^[a-z][a-z0-9+.-]*://[^/\s]+$"

_Count: TypeAlias = Annotated[
    int, BeforeValidator(_no_truth), Field(ge=1), Expected("a whole number of at least 1, without a unit")
]
_Retries: TypeAlias = Annotated[
    int, BeforeValidator(_no_truth), Field(ge=0, le=10), Expected("a whole number from 0 to 10")
]
_Seconds: TypeAlias = Annotated[
    float,
    BeforeValidator(_no_truth),
    Field(gt=0, le=31_536_000, allow_inf_nan=False),
    Expected("a number of seconds greater than 0, without a unit"),
]
_Hosts: TypeAlias = Annotated[
    frozenset[Annotated[str, Field(pattern=_A_HOST)]],
    BeforeValidator(_listed),
    Expected('a list of host names without a port, such as "example.com" or "*.example.com"', empty_counts=True),
]
_HostsOrAll: TypeAlias = Annotated[
    frozenset[Annotated[str, Field(pattern=rf"{_A_HOST}|^\*$")]],
    BeforeValidator(_listed),
    Expected('a list of host names without a port, such as "example.com", "*.example.com" or "*"', empty_counts=True),
]
_Kinds: TypeAlias = Annotated[
    frozenset[Literal["desktop", "browser"]],
    BeforeValidator(_listed),
    Expected('a list of "browser" and "desktop"', empty_counts=True),
]
_HostHeaders: TypeAlias = Annotated[
    frozenset[Annotated[str, Field(pattern=_WITH_PORT)]],
    BeforeValidator(_listed),
    Expected('a list of Host headers, such as "mcp.example.com" or "localhost:*"', empty_counts=True),
]
_Origins: TypeAlias = Annotated[
    frozenset[Annotated[str, Field(pattern=_AN_ORIGIN)]],
    BeforeValidator(_listed),
    Expected('a list of origins, such as "https://app.example.com" or "http://localhost:*"', empty_counts=True),
]


class Settings(BaseModel):
    """What the operator set. Read with `Settings.load`, or made directly by who embeds the server.

    Where a list can be left out, "no list" and "an empty list" are different things: no list sets no limit (or the stated default), an
    empty list allows nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    api_key: Annotated[SecretStr | None, BeforeValidator(_stripped), Expected("text in quotes", secret=True)] = Field(
        default=None,
        description="The Lightcone API key. Without one, tools are listed and every call says how to get one.",
    )
    base_url: Annotated[
        str,
        AfterValidator(_address),
        Expected("an http or https address without a password, query or fragment, such as https://api.tzafon.ai"),
    ] = Field(default="https://api.tzafon.ai", description="Where the Lightcone API is.")
    custom_headers: Annotated[
        Mapping[str, SecretStr],
        BeforeValidator(_header_lines),
        AfterValidator(_plain_headers),
        Expected('HTTP headers: a table in the file, lines such as "Name: value" elsewhere', secret=True),
    ] = Field(default_factory=dict, description="Headers that are sent with every request to Lightcone.")
    data_dir: Annotated[Path, BeforeValidator(_folder), Expected("a folder's path")] = Field(
        default_factory=lambda: _user_folder("data"),
        description="Folder of the ledger and the screenshots. Default: the platform's folder for a user's data.",
    )

    max_steps: _Count | None = Field(
        default=None, description="Steps that one task may take at most. Tasks that ask for more get this many."
    )
    max_duration_seconds: _Count | None = Field(
        default=None, description="Seconds that one task may take at most. Tasks that ask for more get this many."
    )
    max_concurrent_tasks: _Count | None = Field(
        default=None, description="Tasks of one user that may be unfinished at once."
    )
    kinds: _Kinds | None = Field(
        default=None, description="Kinds of computer that tasks may use. No list: all; an empty list: none."
    )
    confirm: Annotated[Literal["never", "risky", "always"], Expected('"never", "risky" or "always"')] = Field(
        default="never",
        description="Which starts the user has to confirm in their host: none; those that go on with a computer, use or save log-ins, "
        "or leave a computer running; or all. Where the host cannot ask its user, such a start is refused.",
    )
    start_url_hosts: _Hosts | None = Field(
        default=None,
        description="Hosts that a task's start_url may name. It does not limit where Northstar goes from there. "
        "No list: all; an empty list: none.",
    )
    screenshot_hosts: _HostsOrAll | None = Field(
        default=None,
        description="Hosts from which screenshots may be fetched, beside that of base_url. No list: Lightcone's own; an empty "
        "list: none.",
    )
    keep_screenshots: Annotated[Literal["on", "off"], Expected('"on" or "off"')] = Field(
        default="on",
        description="Whether screenshots that Lightcone gives as addresses are fetched and kept while a task runs, since the addresses "
        "expire. Those that come as bytes are always kept.",
    )
    screenshots_megabytes: _Count = Field(
        default=1024,
        description="How much the kept screenshots of all tasks may take together. The oldest go first, those of ended tasks before "
        "others; the last one of an unfinished task stays.",
    )

    reattach: Annotated[Literal["get", "off", "post"], Expected('"get", "off" or "post"')] = Field(
        default="get",
        description="How a broken event stream is reopened: get asks for it at a path that can do no harm; post repeats the start "
        "under its idempotency key, which may start a second task where keys are not honoured; off asks for the status only.",
    )
    timeout_seconds: _Seconds = Field(default=60.0, description="How long one attempt of a call to Lightcone may take.")
    max_retries: _Retries = Field(default=2, description="Attempts beyond the first, for calls that may be repeated.")
    stall_seconds: _Seconds = Field(
        default=90.0,
        description="Silence on a task's stream (pings do not count) after which Lightcone is asked how it is.",
    )
    first_retry_seconds: _Seconds = Field(
        default=1.0, description="The first pause between attempts to get back to a task; later ones grow."
    )
    last_retry_seconds: _Seconds = Field(
        default=15.0, description="The longest pause between attempts to get back to a task."
    )
    grace_seconds: _Seconds = Field(
        default=60.0, description="Time beyond a task's max_duration_seconds before this server tries to stop it."
    )
    settle_seconds: _Seconds = Field(
        default=30.0,
        description="How long a task whose steps are used up may still be reported as running before it counts as ended.",
    )
    repeat_seconds: _Seconds = Field(
        default=600.0,
        description="How long an equal start, without an idempotency_key, counts as a repeat of an unfinished task.",
    )
    naming_seconds: _Seconds = Field(
        default=5.0, description="How long a call waits for Lightcone's id of a task that was just started."
    )
    stopping_seconds: _Seconds = Field(
        default=10.0, description="How long a stop waits for the task's end to be confirmed."
    )
    lease_seconds: _Seconds = Field(
        default=8.0, description="How long a process may be silent before another takes over the tasks it follows."
    )
    sweep_seconds: _Seconds = Field(
        default=4.0, description="How often unfinished tasks that nobody follows are looked for."
    )

    keeper: Annotated[Literal["on", "off"], Expected('"on" or "off"')] = Field(
        default="on",
        description="Whether a process of its own (docs/keeper.md) does the work of the servers that hosts start over stdio, and "
        "goes on when they end.",
    )
    keeper_idle_seconds: Annotated[
        float,
        BeforeValidator(_no_truth),
        Field(gt=0, le=3600, allow_inf_nan=False),
        Expected("a number of seconds greater than 0 and at most 3600, without a unit"),
    ] = Field(
        default=30.0, description="How long the keeper stays when no host is connected and no task is unfinished."
    )

    allowed_hosts: _HostHeaders | None = Field(
        default=None,
        description="Host headers that the HTTP server answers, with a port, or :* for any. No list: the names of this machine's "
        "loopback; an empty list: none.",
    )
    allowed_origins: _Origins | None = Field(
        default=None,
        description="Origin headers that the HTTP server answers; requests without one always pass. No list: the server's own "
        "loopback address; an empty list: none.",
    )
    http_stateless: Annotated[Literal["on", "off"], Expected('"on" or "off"')] = Field(
        default="off",
        description="Whether the HTTP server keeps no sessions for clients before 2026-07-28 (later ones have none), so that any of "
        "several servers can answer each request. Such clients hear of updates only within their calls.",
    )
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        BeforeValidator(_upper),
        Expected("DEBUG, INFO, WARNING, ERROR or CRITICAL"),
    ] = Field(default="WARNING", description="The least grave lines that are written to standard error.")

    @classmethod
    def load(cls, *, flags: Mapping[str, object] | None = None, env: Mapping[str, str] | None = None) -> Self:
        """Read all sources.

        Args:
            flags: Settings by name, and `config` for the file's path; None as a value means not given.
            env: The environment; the process's own where it is left out.

        Raises:
            SettingsInvalid: With one sentence for each fault of every source.
        """
        env = os.environ if env is None else env
        flags = {name: value for name, value in (flags or {}).items() if value is not None}
        faults: list[str] = []
        given = {
            **_known(_from_file(_file_named(flags, env), faults), faults),
            **_known(_from_environment(env, faults), faults),
            **_known(_from_flags(flags), faults),
        }
        try:
            settings = cls.model_validate({name: entry.value for name, entry in given.items()})
        except ValidationError as error:
            faults += _faults_of(error, given)
        if faults:
            # Without its cause: pydantic's error holds the values.
            raise SettingsInvalid(
                "\n".join(dict.fromkeys(faults)), remedy="Correct the configuration, then start again.", sent=False
            ) from None
        return settings


def environment_name(setting: str) -> str:
    """The environment variable of a setting."""
    return _NAMES_OF_LIGHTCONE.get(setting, f"{_PREFIX}{setting.upper()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A value, and where it was given.

    Attributes:
        place: How a person finds it.
        name: As it is written there; `names` are those that could be written in its place, by the setting they stand for.
        undo: What to do instead of correcting it.
    """

    value: object
    place: str
    name: str
    names: Mapping[str, str]
    undo: str


def _from_file(place: tuple[Path, bool], faults: list[str]) -> dict[str, _Entry]:
    path, must_exist = place
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        if must_exist:
            faults.append(f"The configuration file {path} does not exist: create it, or unset {CONFIG_VARIABLE}.")
        return {}
    except OSError as error:
        faults.append(
            f"The configuration file {path} cannot be read ({error.strerror}): make it readable, or remove it."
        )
        return {}
    except UnicodeDecodeError:
        faults.append(f"The configuration file {path} is not in UTF-8: save it as UTF-8.")
        return {}
    except tomllib.TOMLDecodeError as error:
        faults.append(f"The configuration file {path} is not TOML: {_words_of(error)}; correct that line.")
        return {}
    if content.get("api_key") or content.get("custom_headers"):
        _warn_if_open(path)
    names = {name: name for name in Settings.model_fields}
    undo = "correct it, or remove it from the file"
    return {
        name: _Entry(value=value, place=f"{name!r} in {path}", name=name, names=names, undo=undo)
        for name, value in content.items()
    }


def _from_environment(env: Mapping[str, str], faults: list[str]) -> dict[str, _Entry]:
    names = {name: environment_name(name) for name in Settings.model_fields}
    settings = {variable: name for name, variable in names.items()}
    entries: dict[str, _Entry] = {}
    for variable, text in env.items():
        if variable == CONFIG_VARIABLE or not (variable in settings or variable.startswith(_PREFIX)):
            continue
        name = settings.get(variable, variable)
        place = f"The environment variable {variable}"
        if _PLACEHOLDER.fullmatch(text):
            faults.append(
                f"{place} holds {text.strip()}, which the host did not fill in: set a value there, or unset it."
            )
        elif text.strip() or name not in settings.values() or _expected(name).empty_counts:
            entries[name] = _Entry(value=text, place=place, name=variable, names=names, undo="correct it, or unset it")
    return entries


def _from_flags(flags: Mapping[str, object]) -> dict[str, _Entry]:
    names = {name: _flag(name) for name in Settings.model_fields}
    return {
        name: _Entry(
            value=value,
            place=f"The flag {_flag(name)}",
            name=_flag(name),
            names=names,
            undo="correct it, or leave it out",
        )
        for name, value in flags.items()
        if name != "config"
    }


def _known(entries: dict[str, _Entry], faults: list[str]) -> dict[str, _Entry]:
    """Those entries that are settings. The others are faults."""
    for name, entry in entries.items():
        if name not in Settings.model_fields:
            faults.append(f"{entry.place} is not a setting{_meant(name, entry)}: correct the name, or remove it.")
    return {name: entry for name, entry in entries.items() if name in Settings.model_fields}


def _meant(name: str, entry: _Entry) -> str:
    # NORTHSTAR_MCP_API_KEY names a setting that has another variable.
    exact = entry.names.get(name.removeprefix(_PREFIX).lower().replace("-", "_"))
    close = [exact] if exact else difflib.get_close_matches(entry.name, entry.names.values(), n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""


def _faults_of(error: ValidationError, given: Mapping[str, _Entry]) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        name = str(fault["loc"][0])
        expected, entry = _expected(name), given[name]
        yield f"{entry.place} must be {expected.words}{_shown(expected, entry.value)}: {entry.undo}."


def _shown(expected: Expected, value: object) -> str:
    """The value, where nobody can have put a secret there by mistake."""
    text = repr(value)
    if expected.secret or len(text) > _LONGEST_SHOWN or _KEY_LOOKING.search(text):
        return ""
    return f", not {text}"


def _expected(name: str) -> Expected:
    field = Settings.model_fields[name]
    return next(found for found in (*field.metadata, *_inside(field.annotation)) if isinstance(found, Expected))


def _inside(annotation: Any) -> Iterator[object]:
    for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield part
        yield from _inside(part)


def _file_named(flags: Mapping[str, object], env: Mapping[str, str]) -> tuple[Path, bool]:
    """The configuration file, and whether somebody asked for it, so that it must be there."""
    named = flags.get("config") or env.get(CONFIG_VARIABLE, "").strip()
    if named:
        return Path(str(named)).expanduser().absolute(), True
    return _user_folder("config") / "config.toml", False


def _user_folder(kind: Literal["config", "data"]) -> Path:
    import platformdirs  # when it is needed: most installations name both places, or neither is asked for

    folder = platformdirs.user_config_dir if kind == "config" else platformdirs.user_data_dir
    return Path(folder(APPLICATION, appauthor=False))


def _warn_if_open(path: Path) -> None:
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        _log.warning("%s holds secrets and other users can read it; run: chmod 600 %s", path, path)


def _words_of(error: tomllib.TOMLDecodeError) -> str:
    # Only where it is wrong: the rest of the message may quote the file, and with it a key.
    where = re.search(r"\(at (.*)\)$", str(error))
    return f"it cannot be read at {where[1]}" if where else "it cannot be read"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
