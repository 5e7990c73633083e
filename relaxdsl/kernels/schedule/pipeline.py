"""The default schedule: which rules run, in which order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from relaxdsl.ir.loops import PrimFunc
from relaxdsl.kernels.contraction.lower import use_engine
from relaxdsl.kernels.primitives.guards import hoist_conditions, separate_full_tiles
from relaxdsl.kernels.primitives.lowering import lower_blocks, write_out_unrolled
from relaxdsl.kernels.schedule.axes import loop_over_axes
from relaxdsl.kernels.schedule.columns import block_columns
from relaxdsl.kernels.schedule.conditions import evaluate_both_sides
from relaxdsl.kernels.schedule.contiguous import fuse_contiguous_loops
from relaxdsl.kernels.schedule.decompose import decompose_reductions
from relaxdsl.kernels.schedule.flatten import flatten_accesses
from relaxdsl.kernels.schedule.initial_values import set_initial_values
from relaxdsl.kernels.schedule.inline import inline_stages
from relaxdsl.kernels.schedule.interleave import interleave_loops
from relaxdsl.kernels.schedule.merge import merge_loops
from relaxdsl.kernels.schedule.parallel import bind_parallel_range
from relaxdsl.kernels.schedule.row_blocks import block_rows
from relaxdsl.kernels.schedule.rows import join_rows
from relaxdsl.kernels.schedule.shrink import shrink_scratch
from relaxdsl.kernels.schedule.single import drop_single_loops
from relaxdsl.kernels.schedule.split_ranges import split_ranges
from relaxdsl.kernels.schedule.sums import block_sums
from relaxdsl.kernels.schedule.unroll_sums import unroll_sums
from relaxdsl.kernels.simplify import simplify_indices

Rule: TypeAlias = Callable[[PrimFunc], PrimFunc]

DEFAULT_RULES: tuple[Rule, ...] = (
    inline_stages,
    evaluate_both_sides,
    unroll_sums,
    set_initial_values,
    decompose_reductions,
    drop_single_loops,
    merge_loops,
    block_rows,
    shrink_scratch,
    block_columns,
    flatten_accesses,
    simplify_indices,
    interleave_loops,
    split_ranges,
    drop_single_loops,
    simplify_indices,
    join_rows,
    fuse_contiguous_loops,
    block_sums,
    bind_parallel_range,
)

#: For kernels whose loops were arranged by hand: nothing but what the source needs.
SCHEDULED_RULES: tuple[Rule, ...] = (
    evaluate_both_sides,
    lower_blocks,
    simplify_indices,
    separate_full_tiles,
    hoist_conditions,
    write_out_unrolled,
    drop_single_loops,
    flatten_accesses,
    simplify_indices,
    bind_parallel_range,
)


def schedule(prim_func: PrimFunc) -> PrimFunc:
    """The kernel in the form the source is written from: plain loops, flat indices, at most one parallel loop.

    Contractions become calls of the engine. Loops that ``relax.Schedule`` arranged stay as they are.
    """
    if prim_func.attrs.get("scheduled"):
        return apply_rules(prim_func, SCHEDULED_RULES)
    prim_func = loop_over_axes(prim_func)
    contracted = use_engine(prim_func, _loops)
    return apply_rules(prim_func) if contracted is None else bind_parallel_range(drop_single_loops(contracted))


def _loops(prim_func: PrimFunc) -> PrimFunc:
    """The loops around a contraction: what is divided among threads is decided for all of them together."""
    return apply_rules(prim_func, DEFAULT_RULES[:-1])


def apply_rules(prim_func: PrimFunc, rules: tuple[Rule, ...] = DEFAULT_RULES) -> PrimFunc:
    """The kernel after the rules, in order."""
    for rule in rules:
        prim_func = rule(prim_func)
    return prim_func
