"""The keeper: one process per user that does the work of every server a host starts, and goes on when they end (docs/keeper.md).

place.py         where a keeper is found: its folder, its names, and which one belongs to which configuration
reaching.py      a connection to the keeper, which is started where none runs
conversation.py  what a host's conversation has said, so that it can be told again
front.py         what a host starts: its standard input and output, joined to the keeper
__main__.py      the keeper's process: detaches, takes its place, serves
serving.py       its connections, and its end
wire.py          what both say to each other between the messages
peers.py         who is at the other end of a socket
logs.py          a log file with a bound, and the lines that concern one conversation
asking.py        `northstar-mcp keeper status` and `stop`, from outside

A host waits for what stands above `__main__.py`: it imports nothing beyond the standard library, and of that as little as it can.
"""
