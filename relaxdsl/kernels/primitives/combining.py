"""Functions that combine the steps of a reduction, in any order and grouping."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from relaxdsl.ir.loops import Block, Buffer, Store, walk
from relaxdsl.ir.scalar import Apply, Load, ScalarExpr, Select, const
from relaxdsl.kernels.accesses import expressions, reads
from relaxdsl.kernels.te_functions import max_value, min_value
from relaxdsl.types.dtype import is_float, is_signed


def _least(dtype: str) -> ScalarExpr:
    return const(-math.inf, dtype) if is_float(dtype) else min_value(dtype)


def _greatest(dtype: str) -> ScalarExpr:
    return const(math.inf, dtype) if is_float(dtype) else max_value(dtype)


def _all_ones(dtype: str) -> ScalarExpr:
    return const(-1, dtype) if is_signed(dtype) else max_value(dtype)


#: What may be combined in any order and grouping, and the value of each dtype that changes nothing.
NEUTRAL: Mapping[str, Callable[[str], ScalarExpr]] = {
    "add": partial(const, 0),
    "multiply": partial(const, 1),
    "maximum": _least,
    "minimum": _greatest,
    "logical_and": partial(const, 1),
    "logical_or": partial(const, 0),
    "bitwise_and": _all_ones,
    "bitwise_or": partial(const, 0),
    "bitwise_xor": partial(const, 0),
}

ORDERLESS_HINT = "steps of sums, products, maxima and the like may come in any order"


def combines_in_any_order(block: Block, buffer: Buffer) -> bool:
    """Whether the block's steps make the same of an element of ``buffer``, but for rounding, in whatever order.

    So do sums and the like. Steps such as ``y[i] * 0.5 + x[i, k]`` need the one before.
    """
    if all(axis.kind == "spatial" for axis in block.iter_vars):
        return True
    used = set[str | None]()
    for stmt in walk(block.body):
        if isinstance(stmt, Store) and stmt.buffer is buffer:
            used.update(_functions(stmt.value, stmt))
        elif any(reads(expr, buffer) for expr in expressions(stmt)):
            return False
    return len(used) <= 1 and None not in used


def _functions(value: ScalarExpr, store: Store) -> Iterator[str | None]:
    """The functions that combine the element with what has nothing to do with it; None for any other use of it."""
    match value:
        case Load(buffer, indices) if buffer is store.buffer and indices == store.indices:
            return
        case Apply(function, args) if function in NEUTRAL:
            own = [each for each in args if reads(each, store.buffer)]
            yield function if len(own) == 1 else None
            for each in own:
                yield from _functions(each, store)
        case Select(condition, then_value, else_value) if not reads(condition, store.buffer):
            yield from _functions(then_value, store)
            yield from _functions(else_value, store)
        case _:
            yield None
