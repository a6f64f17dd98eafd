"""The composition: an engine from settings, what it is given, what it leaves unopened, and how faults come out."""

import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from pydantic import SecretStr

from northstar_mcp.app import (
    account_of,
    build_server,
    configure_logging,
    open_app,
    policy_of,
    secrets_of,
    serve_http,
    timing_of,
)
from northstar_mcp.errors import KeyMissing, NorthstarError, SettingsInvalid, Unreachable
from northstar_mcp.settings import Settings
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import Task, TaskRequest
from northstar_mcp.tasks.policy import Policy
from northstar_mcp.tasks.starting import start
from northstar_mcp.tasks.states import State
from northstar_mcp.tasks.timing import Timing
from tests.simulator.visitor import Visitor, visiting

KEY = "sk_test_0123456789abcdef"
PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in PROXIES:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
async def lightcone() -> AsyncIterator[Visitor]:
    async with visiting(step_seconds=0.01) as visitor:
        yield visitor


def settings_for(folder: Path, **more: Any) -> Settings:
    return Settings.model_validate({"data_dir": folder / "data", "api_key": KEY, **more})


async def ended(engine: Engine, task: Task) -> Task:
    with engine.feed.watch(task.task_id) as watch:
        while not task.state.ended:
            await watch.changed()
            found = await engine.ledger.get(task.task_id)
            assert found is not None
            task = found
    return task


async def a_task(engine: Engine) -> Task:
    request = TaskRequest(instruction="Open example.com", max_steps=5, max_duration_seconds=60)
    return (await start(engine, request, principal="local")).task


# ---- the engine


@pytest.mark.anyio
async def test_a_task_runs_from_the_settings_alone(tmp_path: Path, lightcone: Visitor) -> None:
    settings = settings_for(tmp_path, base_url=str(lightcone.http.base_url), custom_headers={"X-Team": "blue"})
    with anyio.fail_after(10):
        async with open_app(settings) as engine:
            task = await ended(engine, await a_task(engine))
    assert task.state is State.COMPLETED
    assert task.account == account_of(settings)
    assert (tmp_path / "data").is_dir()


@pytest.mark.anyio
async def test_the_agent_is_opened_once_however_many_ask_at_once(tmp_path: Path) -> None:
    agents: list[object] = []

    async def ask(engine: Engine) -> None:
        agents.append(await engine.agent())

    with anyio.fail_after(10):
        async with open_app(settings_for(tmp_path)) as engine, anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(ask, engine)
    assert len(agents) == 5
    assert len(set(map(id, agents))) == 1


@pytest.mark.anyio
async def test_without_a_key_everything_opens_and_a_start_says_what_is_missing(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with open_app(settings_for(tmp_path, api_key=None)) as engine:
            with pytest.raises(KeyMissing):
                await a_task(engine)


def test_listing_tools_loads_neither_an_http_client_nor_an_imaging_library(tmp_path: Path) -> None:
    code = f"""
import sys, anyio
from pathlib import Path
from northstar_mcp.app import build_server, open_app
from northstar_mcp.settings import Settings

async def main():
    settings = Settings(data_dir=Path({str(tmp_path)!r}))
    async with open_app(settings) as engine:
        assert await build_server(settings, engine=engine).list_tools()

anyio.run(main)
print([name for name in ("httpx", "PIL", "northstar_mcp.lightcone", "northstar_mcp.simulator") if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20)
    assert (run.stdout, run.stderr) == ("[]\n", "")


@pytest.mark.anyio
async def test_a_failure_inside_comes_out_as_it_is(tmp_path: Path) -> None:
    with anyio.fail_after(10), pytest.raises(LookupError, match="mine"):
        async with open_app(settings_for(tmp_path)):
            raise LookupError("mine")


@pytest.mark.anyio
async def test_a_data_folder_that_cannot_be_one_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with anyio.fail_after(10), pytest.raises(NorthstarError):
        async with open_app(settings_for(tmp_path)):
            pass


# ---- proxies


class Proxy:
    """Notes what it is asked, and hangs up."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def answer(self, stream: SocketStream) -> None:
        async with stream:
            self.asked.append((await stream.receive()).split(b"\r\n")[0])


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """A proxy that the environment names."""
    noted = Proxy()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, noted.answer)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - a socket's, not a database's
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        yield noted
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_requests_go_through_the_proxy_that_the_environment_names(tmp_path: Path, proxy: Proxy) -> None:
    settings = settings_for(tmp_path, base_url="http://lightcone.test", max_retries=0)
    with anyio.fail_after(10):
        async with open_app(settings) as engine:
            agent = await engine.agent()
            with pytest.raises(Unreachable):
                await agent.status("task_1")
    assert proxy.asked == [b"GET http://lightcone.test/agent/tasks/task_1 HTTP/1.1"]


