"""What a kernel's script has read and written so far, in the order of its statements.

A value that is read is an expression, computed where it is used. In Python it would be computed where it is read, so
it may be used only as long as that makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TypeAlias, TypeVar

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ScriptError, Span, display_name
from relaxdsl.ir.loops import Buffer
from relaxdsl.ir.scalar import Index, Load, ScalarExpr
from relaxdsl.kernels.accesses import loads_of

_Body = TypeVar("_Body")
_Result = TypeVar("_Result")
_Loops: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Event:
    """A read or a write: when, where in the user's source, and the loops around it."""

    time: int
    span: Span | None
    loops: _Loops

    @property
    def line(self) -> str:
        return "here" if self.span is None else f"{display_name(self.span.file)}:{self.span.line}"


class History:
    """The reads and writes of a kernel so far, and the uses of what was read."""

    def __init__(self) -> None:
        self._count = count()
        self._read: dict[Load, _Event] = {}
        self._written: dict[Buffer, _Event] = {}
        """The last write of each buffer."""
        self._loops: _Loops = ()
        self._uses: list[tuple[Load, Span | None]] = []

    def note_read(self, load: Load, span: Span | None) -> None:
        """The script reads the element at this point."""
        self._read[load] = self._event(span)

    def note_write(self, buffer: Buffer, span: Span | None) -> None:
        """The script writes elements of the buffer at this point."""
        self._written[buffer] = self._event(span)

    def _event(self, span: Span | None) -> _Event:
        return _Event(next(self._count), span, self._loops)

    def is_changed(self, value: ScalarExpr) -> bool:
        """Whether something that the value reads may have been written since."""
        return any(map(self._is_overwritten, loads_of(value)))

    def _is_overwritten(self, load: Load) -> bool:
        read, written = self._read.get(load), self._written.get(load.buffer)
        return read is not None and written is not None and written.time > read.time

    def use(self, values: Iterable[Index], span: Span | None) -> None:
        """The script uses the values at this point: stores them, or decides by them.

        Raises:
            ScriptError: they would be others than where they were read.
        """
        for load in (load for value in values if isinstance(value, ScalarExpr) for load in loads_of(value)):
            if load not in self._read:
                continue
            read = self._read[load]
            if read.loops != self._loops[: len(read.loops)]:
                raise ScriptError(
                    f"a value that is read from {load.buffer.name} in a loop is used after the loop",
                    details=[f"it is read at {read.line}"],
                    hint="keep it in a local variable that begins before the loop",
                    span=span,
                )
            if self._is_overwritten(load):
                raise self._overwritten(load, "", span)
            self._uses.append((load, span))

    def _overwritten(self, load: Load, which: str, span: Span | None) -> ScriptError:
        name = load.buffer.name
        element = name if load.buffer.scope == "register" else f"{name}[…]"
        read, written = self._read[load], self._written[load.buffer]
        return ScriptError(
            f"a value that is read from {name} is used after {name} is written",
            details=[f"it is read at {read.line}, and {name} is written at {written.line}{which}"],
            hint=f"keep it in a local variable where it is read: old = {element}",
            span=span,
        )

    @contextmanager
    def loop(self) -> Iterator[None]:
        """Within the block, statements run many times: what is read before may not be written by a step before.

        Raises:
            ScriptError: something is, and is used in the loop.
        """
        outer, first = self._loops, len(self._uses)
        this = next(self._count)
        self._loops = (*outer, this)
        try:
            yield
        finally:
            self._loops = outer
        for load, span in self._uses[first:]:
            written = self._written.get(load.buffer)
            if written is not None and this in written.loops and this not in self._read[load].loops:
                raise self._overwritten(load, ", by the step before", span)

    def alternatives(self, read: Callable[[_Body], _Result], bodies: Iterable[_Body]) -> list[_Result]:
        """What ``read`` gives for bodies of which only one runs: none sees what the others write."""
        before, after, results = self._written, dict(self._written), []
        for body in bodies:
            self._written = dict(before)
            results.append(read(body))
            after.update({buffer: event for buffer, event in self._written.items() if event is not before.get(buffer)})
        self._written = after
        return results
