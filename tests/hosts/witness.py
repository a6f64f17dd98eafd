"""Stands between a host and the server it starts, and writes down what a host does not tell: process id, answers, exit code.

`python witness.py FOLDER COMMAND...`. The server reads the host's own pipe; only what it writes passes through here. A program of its
own, standard library only: a host starts it in the server's place.
"""

import subprocess
import sys
from pathlib import Path


def main(folder: Path, command: list[str]) -> int:
    """Run the command, pass its output on, and end as it ends."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server, (folder / "wire").open("ab") as wire:
        (folder / "pid").write_text(str(server.pid))
        for line in server.stdout or ():
            wire.write(line)
            wire.flush()
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
    with (folder / "exit_codes").open("a") as codes:
        codes.write(f"{server.returncode}\n")
    return server.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
