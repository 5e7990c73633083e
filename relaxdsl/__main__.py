"""The command line: ``relaxdsl cache info``, also as ``python -m relaxdsl cache info``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from relaxdsl.cache.command import COMMANDS, clear
from relaxdsl.errors import RelaxError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    options = vars(_parser().parse_args(arguments))
    try:
        text = COMMANDS[options.pop("command")](**options)
    except RelaxError as error:
        print(error, file=sys.stderr)
        return 1
    return _write(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("relaxdsl", description="relaxdsl from the command line")
    rooms = parser.add_subparsers(required=True, metavar="command")
    cache = rooms.add_parser("cache", help="the compiled kernels on the disk")
    commands = cache.add_subparsers(dest="command", required=True, metavar="info|clear|path")
    for name, run in COMMANDS.items():
        description = (run.__doc__ or "").partition("\n")[0]
        command = commands.add_parser(name, help=description, description=description)
        if run is clear:
            command.add_argument("--all", action="store_true", dest="everywhere", help="in all folders of cache info")
    return parser


def _write(text: str) -> int:
    """Prints the text; returns the exit status. Whoever stopped reading is told nothing."""
    try:
        print(text, flush=True)
    except OSError as error:
        # Python would write what is left in the buffer when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"relaxdsl: cannot write the output: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
