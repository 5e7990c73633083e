"""Source spans, the error family, and how an error is drawn under the user's line.

Every error a user can meet is a :class:`RelaxError`. It is built where the fact is known (headline, details, hint)
and gets its place in the user's source from the one who knows it (:meth:`RelaxError.at`). Printing it draws the line
with a caret.
"""

from __future__ import annotations

import difflib
import linecache
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import CodeType

#: Where this package's modules are.
_FOLDER = os.path.join(os.path.dirname(__file__), "")


def is_own(code: CodeType) -> bool:
    """Whether a function is one of this package, and its lines not the user's."""
    return code.co_filename.startswith(_FOLDER)


@dataclass(frozen=True, slots=True)
class Span:
    """A range of the user's source; lines and columns count from 1, ``end_column`` is one past the last character."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{display_name(self.file)}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Definition:
    """Where a kernel is defined: its name, and its parameters by their names; what is not known is left out."""

    span: Span | None = None
    params: Mapping[str, Span | None] = field(default_factory=dict)


def display_name(file: str) -> str:
    """The file's name as messages show it: short, and the same on every machine; of a notebook's cell, ``In[3]``."""
    notebook = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    cell = notebook.compile.format_code_name(file) if notebook is not None else None
    if cell is not None:
        return str(cell[1])
    return file if file.startswith("<") else os.path.basename(file)


class RelaxError(Exception):
    """An error of relaxdsl: a headline, details, a hint, and the place in the user's source.

    Args:
        headline: one line, ``operator: what is wrong``.
        details: further lines, e.g. one per argument, already aligned.
        hint: what to write instead.
        span: where it happened, if known.
    """

    def __init__(
        self,
        headline: str,
        *,
        details: Iterable[str] = (),
        hint: str | None = None,
        span: Span | None = None,
    ) -> None:
        super().__init__(headline)
        self.headline = headline
        self.details = tuple(details)
        self.hint = hint
        self.span = span
        self.others: tuple[RelaxError, ...] = ()

    def at(self, span: Span | None) -> RelaxError:
        """This error, placed at ``span`` unless it already has a place."""
        if self.span is None:
            self.span = span
        return self

    def with_others(self, others: Iterable[RelaxError]) -> RelaxError:
        """This error, reported together with ``others``."""
        self.others = tuple(others)
        return self

    def __str__(self) -> str:
        first, *rest = (self, *self.others)
        text = first._render()
        for other in rest:
            text += f"\n\n{type(other).__name__}: {other._render()}"
        return text

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the lines of the user's that led here, and the message; none of our own lines."""
        frames = traceback.extract_tb(self.__traceback__)
        user_frames = [frame for frame in frames if not frame.filename.startswith(_hidden_folders())]
        places = [f"{display_name(frame.filename)}:{frame.lineno}: {frame.line}" for frame in user_frames]
        return [*places, "", f"{type(self).__name__}: {self}"]

    def _render(self) -> str:
        lines = [self.headline]
        lines += _draw(self.span) if self.span is not None else []
        lines += [f"   {detail}" for detail in self.details]
        if self.hint is not None:
            lines.append(f"   hint: {self.hint}")
        return "\n".join(lines)


class ScriptError(RelaxError):
    """The function's source says something relaxdsl does not understand."""


class ShapeError(RelaxError, ValueError):
    """Sizes that differ, cannot be proved equal, or make no sense for the operator."""


class DTypeError(RelaxError, TypeError):
    """A dtype that an operator, a kernel or an annotation does not accept."""


class ArgumentError(RelaxError, ValueError):
    """A call's arguments do not fit the function's signature."""


class KernelError(RelaxError):
    """A kernel (TE or loops) that cannot be built."""


class ScheduleError(KernelError):
    """A step of a schedule that would change what the kernel computes, or that does not fit its loops."""


class InternalError(RelaxError):
    """A defect of relaxdsl itself: an invariant between two stages does not hold."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: everything, since the defect is in one of our own lines."""
        return "".join(traceback.format_exception(self)).splitlines()


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to ``name``, or None if nothing is close."""
    candidates = list(known)
    of_that_length = [each for each in candidates if abs(len(each) - len(name)) <= 1]
    matches = difflib.get_close_matches(name, candidates, n=1, cutoff=0.7)
    matches = matches or difflib.get_close_matches(name, of_that_length, n=1, cutoff=0.65)
    return matches[0] if matches else None


def _hidden_folders() -> tuple[str, ...]:
    """Where the lines are that a notebook's user has not written: in this package and in IPython."""
    file = sys.modules["IPython"].__file__ if "IPython" in sys.modules else None
    return (_FOLDER,) if file is None else (_FOLDER, os.path.join(os.path.dirname(file), ""))


def _draw(span: Span) -> list[str]:
    """The lines that show ``span``: location, source line, caret."""
    source = linecache.getline(span.file, span.line).rstrip("\n")
    if not source:
        return [f"  --> {span}"]
    margin = " " * len(str(span.line))
    end = span.end_column if span.end_line == span.line else len(source) + 1
    carets = "^" * max(1, end - span.column)
    before = "".join(each if each == "\t" else " " for each in source[: span.column - 1])
    return [
        f"{margin} --> {span}",
        f"{margin} |",
        f"{span.line} | {source}",
        f"{margin} | {before}{carets}",
    ]
