"""Products without packing, for few rows: sums of whole rows of the right operand, or dot products of rows.

An element's sum is formed in the same order wherever the element is, so that a part of the result has the same bits,
whatever of it a call computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from relaxdsl.kernels.contraction.emitter import INT32, Emitter, Integer
from relaxdsl.kernels.contraction.library import Library

#: Columns in a pass over the rows of the right operand, for one row and for more: long runs of memory, while the
#: results stay in the first-level cache, and what of the right operand is used again in the second-level one.
LONG_RUN, RUN = 8192, 2048
#: Rows of the right operand that are used for all rows of the left one before the next ones are read: a multiple of
#: how many are read at once. Wide tiles have larger caches.
RUN_DEPTH, WIDE_RUN_DEPTH = 64, 96
#: Rows of the left operand that use what is read of the right one.
ROWS = 2
#: Rows of the right operand, and so streams of memory, that are read at once for one row of the left one, and for two:
#: their elements stand in registers. With more, a core that has the registers reads up to a fifth faster, unless the
#: streams meet in the same few sets of its cache.
ADDED, WIDE_ADDED = {1: 8, 2: 4}, {1: 12, 2: 8}
#: Columns, and so streams of memory, whose dot products are formed together.
STREAMS = 4


_PRODUCT = "rows n columns k a* a_rows a_steps b* b_steps b_columns c* c_rows"


def emit_products(library: Library) -> None:
    """``product``: any columns of a product whose right operand is a vector, or has contiguous rows or columns."""
    for rows in (ROWS, 1):
        for steps in (*(each[rows] for each in _added(library).values()), 1):
            emit = library.function(f"add_rows_{rows}_{steps}", "columns a* a_rows a_steps b* b_steps c* c_rows")
            _emit_add_rows(emit, rows, steps)
        for columns in (STREAMS, 1):
            for suffix, is_dense in (("", True), ("_spaced", False)):
                name = f"dots_{rows}_{columns}{suffix}"
                emit = library.function(name, "depth a* a_rows a_steps b* b_columns c* c_rows")
                _emit_dots(emit, rows, columns, is_dense)
    _emit_all_added_rows(library)
    for suffix in ("", "_spaced"):
        _emit_all_dots(library, suffix)
    _emit_product(library)


def _emit_product(library: Library) -> None:
    emit = library.function("product", _PRODUCT)
    rows, n, columns, k, a, a_rows, a_steps, b, b_steps, b_columns, c, c_rows = emit.function.args
    is_vector = emit.all(emit.compare("==", n, 1), emit.compare("==", c_rows, 1))
    are_terms = emit.compare(">", k, 0)
    are_rows, are_columns = emit.compare("==", b_columns, 1), emit.compare("==", b_steps, 1)
    with emit.builder.if_then(emit.all(is_vector, are_terms, emit.compare("==", a_steps, 1))):
        _call_dots(library, emit, (columns, rows, k, b, 0, b_steps, a, a_rows, c, 0))
    with emit.builder.if_then(emit.all(is_vector, are_terms, emit.compare("==", a_rows, 1))):
        library.call(emit, "all_added_rows", (columns, rows, k, b, 0, b_steps, a, a_steps, c, 0))
        emit.builder.ret(emit.integer(0))
    with emit.builder.if_then(emit.all(are_terms, are_columns, emit.builder.not_(emit.any(is_vector, are_rows)))):
        _call_dots(library, emit, (rows, columns, k, a, a_rows, a_steps, b, b_columns, c, c_rows))
    library.call(emit, "all_added_rows", (rows, columns, k, a, a_rows, a_steps, b, b_steps, c, c_rows))
    emit.builder.ret(emit.integer(0))


def _call_dots(library: Library, emit: Emitter, arguments: tuple[Any, ...]) -> None:
    """Returns after forming dot products, in which the left operand's steps may be apart."""
    *_, a_steps, _, _, _, _ = arguments
    with emit.builder.if_else(emit.compare("==", a_steps, 1)) as (dense, spaced):
        with dense:
            library.call(emit, "all_dots", arguments)
        with spaced:
            library.call(emit, "all_dots_spaced", arguments)
    emit.builder.ret(emit.integer(0))


def _added(library: Library) -> dict[str, dict[int, int]]:
    """How many rows are added up at once, by the name of how they lie."""
    return {"": ADDED, "_apart": WIDE_ADDED} if library.tile.is_wide else {"": ADDED}


