"""Where a keeper is found: its folder, its names in there, and which keeper belongs to which configuration.

Two hosts share a keeper where nothing that it depends on differs: the user, this installation, the key and the settings. A host waits
for this, so it imports nothing beyond the standard library, and of that what Python has loaded anyway.
"""

from __future__ import annotations

import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SETTINGS = ("NORTHSTAR_MCP_", "TZAFON_", "LIGHTCONE_")
_SURROUNDINGS = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "PYTHONPATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
_OF_THE_FRONT = "NORTHSTAR_MCP_KEEPER"
_CONFIG = "NORTHSTAR_MCP_CONFIG"
_LONGEST_SOCKET = 100  # bytes: a Unix socket's path holds 108 on Linux and 104 on macOS, with the end


class NoKeeper(Exception):
    """This configuration has no keeper; its text says why.

    Attributes:
        is_news: Whether its user should be told: not where they asked for it, or hear of the cause anyway.
    """

    def __init__(self, reason: str, *, is_news: bool = True) -> None:
        super().__init__(reason)
        self.is_news = is_news


class Place:
    """The files of one keeper. They exist only while it needs them.

    Attributes:
        name: The fingerprint of what the keeper depends on, from which none of it can be learnt.
        socket: Where it listens.
        lock: Held by the one process that is this keeper, for as long as it lives.
        log: Its standard error.
    """

    __slots__ = ("folder", "lock", "log", "name", "socket")

    def __init__(self, folder: str, name: str) -> None:
        self.folder = folder
        self.name = name
        self.socket = f"{folder}/{name}.sock"
        self.lock = f"{folder}/{name}.lock"
        self.log = f"{folder}/{name}.log"


def place_of(env: Mapping[str, str]) -> Place:
    """Where the keeper of this configuration is, or would be. Its folder is made where it is missing.

    Raises:
        NoKeeper: If this system or this folder cannot have one, or the settings want none.
    """
    if sys.platform == "win32":
        raise NoKeeper("Windows has no Unix sockets")
    config = _config_file(env)
    if _switched_off(env, config):
        raise NoKeeper("the settings want none", is_news=False)
    folder = runtime_folder(env)
    claim(folder)
    return Place(folder, fingerprint(env, config))


def runtime_folder(env: Mapping[str, str]) -> str:
    """The folder for what lives no longer than the user's session.

    Hosts pass on few variables, or none, so that it must be the same without them: on Linux the session's own folder, on macOS the
    user's temporary one, elsewhere one below /tmp.
    """
    user = os.getuid()
    session = env.get("XDG_RUNTIME_DIR", "")
    candidates = [session if os.path.isabs(session) else "", f"/run/user/{user}", _temporary_folder_of_macos()]
    for folder in candidates:
        if (
            folder
            and os.path.isdir(folder)
            and len(os.fsencode(f"{folder}/northstar-mcp/{'0' * 16}.sock")) <= _LONGEST_SOCKET
        ):
            return f"{folder.rstrip('/')}/northstar-mcp"
    return f"/tmp/northstar-mcp-{user}"  # noqa: S108 - `claim` sees to it that it is ours alone


def claim(folder: str) -> None:
    """See to it that the folder is there and is this user's alone.

    Raises:
        NoKeeper: If it cannot be made, or somebody else can get at it.
    """
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise NoKeeper(f"the folder {folder} cannot be made ({error.strerror})") from None
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise NoKeeper(f"{folder} is not a folder: remove it")
    if found.st_uid != os.getuid():
        raise NoKeeper(f"the folder {folder} belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise NoKeeper(f"other users can get at the folder {folder}: run chmod 700 {folder}")


def fingerprint(env: Mapping[str, str], config: tuple[str, bytes | None]) -> str:
    """What a keeper depends on, as 16 digits: this installation, the settings of every source, and where it runs."""
    from hashlib import sha256

    from northstar_mcp import __version__

    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    facts = [__version__, sys.executable, here, *packages_in(here), repr(config)]
    facts += sorted(f"{name}={value}" for name, value in env.items() if _matters(name))
    if any(value[:1] not in ("/", "~") for name, value in env.items() if name in (_CONFIG, "NORTHSTAR_MCP_DATA_DIR")):
        facts.append(os.getcwd())
    return sha256("\0".join(facts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def packages_in(folder: str) -> list[str]:
    """What is installed there, with versions: an update of a package that the work depends on needs another keeper."""
    return sorted(name for name in os.listdir(folder) if name.endswith(".dist-info"))


def _matters(name: str) -> bool:
    if name == _OF_THE_FRONT:
        return False
    return name.startswith(_SETTINGS) or name in _SURROUNDINGS or name.upper().endswith("_PROXY")


def _switched_off(env: Mapping[str, str], config: tuple[str, bytes | None]) -> bool:
    """Whether the settings want no keeper. What cannot be understood is left to who reads all settings, and tells of it."""
    if said := env.get(_OF_THE_FRONT, "").strip():
        return said != "on"
    content = config[1]
    if content is None or b"keeper" not in content:
        return False
    import tomllib

    try:
        return bool(tomllib.loads(content.decode("utf-8-sig")).get("keeper", "on") != "on")
    except ValueError:
        return True


def _config_file(env: Mapping[str, str]) -> tuple[str, bytes | None]:
    """The configuration file and what it holds, as settings.py finds it."""
    path = os.path.expanduser(env.get(_CONFIG, "").strip() or f"{_config_folder(env)}/northstar-mcp/config.toml")
    try:
        with open(path, "rb") as file:
            return path, file.read()
    except OSError:
        return path, None


def _config_folder(env: Mapping[str, str]) -> str:
    # As platformdirs has it, which would take longer to import than all of this takes.
    if sys.platform == "darwin":
        return "~/Library/Application Support"
    return env.get("XDG_CONFIG_HOME", "").strip() or "~/.config"


def _temporary_folder_of_macos() -> str:
    if sys.platform == "darwin":
        return os.confstr(65537) or ""  # _CS_DARWIN_USER_TEMP_DIR of <unistd.h>
    return ""
