"""Reads and writes that are certainly outside of a buffer, found before a kernel is compiled.

An index that is affine in the axes takes its extreme values at their ends. If the prover shows that such a value is
no index of the buffer, whatever the sizes are, the kernel is refused. What it can't decide, what depends on data, and
what a ``te.if_then_else`` guards is taken to be meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from relaxdsl.errors import KernelError
from relaxdsl.ir.loops import Block, Buffer, PrimFunc, Store, walk
from relaxdsl.ir.scalar import Index, Load, ScalarExpr, Select, children
from relaxdsl.types.dims import Dim, SymInt, free_symbols, has_atoms, substitute, symbol, terms
from relaxdsl.types.prove import Proof, prove_less
from relaxdsl.types.symint import from_atom

Ends = Mapping[str, tuple[Dim, Dim]]


def require_in_bounds(kernel: PrimFunc) -> None:
    """Returns unless an access of a kernel in block form is certainly outside of its buffer.

    Raises:
        KernelError: names the buffer, the axis, the index, where it gets to, and the size.
    """
    for block in (stmt for stmt in walk(kernel.body) if isinstance(stmt, Block)):
        ends: Ends = {axis.var: (0, axis.extent - 1) for axis in block.iter_vars}
        names = {axis.var: axis.var.removeprefix("v_") for axis in block.iter_vars}
        for buffer, indices in _accesses(block):
            for axis, (index, size) in enumerate(zip(indices, buffer.shape, strict=True)):
                _require_index(kernel, buffer, axis, index, size, ends, names)


def _require_index(
    kernel: PrimFunc, buffer: Buffer, axis: int, index: Index, size: Dim, ends: Ends, names: Mapping[str, str]
) -> None:
    extremes = None if isinstance(index, ScalarExpr) else _extremes(index, ends)
    if extremes is None:
        return
    least, most = extremes
    outside = most if prove_less(most, size) is Proof.NO else least if prove_less(least, 0) is Proof.YES else None
    if outside is None:
        return
    shown = ", ".join(f"{names[name]} = {end}" for name, end in _corner(index, ends, at_most=outside is most).items())
    raise KernelError(
        f"{kernel.name}: {buffer.name}, axis {axis}: the index {_shown(index, names)} is out of range",
        details=[f"for {shown} it is {outside}, and the size is {size}"] if shown else [f"the size is {size}"],
        hint="guard it with te.if_then_else(condition, value, otherwise), or make the result smaller",
    )


def _accesses(block: Block) -> Iterator[tuple[Buffer, tuple[Index, ...]]]:
    """Every access of the block that no choice guards."""
    for stmt in (*walk(block.body), *(walk(block.init) if block.init is not None else ())):
        if isinstance(stmt, Store):
            yield stmt.buffer, stmt.indices
            yield from _unguarded_reads(stmt.value)


def _unguarded_reads(expr: ScalarExpr) -> Iterator[tuple[Buffer, tuple[Index, ...]]]:
    if isinstance(expr, Load):
        yield expr.buffer, expr.indices
    inner = (expr.condition,) if isinstance(expr, Select) else children(expr)
    for each in inner:
        yield from _unguarded_reads(each)


def _extremes(index: Dim | ScalarExpr, ends: Ends) -> tuple[Dim, Dim] | None:
    """The least and the greatest value of an index, or None where it is not affine in the axes."""
    if isinstance(index, ScalarExpr):
        return None
    if _steps(index, ends) is None:
        return None
    return tuple(substitute(index, _corner(index, ends, at_most=side)) for side in (False, True))  # type: ignore[return-value]


def _corner(index: Index, ends: Ends, *, at_most: bool) -> dict[str, Dim]:
    """The axes' values where an affine index is least or greatest."""
    steps = _steps(index, ends) or {}
    return {name: ends[name][(step > 0) is at_most] for name, step in steps.items()}


def _steps(index: Index, ends: Ends) -> dict[str, int] | None:
    """How an index grows along each axis it uses; None where that is no constant."""
    if not isinstance(index, SymInt):
        return {}
    steps = {}
    for name in free_symbols(index):
        if name in ends:
            step = _step(index, name)
            if not isinstance(step, int) or has_atoms(index) or _degree(index, name) > 1:
                return None
            steps[name] = step
    return steps


def _step(index: SymInt, name: str) -> Dim:
    """The difference between neighbours at the axis's beginning; it is the same everywhere if it is a number."""
    return substitute(index, {name: 1}) - substitute(index, {name: 0})


def _degree(index: SymInt, name: str) -> int:
    return max(power for _, factors in terms(index) for atom, power in factors if str(from_atom(atom)) == name)


def _shown(index: Index, names: Mapping[str, str]) -> str:
    if not isinstance(index, SymInt):
        return str(index)
    return str(substitute(index, {old: symbol(new) for old, new in names.items()}))
