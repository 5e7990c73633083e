"""Lines of the user's functions that messages show beside the one they point at: those of helpers on the way."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator
from types import FrameType, TracebackType

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import Span, display_name, is_own


@dataclass(frozen=True, slots=True)
class UserLine:
    """A line of a function outside of this package; prints as ``in g (model.py:7): return te.compute(...)``."""

    function: str
    file: str
    line: int

    @property
    def text(self) -> str:
        """The line itself; empty where there is no source, as in a library's machine code."""
        return linecache.getline(self.file, self.line).strip()

    def is_in(self, span: Span | None) -> bool:
        """Whether a message that points at ``span`` shows the line anyway."""
        return span is not None and self.file == span.file and self.line == span.line

    def __str__(self) -> str:
        return f"in {self.function} ({display_name(self.file)}:{self.line}): {self.text}"


def lines_of(traceback: TracebackType | None) -> Iterator[UserLine]:
    """The user's lines that an error went through, outermost first."""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        line = UserLine(code.co_name, code.co_filename, traceback.tb_lineno)
        if not is_own(code) and line.text:
            yield line
        traceback = traceback.tb_next


def calling_line() -> UserLine | None:
    """The innermost of the user's lines that are running."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_own(frame.f_code):
        frame = frame.f_back
    return None if frame is None else UserLine(frame.f_code.co_name, frame.f_code.co_filename, frame.f_lineno)
