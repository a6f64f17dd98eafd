"""A stand-in for the Lightcone API, for demos, tests and replay.

It serves agent tasks, computers and screenshots over HTTP and SSE as `reference/lightcone-api.md` describes them, and
imports nothing of ours: what the client misreads must not be misread here in the same way.

    async with running(SimulatorSettings(step_seconds=0.01)) as base_url:
        ...  # any Lightcone client, with any key that starts with sk_

What nobody knows of the hosted API is a `Dialect`; what a test wants of one task is a bracket in its instruction
(`HOOKS`); what goes wrong on the wire is a `Fault`; what was asked and done is in the `Journal`.
"""

from northstar_mcp.simulator.app import create_app
from northstar_mcp.simulator.dialect import Dialect
from northstar_mcp.simulator.faults import Deed, Fault, Faults, Match
from northstar_mcp.simulator.hooks import HOOKS
from northstar_mcp.simulator.journal import Journal
from northstar_mcp.simulator.serving import running, serve
from northstar_mcp.simulator.settings import SimulatorSettings

__all__ = [
    "HOOKS",
    "Deed",
    "Dialect",
    "Fault",
    "Faults",
    "Journal",
    "Match",
    "SimulatorSettings",
    "create_app",
    "running",
    "serve",
]
