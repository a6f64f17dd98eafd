"""The stdio transport in a process of its own: what ends it, how it ends, and what its output holds."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.app.launching import BOUND_SECONDS, Launched, bounded

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and /bin/cat")


class Host(Launched):
    """What a host does with a server that it started."""

    def __init__(self, **options: object) -> None:
        super().__init__("stdio", **options)
        self._count = 0

    def say(self, method: str, params: dict[str, Any] | None = None, *, notify: bool = False) -> int:
        self._count += 1
        message = {"jsonrpc": "2.0", "method": method, "params": params or {}}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message if notify else message | {"id": self._count}).encode() + b"\n")
        self.process.stdin.flush()
        return self._count

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        heard: dict[str, Any] = json.loads(self.process.stdout.readline())
        return heard

    def call(self, tool: str, **arguments: Any) -> int:
        return self.say("tools/call", {"name": tool, "arguments": arguments})

    def shake_hands(self) -> None:
        client = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "host", "version": "1"}}
        self.say("initialize", client)
        assert self.hear()["result"]["serverInfo"]["name"] == "small"
        self.say("notifications/initialized", notify=True)


Start = Callable[..., Host]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the small server."""
    with bounded(list[Host]()) as hosts:

        def starting(**options: object) -> Host:
            hosts.append(Host(**options))
            return hosts[-1]

        yield starting


def test_when_the_input_ends_the_lifespan_is_left_and_the_process_ends_well(start: Start) -> None:
    host = start()
    host.shake_hands()
    host.call("echo", text="hello")
    assert host.hear()["result"]["content"][0]["text"] == "hello"
    stdout, stderr = host.process.communicate(timeout=BOUND_SECONDS)
    assert (host.process.returncode, stdout, stderr) == (0, b"", b"")
    assert host.journal() == ["opened", "closing", "closed"]


def test_when_the_input_ends_a_waiting_call_is_freed(start: Start) -> None:
    host = start()
    host.shake_hands()
    host.call("wait")
    host.wait_for("waiting")
    host.process.communicate(timeout=BOUND_SECONDS)
    assert host.process.returncode == 0
    assert host.journal() == ["opened", "waiting", "freed", "closing", "closed"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_as_the_end_of_the_input_does(start: Start, number: signal.Signals) -> None:
    host = start()
    host.shake_hands()
    host.call("wait")
    host.wait_for("waiting")
    host.process.send_signal(number)
    code, _, stderr = host.end()
    assert (code, stderr) == (0, "")
    assert host.journal() == ["opened", "waiting", "freed", "closing", "closed"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_before_the_first_message(start: Start, number: signal.Signals) -> None:
    host = start()
    host.wait_for("opened")
    host.process.send_signal(number)
    assert host.end() == (0, "", "")
    assert host.journal() == ["opened", "closing", "closed"]


def test_a_second_signal_ends_it_though_the_lifespan_hangs(start: Start) -> None:
    host = start(closing="hangs")
    host.shake_hands()
    host.process.send_signal(signal.SIGTERM)
    host.wait_for("closing")
    host.process.send_signal(signal.SIGTERM)
    assert host.end()[0] == 1


def test_a_lifespan_that_hangs_is_given_up_in_time(start: Start) -> None:
    host = start(closing="hangs", closing_seconds=0.2)
    host.shake_hands()
    host.process.send_signal(signal.SIGTERM)
    code, _, stderr = host.end()
    assert code == 1
    assert "did not end within 0.2 seconds" in stderr


def test_a_host_that_no_longer_reads_cannot_keep_it_and_the_lifespan_is_left(start: Start) -> None:
    host = start(closing_seconds=0.5)
    host.shake_hands()
    for _ in range(3):
        host.call("much")
    assert host.process.stdout is not None
    host.process.stdout.peek()  # type: ignore[attr-defined]  # it writes, and the pipe is full
    host.process.send_signal(signal.SIGTERM)
    assert host.process.wait(timeout=BOUND_SECONDS) == 1
    assert host.journal() == ["opened", "closing", "closed"]


def test_a_host_that_closed_its_end_of_the_output_is_no_failure(start: Start) -> None:
    host = start()
    host.shake_hands()
    assert host.process.stdout is not None
    host.process.stdout.close()
    host.call("echo", text="hello")
    assert host.process.wait(timeout=BOUND_SECONDS) == 0
    assert host.process.stderr is not None
    assert host.process.stderr.read() == b""
    assert host.journal() == ["opened", "closing", "closed"]


def test_a_lifespan_that_cannot_be_opened_ends_the_process_with_that_very_error(start: Start) -> None:
    assert start(opening="fails").end() == (1, "", "LedgerUnavailable: the disk is full\n")


def test_neither_noise_nor_children_disturb_the_wire(start: Start) -> None:
    host = start()
    host.shake_hands()
    noisy = host.call("noise")
    answered = host.hear()
    assert answered["id"] == noisy
    assert answered["result"]["content"][0]["text"] == "b''"
    host.process.send_signal(signal.SIGTERM)
    assert host.end() == (0, "", "noise\n")


def test_large_messages_and_many_at_once_are_all_answered(start: Start) -> None:
    host = start()
    host.shake_hands()
    large = "é" * 1_000_000
    calls = {host.call("echo", text=large)} | {host.call("echo", text=str(number)) for number in range(200)}
    heard = [host.hear() for _ in calls]
    assert {message["id"] for message in heard} == calls
    assert large in {message["result"]["content"][0]["text"] for message in heard}


def test_what_is_no_message_does_not_end_the_connection(start: Start) -> None:
    host = start()
    host.shake_hands()
    assert host.process.stdin is not None
    host.process.stdin.write(b"\xff\xfe nonsense\n\n")
    call = host.call("echo", text="still here")
    while (heard := host.hear()).get("id") != call:
        pass
    assert heard["result"]["content"][0]["text"] == "still here"
