"""The options that `run.py` has and passes on to the scripts it starts."""

from __future__ import annotations

import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    """What to measure, and how well."""
    parser.add_argument("--quick", action="store_true", help="a few short rounds: shows that everything runs, no more")
    parser.add_argument("--only", type=_names, default=(), help="rows whose names have one of these (a,b)")
    parser.add_argument("--dtypes", type=_names, default=("float32", "float64"), help="default float32,float64")
    parser.add_argument("--torch-compile", action="store_true", help="also torch.compile, with dynamic shapes")
    parser.add_argument("--curves", action="store_true", help="also ratio against size, for the plot")
    parser.add_argument("--fastest", action="store_true", help="compare fastest rounds: for a machine that is not idle")


def passed_on(options: argparse.Namespace) -> list[str]:
    """The same options as arguments."""
    given = {name: getattr(options, name) for name in ("quick", "torch_compile", "curves", "fastest")}
    flags = [f"--{name.replace('_', '-')}" for name, value in given.items() if value]
    only = ["--only", ",".join(options.only)] if options.only else []
    return [*flags, *only, "--dtypes", ",".join(options.dtypes)]


def is_wanted(options: argparse.Namespace, name: str) -> bool:
    """Whether a row of this name was asked for."""
    return not options.only or any(part in name for part in options.only)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))