def _emit_all_added_rows(library: Library) -> None:
    parameters = "rows columns k a* a_rows a_steps b* b_steps c* c_rows"
    for suffix, added in _added(library).items():
        _emit_added_rows(library, library.function(f"added_rows{suffix}", parameters), added)
    emit = library.function("all_added_rows", parameters)
    if library.tile.is_wide:
        are_apart = emit.builder.not_(emit.are_aliases(emit.function.args[7], library.tile.alias_bytes))
        with emit.builder.if_then(are_apart):
            emit.builder.ret(library.call(emit, "added_rows_apart", emit.function.args))
    emit.builder.ret(library.call(emit, "added_rows", emit.function.args))


def _emit_added_rows(library: Library, emit: Emitter, added: dict[int, int]) -> None:
    rows, columns, k, a, a_rows, a_steps, b, b_steps, c, c_rows = emit.function.args
    is_one = emit.compare("==", rows, 1)
    run = emit.builder.select(is_one, emit.integer(LONG_RUN), emit.integer(RUN))
    depth = WIDE_RUN_DEPTH if library.tile.is_wide else RUN_DEPTH
    with emit.loop(0, columns, run) as first:
        width = emit.smaller(run, emit.sub(columns, first))
        sources, targets = emit.at(b, first), emit.at(c, first)
        library.call(emit, "clear", (rows, width, targets, c_rows))
        with emit.loop(0, k, depth) as start:
            stop = emit.smaller(k, emit.add(start, depth))
            for row, height in _by(emit, 0, rows, ROWS):
                target = emit.at(targets, emit.mul(row, c_rows))
                for step, steps in _by(emit, start, stop, added[height]):
                    left = emit.at(a, emit.add(emit.mul(row, a_rows), emit.mul(step, a_steps)))
                    right = emit.at(sources, emit.mul(step, b_steps))
                    arguments = (width, left, a_rows, a_steps, right, b_steps, target, c_rows)
                    library.call(emit, f"add_rows_{height}_{steps}", arguments)
    emit.builder.ret(emit.integer(0))


def _emit_all_dots(library: Library, suffix: str) -> None:
    emit = library.function(f"all_dots{suffix}", "rows columns k a* a_rows a_steps b* b_columns c* c_rows")
    rows, columns, k, a, a_rows, a_steps, b, b_columns, c, c_rows = emit.function.args
    for column, width in _by(emit, 0, columns, STREAMS):
        right = emit.at(b, emit.mul(column, b_columns))
        for row, height in _by(emit, 0, rows, ROWS):
            left = emit.at(a, emit.mul(row, a_rows))
            target = emit.at(c, emit.add(emit.mul(row, c_rows), column))
            arguments = (k, left, a_rows, a_steps, right, b_columns, target, c_rows)
            library.call(emit, f"dots_{height}_{width}{suffix}", arguments)
    emit.builder.ret(emit.integer(0))


def _by(emit: Emitter, start: Any, stop: Any, group: int) -> Iterator[tuple[Any, int]]:
    """Two loops over a range: by whole groups, then one by one. Yields the index and the size of its group."""
    whole = emit.add(start, emit.multiple_below(emit.sub(stop, start), group))
    with emit.loop(start, whole, group) as index:
        yield index, group
    with emit.loop(whole, stop) as index:
        yield index, 1


def _emit_add_rows(emit: Emitter, rows: int, steps: int) -> None:
    """``add_rows(n, a, a_rows, a_steps, b, b_steps, c, c_rows)``: ``c[:rows] += a[:rows, :steps] @ b[:steps, :n]``."""
    n, a, a_rows, a_steps, b, b_steps, c, c_rows = emit.function.args
    factors = [
        [emit.load(a, emit.add(emit.mul(a_rows, row), emit.mul(a_steps, step))) for step in range(steps)]
        for row in range(rows)
    ]
    wide = [[emit.broadcast(factor) for factor in each] for each in factors]
    sources = [emit.at(b, emit.mul(b_steps, step)) for step in range(steps)]
    targets = [emit.at(c, emit.mul(c_rows, row)) for row in range(rows)]
    whole = emit.multiple_below(n, emit.lanes)
    with emit.loop(0, whole, emit.lanes) as column:
        vectors = [emit.load_vector(source, column) for source in sources]
        for target, each in zip(targets, wide, strict=True):
            total = emit.load_vector(target, column)
            emit.store_vector(_accumulated(emit, total, each, vectors), target, column)
    with emit.loop(whole, n) as column:
        elements = [emit.load(source, column) for source in sources]
        for target, each in zip(targets, factors, strict=True):
            emit.store(_accumulated(emit, emit.load(target, column), each, elements), target, column)
    emit.builder.ret(emit.integer(0))


