"""Time from spawning the server to the answer to its first `tools/list`, beside the SDK's smallest server, turn by turn.

`python -m bench.cold_start [ROUNDS]`. The client is a few lines of JSON over pipes, so that it adds nothing.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

INITIALIZE: Mapping[str, Any] = {
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
}
LISTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "legacy": [
        {"id": 1, **INITIALIZE},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/list", "params": {}},
    ],
    "modern": [
        {
            "id": 2,
            "method": "tools/list",
            "params": {
                "_meta": {
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientCapabilities": {},
                    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
                }
            },
        }
    ],
}
HELLO = (sys.executable, str(Path(__file__).parent / "hello.py"))
OURS = (sys.executable, "-m", "northstar_mcp")
GOALS = {"in its own process": 1.1, "with a running keeper": 0.06}


def seconds_to_tools(command: Sequence[str], era: str, env: Mapping[str, str]) -> float:
    """Spawn, ask, stop the clock at the list of tools, and let the process end by itself."""
    begun = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipes")
        for message in LISTS[era]:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            process.stdin.flush()
            if "id" in message and json.loads(process.stdout.readline()).get("result") is None:
                raise RuntimeError(f"{command} did not answer {message['method']}")
        taken = time.perf_counter() - begun
        process.stdin.close()
        process.wait(timeout=30)
    return taken


def main(rounds: int) -> None:
    """Print medians and their ratios, for both eras."""
    with tempfile.TemporaryDirectory(prefix="ns-") as folder:
        alone = {**os.environ, "NORTHSTAR_MCP_DATA_DIR": folder, "NORTHSTAR_MCP_KEEPER": "off"}
        kept = {**alone, "NORTHSTAR_MCP_KEEPER": "on", "XDG_RUNTIME_DIR": folder}
        contenders = {
            "hello-world": (HELLO, alone),
            "in its own process": (OURS, alone),
            "with a running keeper": (OURS, kept),
        }
        for command, env in contenders.values():
            seconds_to_tools(command, "legacy", env)  # the first run compiles, and starts the keeper
        for era in LISTS:
            taken: dict[str, list[float]] = {name: [] for name in contenders}
            for _ in range(rounds):
                for name, (command, env) in contenders.items():
                    taken[name].append(seconds_to_tools(command, era, env))
            report(era, {name: median(times) for name, times in taken.items()}, rounds)
        subprocess.run([*OURS, "keeper", "stop"], env=kept, check=True, stdout=subprocess.DEVNULL)


def report(era: str, medians: Mapping[str, float], rounds: int) -> None:
    """One line for each of ours."""
    hello = medians["hello-world"]
    for name, goal in GOALS.items():
        print(
            f"{era}, {name}: spawn to tools/list, medians of {rounds}: {medians[name] * 1000:.0f} ms beside {hello * 1000:.0f} ms "
            f"of the hello-world, ratio {medians[name] / hello:.3f} (goal: at most {goal})"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
