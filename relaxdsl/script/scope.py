"""What names mean while a function is parsed: its variables, its closure, its module's globals, Python's builtins."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator, Mapping
from dataclasses import field
from types import FunctionType
from typing import Any

from relaxdsl.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Missing:
    """Stands for a variable that has no value here; using it is an error that says ``reason``."""

    reason: str
    hint: str | None = None


class Poisoned(Exception):  # noqa: N818  it is no error, and never leaves the parser
    """A value was used whose computation failed before. That failure is reported, so this one stays silent."""


POISON = Missing("poisoned")
NOT_FOUND = Missing("not found")


@dataclass(slots=True)
class Scope:
    """The variables of a function being parsed; a nested function or comprehension also sees its parent's.

    ``ended`` are the variables that kernels had in scopes inside this one: their values, and what they ended with.
    """

    variables: dict[str, Any] = field(default_factory=dict)
    parent: Scope | None = None
    ended: dict[str, tuple[Any, str]] = field(default_factory=dict)

    def find(self, name: str) -> Any:
        """The variable's value, or NOT_FOUND."""
        return next((scope.variables[name] for scope in self.chain() if name in scope.variables), NOT_FOUND)

    def find_ended(self, name: str) -> tuple[Any, str] | None:
        """The value that the variable had in a scope inside, and what it ended with."""
        return next((scope.ended[name] for scope in self.chain() if name in scope.ended), None)

    def chain(self) -> Iterator[Scope]:
        """This scope and those around it, from the inside."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def names(self) -> Iterator[str]:
        """All names that have a value here."""
        yield from self.variables
        if self.parent is not None:
            yield from self.parent.names()

    def child(self, **variables: Any) -> Scope:
        """A scope inside this one."""
        return Scope(variables, self)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a function's free names mean.

    Args:
        closure: the cells that have a value.
        globals: the module's.
        enclosing: the variables of the function around the definition, which annotations may use.
    """

    closure: Mapping[str, Any]
    globals: Mapping[str, Any]
    enclosing: Mapping[str, Any] = field(default_factory=dict)

    def find(self, name: str) -> Any:
        """The name's value, or NOT_FOUND; builtins come last."""
        for names in (self.closure, self.globals):
            if name in names:
                return names[name]
        return getattr(builtins, name, NOT_FOUND)

    def names(self, *, with_builtins: bool) -> Iterator[str]:
        """All names that have a value, without the builtins that start with an underscore."""
        yield from self.closure
        yield from self.globals
        if with_builtins:
            yield from (name for name in dir(builtins) if not name.startswith("_"))


def surroundings_of(function: FunctionType) -> Surroundings:
    """What the free names of a Python function mean now."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    closure = dict(_filled_cells(cells))
    return Surroundings(closure, function.__globals__, _enclosing_locals(function))


def _filled_cells(cells: Any) -> Iterator[tuple[str, Any]]:
    for name, cell in cells:
        try:
            yield name, cell.cell_contents
        except ValueError:
            continue


def _enclosing_locals(function: FunctionType) -> Mapping[str, Any]:
    """The local variables of the function that is defining ``function`` now; annotations see them without a closure."""
    frame = sys._getframe(1)
    while frame is not None:
        if function.__code__ in frame.f_code.co_consts and frame.f_code.co_name != "<module>":
            return dict(frame.f_locals)
        frame = frame.f_back  # type: ignore[assignment]
    return {}
