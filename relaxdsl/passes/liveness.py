"""Where results go and when they die: which kernel call may write an output directly, and the last use of every variable."""

from __future__ import annotations

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
    for value, leaf in _leaves(sequence.body, output, bindings):
        place = _made_at(value, (), bindings)
        if place is not None:
            places.setdefault(place, leaf)
    return places


def _leaves(value: Expr, tree: Tree, bindings: dict[Var, Binding]) -> list[tuple[Expr | Place, Tree]]:
    if not isinstance(tree, TupleTree):
        return [(value, tree)]
    if isinstance(value, Tuple):
        pairs = zip(value.fields, tree.fields, strict=True)
        return [leaf for field, part in pairs for leaf in _leaves(field, part, bindings)]
    return [((value, (index,)), part) for index, part in enumerate(tree.fields) if isinstance(value, Var)]


def _made_at(value: Expr | Place, path: tuple[int, ...], bindings: dict[Var, Binding]) -> Place | None:
    """The binding of a writer that makes ``value`` (at ``path`` in it), looking through casts and tuples."""
    if isinstance(value, tuple):
        value, path = value
    while True:
        if isinstance(value, TupleGetItem):
            value, path = value.value, (value.index, *path)
        elif isinstance(value, Tuple) and path:
            value, path = value.fields[path[0]], path[1:]
        elif isinstance(value, Var) and value in bindings:
            binding = bindings[value]
            if isinstance(binding.value, Call) and not isinstance(binding, MatchCast):
                op = binding.value.op
                return (value, path) if isinstance(op, Op) and op.name in WRITERS else None
            value = binding.value
        else:
            return None
