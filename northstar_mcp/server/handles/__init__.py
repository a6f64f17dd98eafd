"""Task handles: a tool call that is answered later. The wire of both generations, over one port.

port.py says what a handle is; extension.py speaks the extension `io.modelcontextprotocol/tasks` (2026-07-28), legacy.py the
experimental tasks of 2025-11-25; ours.py makes handles of calls about Northstar tasks. The wire knows nothing of Northstar.
"""
