"""The memory plan of a function, for people: what ``fn.memory_plan()`` returns, and what it is at given sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Literal

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ArgumentError, Span, display_name, nearest
from relaxdsl.passes.memory_picture import picture
from relaxdsl.runtime.frame import WORKSPACE_ALIGNMENT
from relaxdsl.runtime.placement import bytes_taken
from relaxdsl.runtime.tables import as_html, as_text, lines_as_html
from relaxdsl.runtime.threads import get_num_threads
from relaxdsl.types.dims import Dim, Symbol, evaluate, symbols_of, value_of_size
from relaxdsl.types.readable import readable

_HEADINGS = ("buffer", "type", "bytes", "where", "in use", "lines", "shares")
_WIDEST, _LINE = 32, 110
"""How many characters a size may have in a cell, and a line below the table."""

WHILE_IT_RUNS = "while its kernel runs"
"""What is said of memory that only a kernel needs."""

Where = Literal["workspace", "output", "view", "late"]
"""``late``: allocated once its size is known, which depends on data."""


@dataclass(frozen=True, slots=True)
class PlannedBuffer:
    """A tensor of the program, or memory that a kernel needs while it runs.

    Args:
        size_bytes: its size; ``offset``: where in the workspace it starts.
        first, last: the positions in the program between which it is in use, and the user's lines there.
        shares: whose bytes it is in, and why that is right; None for bytes that nothing before it was in.
    """

    name: str
    where: Where
    shape: tuple[Dim, ...]
    dtype: str
    size_bytes: Dim
    offset: Dim | None
    first: int
    last: int
    first_line: Span | None
    last_line: Span | None
    shares: str | None


@dataclass(frozen=True, slots=True)
class BufferAt:
    """A buffer of the workspace at given sizes."""

    name: str
    offset: int
    size_bytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, repr=False)
class PlanAt:
    """A plan at given sizes.

    Args:
        sizes: the values of the symbols, the number of threads among them where it counts.
        workspace_bytes: of the workspace.
        output_bytes: of the results, and a page more for each large one.
        live_bytes: the most bytes of the workspace that are in use at once.
    """

    function: str
    sizes: Mapping[str, int]
    workspace_bytes: int
    output_bytes: int
    live_bytes: int
    buffers: tuple[BufferAt, ...]

    @property
    def peak_bytes(self) -> int:
        """What a call allocates: the workspace, aligned, and the results."""
        padding = WORKSPACE_ALIGNMENT if self.workspace_bytes else 0
        return self.workspace_bytes + padding + self.output_bytes

    def __repr__(self) -> str:
        return str(self)  # what a notebook or a prompt shows

    def __str__(self) -> str:
        rows = [("buffer", "bytes", "offset", "in use")]
        rows += [(each.name, f"{each.size_bytes:,}", f"{each.offset:,}", _span(each)) for each in self.buffers]
        total = f"workspace: {self.workspace_bytes:,} bytes, of which {self.live_bytes:,} in use at once"
        return "\n".join([self._title, *_indented(rows), total])

    def _repr_html_(self) -> str:
        return picture(self.buffers, self.workspace_bytes, self._title)

    @property
    def _title(self) -> str:
        sizes = ", ".join(f"{name} = {value}" for name, value in self.sizes.items())
        return f"{self.function} at {sizes or 'all sizes'}"


@dataclass(frozen=True, slots=True, repr=False)
class MemoryPlan:
    """Where a function's tensors are, for every value of its symbols; prints as a table.

    Args:
        workspace: the bytes of the workspace. symbols: the function's. needed: those that memory depends on.
        threads: the size that stands for the number of threads, if the workspace depends on it.
    """

    function: str
    buffers: tuple[PlannedBuffer, ...]
    workspace: Dim
    symbols: tuple[Symbol, ...]
    needed: tuple[Symbol, ...]
    threads: str | None

    def workspace_bytes(self, /, **sizes: int) -> int:
        """The bytes of the workspace at these sizes. Raises ArgumentError for missing or unknown ones."""
        return evaluate(self.workspace, self._values("workspace_bytes", sizes))

    def at(self, /, **sizes: int) -> PlanAt:
        """The plan at these sizes.

        Args:
            sizes: a value for each symbol; the number of threads may be left out.

        Raises:
            ArgumentError: a symbol is missing or unknown, its value is out of bounds, or a size depends on data.
        """
        return self._at("at", sizes)

    def peak_bytes(self, /, **sizes: int) -> int:
        """The most bytes that a call with these sizes allocates for arrays: its workspace and its results.

        Raises:
            ArgumentError: as for :meth:`at`.
        """
        return self._at("peak_bytes", sizes).peak_bytes

    def _at(self, caller: str, sizes: Mapping[str, int]) -> PlanAt:
        late = [each.name for each in self.buffers if each.where == "late"]
        if late:
            raise ArgumentError(f"{self.function}.{caller}: the size of {', '.join(late)} depends on data")
        values = self._values(caller, sizes)
        placed = [each for each in self.buffers if each.where == "workspace" and each.offset is not None]
        buffers = tuple(_buffer_at(each, values) for each in placed)
        outputs = [bytes_taken(evaluate(each.size_bytes, values)) for each in self.buffers if each.where == "output"]
        return PlanAt(
            self.function, values, evaluate(self.workspace, values), sum(outputs), _most_live(buffers), buffers
        )

    def _values(self, caller: str, sizes: Mapping[str, int]) -> dict[str, int]:
        names = [each.name for each in self.symbols]
        for name in sizes:
            if name not in names:
                close = nearest(name, names)
                hint = f"did you mean {close}?" if close else f"its sizes are {', '.join(names) or 'all known'}"
                raise ArgumentError(f"{self.function}.{caller}: there is no size {name}", hint=hint)
        wanted = [each for each in self.symbols if each in self.needed or each.name in sizes]
        return {each.name: self._value(caller, each, sizes) for each in wanted}

    def _value(self, caller: str, symbol: Symbol, sizes: Mapping[str, int]) -> int:
        if symbol.name not in sizes:
            if symbol.name == self.threads:
                return get_num_threads()
            raise ArgumentError(
                f"{self.function}.{caller}: the size {symbol.name} is missing", hint=f"write {symbol.name}=1000"
            )
        return value_of_size(f"{self.function}.{caller}", symbol, sizes[symbol.name])

    # ---- as text

    def __repr__(self) -> str:
        return str(self)  # what a notebook or a prompt shows

    def __str__(self) -> str:
        title, rows, notes = self._table()
        return "\n".join([title, *_indented([_HEADINGS, *rows]), *notes])

    def _table(self) -> tuple[str, list[tuple[str, ...]], list[str]]:
        """What stands above the table, its rows, and what stands below: sizes too long for a cell."""
        sizes = _Sizes()
        title = f"{self.function}: workspace of {sizes.cell(self.workspace)} bytes"
        rows = [self._row(each, sizes) for each in self.buffers]
        return title, rows, list(sizes.notes())

    def _row(self, buffer: PlannedBuffer, sizes: _Sizes) -> tuple[str, ...]:
        type_, size = _type(buffer, sizes), sizes.cell(buffer.size_bytes)
        where = buffer.where if buffer.offset is None else f"workspace[{sizes.cell(buffer.offset)}]"
        in_use = f"{buffer.first}..{buffer.last}"
        return buffer.name, type_, size, where, in_use, _lines(buffer), buffer.shares or ""

    def _repr_html_(self) -> str:
        title, rows, notes = self._table()
        html = lines_as_html([title]) + as_html(_HEADINGS, rows) + lines_as_html(notes)
        if any(each.where == "late" for each in self.buffers):
            return html
        sizes = {each.name: _reference(each) for each in self.symbols if each.name != self.threads}
        return html + self.at(**sizes)._repr_html_()


def _buffer_at(buffer: PlannedBuffer, values: Mapping[str, int]) -> BufferAt:
    assert buffer.offset is not None
    offset, size = evaluate(buffer.offset, values), evaluate(buffer.size_bytes, values)
    return BufferAt(buffer.name, offset, size, buffer.first, buffer.last)


def _reference(symbol: Symbol) -> int:
    """The value of a symbol at which the picture is drawn."""
    return max(symbol.lower, 1000 if symbol.upper is None else min(symbol.upper, 1000))


def _most_live(buffers: Sequence[BufferAt]) -> int:
    """The largest sum of bytes in use at once; buffers in the same place at the same time count once."""
    most = 0
    for position in {each.first for each in buffers}:
        live = {(each.offset, each.size_bytes) for each in buffers if each.first <= position <= each.last}
        most = max(most, sum(size for _, size in live))
    return most


def _span(buffer: BufferAt) -> str:
    return f"{buffer.first}..{buffer.last}"


def _type(buffer: PlannedBuffer, sizes: _Sizes) -> str:
    """The type of a tensor; nothing for bytes that a kernel needs, of which there is only the size to tell."""
    if buffer.dtype == "uint8" and buffer.shape == (buffer.size_bytes,) and buffer.shares == WHILE_IT_RUNS:
        return ""
    return f"{buffer.dtype}({', '.join(map(sizes.cell, buffer.shape))}{',' * (len(buffer.shape) == 1)})"


def _lines(buffer: PlannedBuffer) -> str:
    spans = [each for each in (buffer.first_line, buffer.last_line) if each is not None]
    places = dict.fromkeys((display_name(each.file), each.line) for each in spans)
    names = dict.fromkeys(name for name, _ in places)
    if len(names) == 1:
        return f"{next(iter(names))}:{'–'.join(str(line) for _, line in places)}"
    return " – ".join(f"{name}:{line}" for name, line in places)


class _Sizes:
    """Sizes as cells of a table; long ones as numbers, with notes below that say what they are."""

    def __init__(self) -> None:
        self._long: dict[str, str] = {}

    def cell(self, dim: Dim) -> str:
        """The size, or the number of its note."""
        text = readable(dim)
        return text if len(text) <= _WIDEST else self._long.setdefault(text, f"#{len(self._long) + 1}")

    def notes(self) -> Iterator[str]:
        """A paragraph for each long size, whose lines end after whole terms."""
        width = max(map(len, self._long.values()), default=0)
        for text, number in self._long.items():
            start = f"   {number.ljust(width)} = "
            kept = text.replace(" + ", "\n+ ").replace(" ", "\xa0").replace("\n", " ")
            lines = wrap(kept, _LINE, initial_indent=start, subsequent_indent=" " * len(start), break_long_words=False)
            yield from (line.replace("\xa0", " ") for line in lines)
        if any("[" in text for text in self._long):
            yield "   [condition] is 1 where that is so, else 0"


def _indented(rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [f"   {line}" for line in as_text(rows)]


def symbols_in_order(dims: Sequence[Dim]) -> tuple[Symbol, ...]:
    """The symbols of dims, each once."""
    return tuple(dict.fromkeys(symbol for dim in dims for symbol in symbols_of(dim)))
