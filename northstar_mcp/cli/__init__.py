"""The command line: what a person types, and what a host starts.

    main.py       the console script: the fast way from a host to its keeper, and what every failure looks like
    commands.py   the tree of commands and the options that all of them take
    welcome.py    what somebody sees who starts a server by hand
    serve.py      `serve`: stdio and HTTP
    simulate.py   `simulator`
    running/      `run`, and watching a task: panel, plain lines, Ctrl-C
    tasks/        `tasks list`, `show`, `watch`, `resume`, `stop`
    keeper.py     `keeper status`, `stop`, `logs`
    demo/         `demo`: the whole job, over the wire
    endings.py    exit codes
    failures.py   errors as a person at a terminal is told them
    facts.py      what `--json` writes
    session.py    settings and engine for one command
    words.py      text from afar made safe for a terminal, times and ids made short

stdout carries the result, stderr the talk. A host starts this program for every conversation, so the modules that its start
passes through (main.py, and keeper/ beside this room) import nothing but the standard library before they must.
"""
