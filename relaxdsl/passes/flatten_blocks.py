"""ToNonDataflow: one plain block per sequence, so that later passes need not keep dataflow rules."""

from __future__ import annotations

from dataclasses import replace

from relaxdsl.ir.graph import Binding, BindingBlock, DataflowVar, Expr, Function, If, SeqExpr, Var, VarBinding
from relaxdsl.ir.visit import substitute


def to_non_dataflow(function: Function) -> Function:
    """``function`` without dataflow blocks; each sequence is one block, without aliases of variables.

    before::

        with dataflow():
            lv = x + y
            gv = lv
            output(gv)
        return gv

    after::

        lv = x + y
        return lv
    """
    return replace(function, body=_Flattener({}).sequence(function.body))


class _Flattener:
    def __init__(self, names: dict[Var, Expr]) -> None:
        self._names = names

    def sequence(self, sequence: SeqExpr) -> SeqExpr:
        bindings = [new for old in sequence.bindings if (new := self._binding(old)) is not None]
        blocks = (BindingBlock(tuple(bindings)),) if bindings else ()
        return SeqExpr(blocks, substitute(sequence.body, self._names), sequence.span)

    def _binding(self, old: Binding) -> Binding | None:
        value = old.value
        if isinstance(value, If):
            value = replace(
                value,
                condition=substitute(value.condition, self._names),
                then_branch=self.sequence(value.then_branch),
                else_branch=self.sequence(value.else_branch),
            )
        else:
            value = substitute(value, self._names)
        if isinstance(value, Var) and isinstance(old, VarBinding):
            self._names[old.var] = value
            return None
        return replace(old, var=self._plain(old.var), value=value)

    def _plain(self, var: Var) -> Var:
        if not isinstance(var, DataflowVar):
            return var
        plain = Var(var.name, var.type, var.span)
        self._names[var] = plain
        return plain
