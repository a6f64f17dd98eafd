"""Help, versions and mistakes: what a person sees who types a command."""

import socket
import subprocess
from pathlib import Path

import pytest

from northstar_mcp import __version__

from .processes import COMMAND, CommandLine
from .terminal import at_a_terminal

COMMANDS = [
    (),
    ("serve",),
    ("simulator",),
    ("run",),
    ("demo",),
    ("tasks",),
    ("tasks", "list"),
    ("tasks", "show"),
    ("tasks", "watch"),
    ("tasks", "resume"),
    ("tasks", "stop"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_on_less_than_a_screen(northstar: CommandLine, command: tuple[str, ...]) -> None:
    ran = northstar(*command, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("Usage: northstar-mcp")
    assert len(ran.out.splitlines()) < 45
    assert "..." not in ran.out.partition("Commands:")[2].replace("[ARGS]...", ""), "a summary was cut"


def test_the_version_is_told(northstar: CommandLine) -> None:
    ran = northstar("--version")
    assert (ran.code, ran.out) == (0, f"northstar-mcp {__version__}\n")


def test_at_a_terminal_it_says_what_it_is_and_how_to_add_it_to_a_host(northstar: CommandLine) -> None:
    with at_a_terminal(northstar) as terminal:
        terminal.wait_for("mcpServers")
        terminal.wait_for("northstar-mcp demo")
        terminal.wait_for("northstar-mcp --help")
        assert terminal.end() == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("frobnicate",), "No such command 'frobnicate'"),
        (("run",), "Missing argument 'INSTRUCTION'"),
        (("run", "x", "--kind", "toaster"), "'toaster' is not one of"),
        (("run", "x", "--max-steps", "0"), "max_steps must be at least 1, not 0."),
        (("run", "x", "--kind", "desktop", "--start-url", "https://example.com"), "start_url needs a browser"),
        (("run", " "), "instruction must say something"),
        (("serve", "--port", "9000"), "--host, --port and --stateless go with --http."),
        (("serve", "--stateless"), "--host, --port and --stateless go with --http."),
        (("serve", "--http", "--port", "99999"), "99999 is not in the range"),
        (("simulator", "--dialect", "task_id=moon"), "dialect key 'task_id' takes frames, header, nowhere"),
        (("--log-level", "loud", "tasks", "list"), "'loud' is not one of"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(northstar: CommandLine, arguments: tuple[str, ...], words: str) -> None:
    ran = northstar(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert "Traceback" not in ran.err


def test_without_a_key_it_says_how_to_get_one(northstar: CommandLine) -> None:
    ran = northstar("run", "look at invoices", without=("TZAFON_API_KEY",))
    assert (ran.code, ran.out) == (1, "")
    assert "No Lightcone API key is configured." in ran.err
    assert "export TZAFON_API_KEY=" in ran.err
    assert len(ran.err.splitlines()) == 3


def test_a_key_that_is_refused_is_not_shown(northstar: CommandLine) -> None:
    refused = CommandLine(folder=northstar.folder, environment={**northstar.environment, "TZAFON_API_KEY": "xx_secret"})
    ran = refused("run", "look at invoices")
    assert ran.code == 1
    assert "Traceback" not in ran.err
    assert "xx_secret" not in ran.err + ran.out


def test_a_configuration_that_cannot_be_used_is_told_with_its_place(northstar: CommandLine) -> None:
    config = northstar.folder / "config.toml"
    config.write_text("max_stepz = 3\n")
    ran = northstar("tasks", "list")
    assert (ran.code, ran.out) == (1, "")
    assert f"'max_stepz' in {config} is not a setting; did you mean max_steps?" in ran.err


def test_options_of_all_commands_may_stand_before_or_behind(northstar: CommandLine, tmp_path: Path) -> None:
    for number, arguments in enumerate([("--data-dir", "{}", "tasks", "list"), ("tasks", "list", "--data-dir", "{}")]):
        folder = tmp_path / str(number)
        ran = northstar(*(argument.format(folder) for argument in arguments))
        assert (ran.code, ran.err) == (0, "No tasks yet.\n")
        assert folder.is_dir()


@pytest.mark.parametrize("command", [("simulator",), ("serve", "--http")], ids=" ".join)
def test_an_address_that_is_taken_is_told_in_a_sentence(northstar: CommandLine, command: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = northstar(*command, "--port", str(port))
    assert ran.code == 1
    assert str(port) in ran.err
    assert "in use" in ran.err
    assert "Traceback" not in ran.err


def test_a_reader_that_goes_away_is_no_reason_to_complain(northstar: CommandLine) -> None:
    with subprocess.Popen(
        [*COMMAND, "tasks", "list", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=northstar.folder,
        env=northstar.environment,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 1


def test_the_simulator_says_how_to_point_the_server_at_it(northstar: CommandLine) -> None:
    with northstar.holding("simulator", "--port", "0") as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[-1]
        said = "".join(process.stderr.readline() for _ in range(4))
        process.terminate()
        assert process.wait(timeout=20) == 0
    assert f"export LIGHTCONE_BASE_URL={url}" in said
    assert "export TZAFON_API_KEY=sk_" in said
