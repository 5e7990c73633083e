"""DeadCodeElimination: pure bindings that nothing uses are dropped."""

from __future__ import annotations

from collections.abc import Iterable

from relaxdsl.ir.graph import Binding, Function, If, MatchCast, SeqExpr, Var
from relaxdsl.ir.visit import all_bindings, dims_of_binding, dims_of_expr, used_vars, walk
from relaxdsl.trace.dataflow import is_pure_value
from relaxdsl.types.dims import Dim, free_symbols
from relaxdsl.types.types import dims_of, free_symbols_of


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
    body = _Eliminator(function).sequence(function.body)
    if body is function.body:
        return function
    return Function(
        function.name, function.params, body, function.ret_type, function.is_pure, function.attrs, function.span
    )


class _Eliminator:
    """Knows, from the end on, which variables are used: by name, or by a size that is known with them only."""

    def __init__(self, function: Function) -> None:
        known = {name for param in function.params for name in free_symbols_of(param.type)}
        self._size_of: dict[str, Var] = {}
        for binding in all_bindings(function.body):
            for name in free_symbols_of(binding.var.type):
                if name not in known:
                    self._size_of.setdefault(name, binding.var)
        self._live: set[Var] = set()
        self._use_sizes(dims_of(function.ret_type))

    def sequence(self, sequence: SeqExpr) -> SeqExpr:
        self._live.update(used_vars(sequence.body))
        for node in walk(sequence.body):
            self._use_sizes(dims_of_expr(node))
        blocks = []
        for block in reversed(sequence.blocks):
            kept = tuple(binding for binding in reversed(block.bindings) if self._is_needed(binding))
            if kept:
                blocks.append(type(block)(kept[::-1]))
        if sum(len(block.bindings) for block in blocks) == sum(len(block.bindings) for block in sequence.blocks):
            return sequence
        return SeqExpr(tuple(reversed(blocks)), sequence.body, sequence.span)

    def _is_needed(self, binding: Binding) -> bool:
        """Whether the binding stays; then it needs what it is computed from."""
        if binding.var not in self._live and is_pure_binding(binding):
            return False
        self._live.update(used_vars(binding.value))
        self._use_sizes(dims_of_binding(binding))
        return True

    def _use_sizes(self, dims: Iterable[Dim]) -> None:
        names = {name for dim in dims for name in free_symbols(dim)}
        self._live.update(self._size_of[name] for name in names if name in self._size_of)


def is_pure_binding(binding: Binding) -> bool:
    """Whether leaving the binding out changes nothing but its variable."""
    if isinstance(binding, MatchCast):
        return False
    if isinstance(binding.value, If):
        branches = (binding.value.then_branch, binding.value.else_branch)
        return all(is_pure_binding(inner) for branch in branches for inner in branch.bindings)
    return is_pure_value(binding.value)
