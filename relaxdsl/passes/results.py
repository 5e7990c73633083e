"""Which allocated tensors are the function's results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from relaxdsl.ir.graph import Binding, Call, Expr, MatchCast, Op, SeqExpr, Tuple, TupleGetItem, Var
from relaxdsl.runtime.program import Tree, TupleTree
from relaxdsl.trace.memory_calls import ALLOC_OWN


def output_places(sequence: SeqExpr, output: Tree) -> dict[Var, Tree]:
    """The leaf of the output that each tensor with memory of its own is."""
    bindings = {binding.var: binding for binding in sequence.bindings}
    places: dict[Var, Tree] = {}
    for path, leaf in _leaves(output, ()):
        var = _allocated_at(sequence.body, path, bindings)
        if var is not None:
            places[var] = leaf
    return places


def _leaves(tree: Tree, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Tree]]:
    """The leaves of a tree, each with the path to it."""
    if not isinstance(tree, TupleTree):
        yield path, tree
        return
    for index, part in enumerate(tree.fields):
        yield from _leaves(part, (*path, index))


def _allocated_at(value: Expr, path: tuple[int, ...], bindings: Mapping[Var, Binding]) -> Var | None:
    """The variable of the allocation of what is at ``path`` in ``value``, looking through casts and tuples."""
    while True:
        match value:
            case TupleGetItem(value=inner, index=index):
                value, path = inner, (index, *path)
            case Tuple(fields=fields) if path:
                value, path = fields[path[0]], path[1:]
            case Var() if value in bindings:
                binding = bindings[value]
                if isinstance(binding.value, Call) and not isinstance(binding, MatchCast):
                    op = binding.value.op
                    return value if isinstance(op, Op) and op.name == ALLOC_OWN.name else None
                value = binding.value
            case _:
                return None
