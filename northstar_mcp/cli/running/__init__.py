"""One task from the terminal: starting it, watching it, and what Ctrl-C does.

command.py    `run`: the options, and the request they make
attending.py  sits with a task until it ends, or until somebody at the terminal decides otherwise
view.py       what the attendant shows things on
panel.py      ... on a terminal: a live panel
lines.py      ... elsewhere: plain lines on stderr
keyboard.py   one line from whoever sits at the terminal
report.py     what stands there at the end
"""