@pytest.mark.anyio
async def test_what_runs_on_this_machine_is_asked_directly(tmp_path: Path, proxy: Proxy, lightcone: Visitor) -> None:
    settings = settings_for(tmp_path, base_url=str(lightcone.http.base_url))
    with anyio.fail_after(10):
        async with open_app(settings) as engine:
            assert (await ended(engine, await a_task(engine))).state is State.COMPLETED
    assert proxy.asked == []


# ---- values


def test_the_settings_defaults_are_the_cores() -> None:
    assert timing_of(Settings()) == Timing()
    assert policy_of(Settings()) == Policy()


def test_every_wait_and_every_ceiling_of_the_settings_reaches_the_core() -> None:
    waits = {field.name: 3.0 for field in fields(Timing) if field.name != "renew_seconds"}
    assert timing_of(Settings.model_validate(waits)) == Timing(**waits, renew_seconds=3.0 * 2.5 / 8)
    ceilings = {
        "max_steps": 3,
        "max_duration_seconds": 4,
        "max_concurrent_tasks": 5,
        "kinds": frozenset({"browser"}),
        "start_url_hosts": frozenset[str](),
        "confirm": "risky",
    }
    assert set(ceilings) == {field.name for field in fields(Policy)}
    assert policy_of(Settings.model_validate(ceilings)) == Policy(**ceilings)  # type: ignore[arg-type]


def test_an_account_is_an_address_and_a_key_and_shows_neither() -> None:
    accounts = {
        account_of(Settings.load(env=env))
        for env in (
            {},
            {"TZAFON_API_KEY": KEY},
            {"TZAFON_API_KEY": KEY + "0"},
            {"TZAFON_API_KEY": KEY, "LIGHTCONE_BASE_URL": "http://127.0.0.1:1"},
            {"TZAFON_API_KEY": f" {KEY} ", "LIGHTCONE_BASE_URL": "http://127.0.0.1:1/"},
        )
    }
    assert len(accounts) == 4
    assert all(len(account) == 16 and account.isalnum() for account in accounts)


# ---- logging


Err = Callable[[], str]


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Err]:
    """What was written to standard error since the last look. The root logger is put back afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("northstar_mcp")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def test_log_lines_go_to_standard_error_once_and_without_secrets(stderr: Err) -> None:
    settings = Settings(api_key=SecretStr(KEY), custom_headers={"X-Auth": SecretStr("open sesame")})
    configure_logging(Settings())
    configure_logging(settings)
    logging.getLogger("northstar_mcp.tasks").warning("sent %s", f"Bearer {KEY} and open sesame")
    line = stderr()
    assert line.endswith("WARNING northstar_mcp.tasks: sent Bearer [redacted] and [redacted]\n")
    assert line.count("\n") == 1


def test_the_level_is_the_settings_and_other_libraries_stay_quiet(stderr: Err) -> None:
    configure_logging(Settings(log_level="DEBUG"))
    logging.getLogger("northstar_mcp.tasks").debug("ours")
    logging.getLogger("httpx").info("HTTP Request: GET https://example.com/?signature=abc")
    written = stderr()
    assert "ours" in written
    assert "signature" not in written
    configure_logging(Settings(log_level="CRITICAL"))
    logging.getLogger("uvicorn.error").error("theirs")
    assert stderr() == ""


def test_the_secrets_are_the_key_and_what_looks_secret_among_the_headers() -> None:
    headers = {"X-Team": SecretStr("blue"), "Cookie": SecretStr("a=b")}
    assert secrets_of(Settings(api_key=SecretStr(KEY), custom_headers=headers)) == {KEY, "a=b"}
    assert secrets_of(Settings()) == frozenset()


# ---- the server


@pytest.mark.anyio
async def test_a_server_leaves_the_engine_open_that_it_was_given(tmp_path: Path) -> None:
    from mcp.client import Client

    with anyio.fail_after(10):
        async with open_app(settings_for(tmp_path)) as engine:
            for _ in range(2):
                async with Client(build_server(engine=engine)) as client:
                    assert (await client.list_tools()).tools
            assert await engine.ledger.unfinished() == []


@pytest.mark.anyio
async def test_a_server_without_an_engine_opens_its_own(tmp_path: Path) -> None:
    from mcp.client import Client

    with anyio.fail_after(10):
        async with Client(build_server(settings_for(tmp_path))) as client:
            assert (await client.call_tool("list_tasks", {})).is_error is not True
    assert (tmp_path / "data").is_dir()


@pytest.mark.anyio
async def test_an_address_that_others_can_reach_is_refused_before_anything_is_opened(
    tmp_path: Path, stderr: Err
) -> None:
    with anyio.fail_after(10), pytest.raises(SettingsInvalid):
        await serve_http(settings_for(tmp_path), host="0.0.0.0")
    assert not (tmp_path / "data").exists()
