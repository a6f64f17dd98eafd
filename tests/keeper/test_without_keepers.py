"""Where there can be no keeper, the server works in its own process and says why; no task is harmed by it."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from northstar_mcp.keeper.peers import user_of
from northstar_mcp.keeper.reaching import ask
from northstar_mcp.keeper.wire import FRONT

from .conftest import User

AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


def _works_alone(user: User, **variables: str) -> str:
    """Converse without a keeper; what was said of that."""
    with user.hosting(**variables) as host:
        assert len(host.ask("tools/list")["tools"]) == 9
        assert user.keepers() == []
        assert host.close() == 0
        return host.complaints()


def test_switched_off_by_the_environment_nothing_is_said(user: User) -> None:
    assert _works_alone(user, NORTHSTAR_MCP_KEEPER="off") == ""
    assert not user.runtime.exists()


def test_switched_off_in_the_configuration_file(user: User) -> None:
    config = user.folder / "config.toml"
    config.write_text('keeper = "off"\n')
    assert _works_alone(user, NORTHSTAR_MCP_CONFIG=str(config)) == ""


def test_a_folder_that_others_can_enter_is_refused_with_how_to_mend_it(user: User) -> None:
    user.runtime.mkdir(mode=0o755)
    assert f"chmod 700 {user.runtime}" in _works_alone(user)


def test_a_link_in_the_folders_place_is_refused(user: User) -> None:
    (user.folder / "elsewhere").mkdir()
    user.runtime.symlink_to(user.folder / "elsewhere")
    assert "is not a folder" in _works_alone(user)


@AS_ROOT
def test_a_folder_of_another_user_is_refused(user: User) -> None:
    user.runtime.mkdir(mode=0o700)
    os.chown(user.runtime, 65534, 65534)
    assert "belongs to another user" in _works_alone(user)


@AS_ROOT
def test_a_full_folder_is_told_and_done_without(user: User) -> None:
    """A real file system without room for one more file."""
    user.runtime.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=1,mode=700", "none", user.runtime],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode()}")
    try:
        assert "No space left" in _works_alone(user)
    finally:
        subprocess.run(["umount", user.runtime], check=True)


def test_settings_that_cannot_be_used_are_told_once_as_without_a_keeper(user: User) -> None:
    server = subprocess.run(
        [sys.executable, "-m", "northstar_mcp"],
        env={**user.env, "NORTHSTAR_MCP_MAX_STEPS": "many"},
        input=b"",
        capture_output=True,
        timeout=40,
        check=False,
    )
    assert server.returncode == 1
    assert server.stderr.count(b"NORTHSTAR_MCP_MAX_STEPS") == 1
    assert b"keeper" not in server.stderr
    assert user.files() == []


def test_a_keeper_that_does_not_answer_is_done_without(user: User) -> None:
    """It listens, and never takes the conversation."""
    with user.hosting() as host:
        host.ask("tools/list")
        path = next(user.runtime.glob("*.sock"))
    user.until(lambda: not user.keepers())
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(path))
        deaf.listen()
        assert "does not answer" in _works_alone(user)


@AS_ROOT
def test_another_user_is_turned_away_even_where_the_folder_lets_them_in(user: User) -> None:
    with user.hosting() as host:
        host.ask("tools/list")
        path = next(user.runtime.glob("*.sock"))
        for entry in (user.folder, user.runtime, path):
            entry.chmod(0o777)
        assert _as_somebody_else(path) == b""
        assert host.ask("tools/list")
    user.runtime.chmod(0o700)
    assert "was turned away" in user.run("keeper", "logs")


def _as_somebody_else(path: Path) -> bytes:
    """What a process of another user hears that begins a conversation. Forked, since that user may not run our Python."""
    heard, said = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX) as link:
                link.connect(str(path))
                os.write(said, ask(link, FRONT, seconds=10) or b"nothing")
        finally:
            os._exit(0)
    os.close(said)
    with os.fdopen(heard, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    assert told, "it could not connect"
    return told.removeprefix(b"nothing")


def test_the_kernel_says_who_is_at_the_other_end() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        assert user_of(here) == os.getuid()


def test_the_folder_and_the_socket_are_the_users_alone(user: User) -> None:
    with user.hosting() as host:
        host.ask("tools/list")
        modes = [stat.S_IMODE(path.lstat().st_mode) for path in (user.runtime, *user.runtime.iterdir())]
    assert modes == [0o700, 0o600, 0o600, 0o600]


def test_a_path_too_long_for_a_socket_is_not_used(user: User) -> None:
    far = Path(user.folder / ("x" * 90))
    far.mkdir()
    with user.hosting(XDG_RUNTIME_DIR=str(far)) as host:
        assert len(host.ask("tools/list")["tools"]) == 9
    assert list(far.iterdir()) == []
