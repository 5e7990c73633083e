"""Where results go and when they die: which kernel call may write an output directly, and the last use of every
variable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from relaxdsl.ir.graph import Binding, Call, Expr, MatchCast, Op, SeqExpr, Tuple, TupleGetItem, Var
from relaxdsl.ir.visit import used_vars
from relaxdsl.runtime.program import Tree, TupleTree

Place = tuple[Var, tuple[int, ...]]
"""A tensor that a binding makes: its variable and the path into its tuple."""

WRITERS = frozenset({"call_tir", "call_dps_packed"})


def last_uses(sequence: SeqExpr) -> dict[Var, int]:
    """For each variable, the index of the last binding of ``sequence`` that uses it (branches count for their If).

    Variables that the sequence's value uses are left out: they live to the end.
    """
    last: dict[Var, int] = {}
    for index, binding in enumerate(sequence.bindings):
        last[binding.var] = index
        for var in used_vars(binding.value):
            last[var] = index
    for var in used_vars(sequence.body):
        last.pop(var, None)
    return last


def output_places(sequence: SeqExpr, output: Tree) -> dict[Place, Tree]:
    """The leaf of the output that each tensor made by a kernel may be written to directly.

    A tensor goes to one leaf only; further occurrences, arguments and constants are copied.
    """
    bindings = {binding.var: binding for binding in sequence.bindings}
    places: dict[Place, Tree] = {}
    for path, leaf in _leaves(output, ()):
        place = _made_at(sequence.body, path, bindings)
        if place is not None:
            places.setdefault(place, leaf)
    return places


def _leaves(tree: Tree, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Tree]]:
    """The leaves of a tree, each with the path to it."""
    if not isinstance(tree, TupleTree):
        yield path, tree
        return
    for index, part in enumerate(tree.fields):
        yield from _leaves(part, (*path, index))


def _made_at(value: Expr, path: tuple[int, ...], bindings: Mapping[Var, Binding]) -> Place | None:
    """The binding of a writer that makes what is at ``path`` in ``value``, looking through casts and tuples."""
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
                    return (value, path) if isinstance(op, Op) and op.name in WRITERS else None
                value = binding.value
            case _:
                return None