def _accumulated(emit: Emitter, total: Any, factors: list[Any], terms: list[Any]) -> Any:
    for factor, term in zip(factors, terms, strict=True):
        total = emit.multiply_add(factor, term, total)
    return total


def _emit_dots(emit: Emitter, rows: int, columns: int, is_dense: bool) -> None:
    """``dots(depth, a, a_rows, a_steps, b, b_columns, c, c_rows)``: dot products of ``rows`` by ``columns`` rows.

    Those of ``b`` are contiguous, and if ``is_dense`` those of ``a``.
    """
    depth, a, a_rows, a_steps, b, b_columns, c, c_rows = emit.function.args
    a_steps = 1 if is_dense else a_steps
    lefts = [emit.at(a, emit.mul(a_rows, row)) for row in range(rows)]
    rights = [emit.at(b, emit.mul(b_columns, column)) for column in range(columns)]
    whole = emit.multiple_below(depth, emit.lanes)
    with emit.carrying_loop(0, whole, [emit.zeros] * (rows * columns), emit.lanes) as loop:
        left_vectors = [_vector(emit, left, loop.index, a_steps) for left in lefts]
        right_vectors = [emit.load_vector(right, loop.index) for right in rights]
        loop.following += _outer(emit, left_vectors, right_vectors, loop.values)
    before = emit.builder.block
    with emit.builder.if_then(emit.compare("<", whole, depth)):
        mask = emit.lanes_below(emit.sub(depth, whole))
        left_vectors = [_part_of_vector(emit, left, whole, depth, a_steps, mask) for left in lefts]
        right_vectors = [emit.load_masked(right, whole, mask) for right in rights]
        with_rest = _outer(emit, left_vectors, right_vectors, loop.values)
        after_rest = emit.builder.block
    totals = emit.either((loop.values, before), (with_rest, after_rest))
    for row in range(rows):
        _store_sums(emit, totals[row * columns : (row + 1) * columns], emit.at(c, emit.mul(c_rows, row)))
    emit.builder.ret(emit.integer(0))


def _vector(emit: Emitter, source: Any, start: Any, spacing: Integer) -> Any:
    """Elements of ``source`` from ``start`` on."""
    if spacing == 1:
        return emit.load_vector(source, start)
    return _gathered(emit, source, [emit.add(start, lane) for lane in range(emit.lanes)], spacing)


def _part_of_vector(emit: Emitter, source: Any, start: Any, stop: Any, spacing: Integer, mask: Any) -> Any:
    """The same up to ``stop``, with zeros in the lanes that are not in the mask."""
    if spacing == 1:
        return emit.load_masked(source, start, mask)
    last = emit.sub(stop, 1)
    indices = [emit.smaller(emit.add(start, lane), last) for lane in range(emit.lanes)]
    return emit.builder.select(mask, _gathered(emit, source, indices, spacing), emit.zeros)


def _gathered(emit: Emitter, source: Any, indices: list[Any], spacing: Integer) -> Any:
    return emit.vector_of([emit.load(source, emit.mul(index, spacing)) for index in indices])


def _store_sums(emit: Emitter, totals: list[Any], target: Any) -> None:
    """The sum of the lanes of each vector, one after the other in memory."""
    chunk = min(emit.lanes, emit.chunk_lanes)
    for first in range(0, len(totals), chunk):
        part = totals[first : first + chunk]
        sums = emit.sums_of_lanes(part)
        if len(part) == chunk:
            emit.store_vector(sums, target, first)
        else:
            for number in range(len(part)):
                emit.store(emit.builder.extract_element(sums, INT32(number)), target, first + number)


def _outer(emit: Emitter, lefts: list[Any], rights: list[Any], totals: list[Any]) -> list[Any]:
    pairs = [(left, right) for left in lefts for right in rights]
    return [emit.multiply_add(*pair, total) for pair, total in zip(pairs, totals, strict=True)]
