"""Dataflow blocks: closing one by hand, and forming them around maximal runs of pure bindings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from relaxdsl.errors import ScriptError
from relaxdsl.ir.check_graph import is_pure_call
from relaxdsl.ir.graph import (
    Binding,
    BindingBlock,
    Call,
    DataflowBlock,
    DataflowVar,
    Expr,
    If,
    SeqExpr,
    Var,
)
from relaxdsl.ir.visit import substitute, used_vars, with_bindings


def is_pure_value(value: Expr) -> bool:
    """Whether binding ``value`` may stand in a dataflow block: no effect, no choice."""
    return is_pure_call(value) if isinstance(value, Call) else not isinstance(value, If)


def require_dataflow(value: Expr) -> None:
    """Returns if ``value`` may stand in a dataflow block.

    Raises:
        ScriptError: it is a choice or has effects.
    """
    if isinstance(value, If):
        raise ScriptError("an if on a tensor cannot stand inside a dataflow block", span=value.span)
    if not is_pure_value(value):
        raise ScriptError(
            "an impure call cannot stand inside a dataflow block",
            hint="end the dataflow block before it, or use relax.call_pure_packed",
            span=value.span,
        )


def close_dataflow_block(
    bindings: Sequence[Binding], outputs: Iterable[Var]
) -> tuple[tuple[Binding, ...], dict[Var, Var]]:
    """The bindings of a dataflow block with ``outputs`` made visible outside, and what became of them."""
    wanted = set(outputs)
    outer = {
        binding.var: Var(binding.var.name, binding.var.type, binding.var.span)
        for binding in bindings
        if binding.var in wanted
    }
    return _renamed(bindings, outer), outer


def form_dataflow_blocks(body: SeqExpr) -> SeqExpr:
    """``body`` with every maximal run of pure bindings in a dataflow block, in branches too.

    before::

        gv = x + y
        gv1 = call_packed("f", gv)
        gv2 = relax.exp(gv1)

    after::

        with dataflow():
            gv = x + y
            output(gv)
        gv1 = call_packed("f", gv)
        with dataflow():
            gv2 = relax.exp(gv1)
            output(gv2)
    """
    runs = [run for block in body.blocks for run in _runs(block)]
    used_in = [_uses(run) for run in runs]
    users: dict[Var, set[int]] = {}
    for index, used in enumerate(used_in):
        for var in used:
            users.setdefault(var, set()).add(index)
    returned = set(used_vars(body.body))
    blocks = tuple(
        _hide_inner_vars(
            run, {var for binding in run.bindings if _is_inner(var := binding.var, index, users, returned)}
        )
        for index, run in enumerate(runs)
    )
    return SeqExpr(blocks, body.body, body.span)


def _runs(block: BindingBlock) -> list[BindingBlock]:
    """The block cut into runs of bindings that are alike pure or not."""
    if isinstance(block, DataflowBlock):
        return [block]
    runs: list[BindingBlock] = []
    for binding in map(_form_in_branches, block.bindings):
        kind = DataflowBlock if is_pure_value(binding.value) else BindingBlock
        if runs and type(runs[-1]) is kind:
            runs[-1] = kind((*runs[-1].bindings, binding))
        else:
            runs.append(kind((binding,)))
    return runs


def _form_in_branches(binding: Binding) -> Binding:
    value = binding.value
    if not isinstance(value, If):
        return binding
    then_branch, else_branch = form_dataflow_blocks(value.then_branch), form_dataflow_blocks(value.else_branch)
    return replace(binding, value=replace(value, then_branch=then_branch, else_branch=else_branch))


def _uses(run: BindingBlock) -> set[Var]:
    return {var for binding in run.bindings for var in used_vars(binding.value)}


def _is_inner(var: Var, run: int, users: dict[Var, set[int]], returned: set[Var]) -> bool:
    return var not in returned and users.get(var, set()) <= {run}


def _hide_inner_vars(run: BindingBlock, inner: set[Var]) -> BindingBlock:
    if not isinstance(run, DataflowBlock) or not inner:
        return run
    hidden: dict[Var, Var] = {var: DataflowVar(var.name, var.type, var.span) for var in inner}
    return with_bindings(run, _renamed(run.bindings, hidden))


def _renamed(bindings: Iterable[Binding], names: dict[Var, Var]) -> tuple[Binding, ...]:
    """The bindings with variables replaced, where they are bound and where they are used."""
    return tuple(
        replace(binding, var=names.get(binding.var, binding.var), value=substitute(binding.value, names))
        for binding in bindings
    )
