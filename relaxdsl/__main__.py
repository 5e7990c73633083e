"""The command line: ``relaxdsl cache info``, also as ``python -m relaxdsl cache info``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from relaxdsl.cache.command import COMMANDS
from relaxdsl.errors import RelaxError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    parser = argparse.ArgumentParser("relaxdsl", description="relaxdsl from the command line")
    rooms = parser.add_subparsers(required=True, metavar="command")
    cache = rooms.add_parser("cache", help="the compiled kernels on the disk")
    commands = cache.add_subparsers(dest="command", required=True, metavar="info|clear|path")
    for name, run in COMMANDS.items():
        commands.add_parser(name, help=(run.__doc__ or "").partition("\n")[0])
    try:
        print(COMMANDS[parser.parse_args(arguments).command]())
    except RelaxError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
