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
GOAL = 1.15
HELLO = (sys.executable, str(Path(__file__).parent / "hello.py"))
OURS = (sys.executable, "-m", "northstar_mcp")


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
    """Print medians and their ratio, for both eras."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "NORTHSTAR_MCP_DATA_DIR": folder, "NORTHSTAR_MCP_KEEPER": "off"}
        for command in (HELLO, OURS):
            seconds_to_tools(command, "legacy", env)  # the first run compiles
        for era in LISTS:
            hello, ours = [], []
            for _ in range(rounds):
                hello.append(seconds_to_tools(HELLO, era, env))
                ours.append(seconds_to_tools(OURS, era, env))
            ratio = median(ours) / median(hello)
            print(
                f"{era}: spawn to tools/list, medians of {rounds}: "
                f"hello-world {median(hello) * 1000:.0f} ms, northstar-mcp {median(ours) * 1000:.0f} ms, "
                f"ratio {ratio:.2f} (goal: at most {GOAL})"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
