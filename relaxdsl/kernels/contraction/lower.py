"""A kernel with contractions as phases: loops before and after, what is packed, and pieces, which threads share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from relaxdsl.ir.loops import Buffer, PrimFunc, Stmt, sequence
from relaxdsl.kernels.accesses import accesses, buffers_touched
from relaxdsl.kernels.contraction.chain import Loops, Segment, segments_of
from relaxdsl.kernels.contraction.pieces import Pieces
from relaxdsl.kernels.contraction.plain import PlainLoops, Scheduler, flat_buffer


def use_engine(prim_func: PrimFunc, schedule: Scheduler) -> PrimFunc | None:
    """The kernel in phases, if the engine computes a part of it.

    Before::

        for i, j, k: with block: c[i, j] = c[i, j] + a[i, k] * b[k, j]    init: c[i, j] = 0
        for i, j: with block: out[i, j] = c[i, j] + bias[j]

    After::

        for group in parallel(ceildiv(n, 192)): pack(m, n, k, b, ..., group, 1, panels)
        for lower, upper in parts(ceildiv(m, 96) * ceildiv(n, 96)):     # pieces: 96 columns of 96 rows
            for block in range(lower // ceildiv(n, 96), ceildiv(upper, ceildiv(n, 96))):
                contract(m, min(96, m - 96 * block), n, first_column, columns, k, a, ..., c, ..., panels, ...)
                for i, j: out[96 * block + i, first_column + j] = c[i, j] + bias[first_column + j]

    Args:
        schedule: how loops that are not the engine's are scheduled.
    """
    found = segments_of(prim_func)
    if found is None:
        return None
    inlined, segments = found
    kept = tuple(_kept(inlined, segments))
    flat = {each: flat_buffer(each) for each in (*inlined.params, *kept)}
    loops = PlainLoops(inlined, schedule, flat, [flat[each] for each in kept])
    body = sequence(*(phase for segment in segments for phase in _phases(segment, loops)))
    used = {access.buffer for access in accesses(body)}
    return replace(
        inlined,
        params=tuple(flat[each] for each in inlined.params),
        scratch=tuple(each for each in dict.fromkeys(loops.scratch) if each in used),
        body=body,
    )


def _phases(segment: Segment, loops: PlainLoops) -> Iterator[Stmt]:
    if isinstance(segment, Loops):
        yield loops.scheduled(segment.statements, {})
    else:
        yield from Pieces(loops, segment).phases()


def _kept(prim_func: PrimFunc, segments: tuple[Segment, ...]) -> Iterator[Buffer]:
    """The scratch of which there is all: what several segments use."""
    for buffer in prim_func.scratch:
        users = [each for each in segments if buffer in _touched(each)]
        if len(users) > 1:
            yield buffer


def _touched(segment: Segment) -> set[Buffer]:
    if not isinstance(segment, Loops):
        return segment.touched
    return set[Buffer]().union(*(each for stmt in segment.statements for each in buffers_touched(stmt)))
