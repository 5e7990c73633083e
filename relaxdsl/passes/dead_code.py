"""DeadCodeElimination: pure bindings that nothing uses are dropped."""

from __future__ import annotations

from relaxdsl.ir.graph import Binding, Function, If, MatchCast, SeqExpr, Var
from relaxdsl.ir.visit import used_vars
from relaxdsl.trace.dataflow import is_pure_value


def eliminate_dead_code(function: Function) -> Function:
    """``function`` without pure bindings whose variables nothing uses; casts stay, since they check.

    before::

        lv = relax.exp(x)
        gv = relax.sin(x)
        return gv

    after::

        gv = relax.sin(x)
        return gv
    """
    body = _sequence(function.body, set())
    if body is function.body:
        return function
    return Function(
        function.name, function.params, body, function.ret_type, function.is_pure, function.attrs, function.span
    )


def _sequence(sequence: SeqExpr, live: set[Var]) -> SeqExpr:
    live |= set(used_vars(sequence.body))
    blocks = []
    for block in reversed(sequence.blocks):
        kept: list[Binding] = []
        for binding in reversed(block.bindings):
            if _is_needed(binding, live):
                live |= set(used_vars(binding.value))
                kept.append(binding)
        if kept:
            blocks.append(type(block)(tuple(reversed(kept))))
    if sum(len(block.bindings) for block in blocks) == sum(len(block.bindings) for block in sequence.blocks):
        return sequence
    return SeqExpr(tuple(reversed(blocks)), sequence.body, sequence.span)


def _is_needed(binding: Binding, live: set[Var]) -> bool:
    return binding.var in live or not is_pure_binding(binding)


def is_pure_binding(binding: Binding) -> bool:
    """Whether leaving the binding out changes nothing but its variable."""
    if isinstance(binding, MatchCast):
        return False
    if isinstance(binding.value, If):
        branches = (binding.value.then_branch, binding.value.else_branch)
        return all(is_pure_binding(inner) for branch in branches for inner in branch.bindings)
    return is_pure_value(binding.value)
