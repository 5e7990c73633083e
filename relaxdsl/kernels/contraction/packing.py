"""The packing of panels.

A panel of width ``w`` holds, for each step of the sum, ``w`` neighbouring elements of an operand, and zeros beyond its
edge.
"""

from __future__ import annotations

from relaxdsl.kernels.contraction.emitter import Emitter
from relaxdsl.kernels.contraction.operands import STRIDED, Layout, Operand


def emit_panel(emit: Emitter, width: int, layout: Layout) -> None:
    """``panel(depth, count, source, places, steps, target)``: packs one panel of ``width``.

    ``count`` of its places exist.
    """
    _, count, *where, _ = emit.function.args
    operand = layout.operand(emit, *where)
    is_whole = emit.compare("==", count, width)
    if width % emit.lanes == 0 and layout is STRIDED:
        with emit.builder.if_then(emit.all(is_whole, emit.compare("==", operand.places, 1))):
            _copy_rows(emit, width, operand)
            emit.builder.ret(emit.integer(0))
    with emit.builder.if_else(is_whole) as (whole, ragged):
        with whole:
            _gather(emit, width, operand)
        with ragged:
            _gather_part(emit, width, operand)
    emit.builder.ret(emit.integer(0))


def _copy_rows(emit: Emitter, width: int, operand: Operand) -> None:
    depth, _, source, _, _, target = emit.function.args
    with emit.loop(0, depth) as index:
        start, goal = operand.step(index), emit.mul(index, width)
        for place in range(0, width, emit.lanes):
            emit.store_vector(emit.load_vector(source, emit.add(start, place)), target, emit.add(goal, place))


def _gather(emit: Emitter, width: int, operand: Operand) -> None:
    depth, _, source, _, _, target = emit.function.args
    rows = [emit.at(source, operand.place(place)) for place in range(width)]
    with emit.loop(0, depth) as index:
        start, goal = operand.step(index), emit.mul(index, width)
        for place, row in enumerate(rows):
            emit.store(emit.load(row, start), target, emit.add(goal, place))


def _gather_part(emit: Emitter, width: int, operand: Operand) -> None:
    depth, count, source, _, _, target = emit.function.args
    with emit.loop(0, depth) as index:
        start, goal = operand.step(index), emit.mul(index, width)
        with emit.loop(0, count) as place:
            element = emit.load(source, emit.add(start, operand.place(place)))
            emit.store(element, target, emit.add(goal, place))
        with emit.loop(count, width) as place:
            emit.store(emit.zero, target, emit.add(goal, place))
