"""Stages disappear into the stages that read them, where nothing expensive is computed twice for it."""

from __future__ import annotations

from dataclasses import replace

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import (
    Block,
    Buffer,
    For,
    PrimFunc,
    Seq,
    Stmt,
    Store,
    rewrite_statement,
    sequence,
    walk,
)
from relaxdsl.ir.scalar import Apply, Load, ScalarExpr, Select, rewrite
from relaxdsl.kernels.accesses import accesses, buffers_touched, expressions, loads_of, nodes, reads
from relaxdsl.kernels.patterns import costs_nothing, is_reduction, takes_each_once, without_widening
from relaxdsl.types.dims import is_symbol, substitute

#: A statement that inlining would make larger than this many scalar nodes keeps its producers.
MAX_NODES = 120


def inline_stages(prim_func: PrimFunc, keeps_operands: bool = False) -> PrimFunc:
    """Inlines intermediate stages without a reduction into their readers.

    Before::

        for i, j: with block: t[i, j] = exp(x[j, i])
        for i, j: with block: out[i, j] = t[i, j] + 1

    After::

        for i, j: with block: out[i, j] = exp(x[j, i]) + 1

    A stage is inlined if its body only moves data (indexing, casts, choices; but no choice goes where a reduction would
    make it again and again), or if it is read at one place, which reads each element at most once. Other chains of
    stages are joined by :mod:`relaxdsl.kernels.schedule.merge`, which lets readers share the value.
    """
    statements = list(prim_func.body.body) if isinstance(prim_func.body, Seq) else [prim_func.body]
    for buffer in prim_func.scratch:
        statements = _without_stage(statements, buffer, keeps_operands)
    used = {access.buffer for stmt in statements for access in accesses(stmt)}
    return replace(
        prim_func, body=sequence(*statements), scratch=tuple(each for each in prim_func.scratch if each in used)
    )


@dataclass(frozen=True, slots=True)
class _Stage:
    """A nest that sets every element of a buffer, in any order: ``buffer[variables] = value``."""

    buffer: Buffer
    variables: tuple[str, ...]
    value: ScalarExpr


def _without_stage(statements: list[Stmt], buffer: Buffer, keeps_operands: bool) -> list[Stmt]:
    """The statements with the stage that makes ``buffer`` inlined, if there is one and it is worth it."""
    writers = [stmt for stmt in statements if buffer in buffers_touched(stmt)[1]]
    stage = _stage_of(writers[0], buffer) if len(writers) == 1 else None
    if stage is None:
        return statements
    position = statements.index(writers[0])
    later = statements[position + 1 :]
    readers = [stmt for stmt in later if buffer in buffers_touched(stmt)[0]]
    if not readers or _is_overwritten(stage, later) or not _is_worth_inlining(stage, readers):
        return statements
    if keeps_operands and not isinstance(without_widening(stage.value), Load) and any(map(_sums_products, readers)):
        return statements
    return [*statements[:position], *(_inlined(stmt, stage) if stmt in readers else stmt for stmt in later)]


def _stage_of(stmt: Stmt, buffer: Buffer) -> _Stage | None:
    while isinstance(stmt, For):
        stmt = stmt.body
    if not isinstance(stmt, Block) or stmt.init is not None or is_reduction(stmt) or not isinstance(stmt.body, Store):
        return None
    store = stmt.body
    if reads(store.value, buffer):
        return None
    own = [each.var for each in stmt.iter_vars]
    written = [str(index) for index in store.indices]
    if written != own or store.buffer is not buffer or any(not is_symbol(each.binding) for each in stmt.iter_vars):
        return None
    return _Stage(buffer, tuple(own), store.value)


def _is_overwritten(stage: _Stage, later: list[Stmt]) -> bool:
    """Whether something the stage reads changes before its readers run."""
    read = {load.buffer for load in loads_of(stage.value)}
    return any(read & buffers_touched(stmt)[1] for stmt in later)


def _is_worth_inlining(stage: _Stage, readers: list[Stmt]) -> bool:
    blocks = [_only_block(stmt) for stmt in readers]
    reads = [[load for load in _loads(stmt) if load.buffer is stage.buffer] for stmt in readers]
    has_scalar_index = any(isinstance(index, ScalarExpr) for found in reads for load in found for index in load.indices)
    if has_scalar_index or any(
        _size(stmt) + len(found) * _nodes(stage.value) > MAX_NODES for stmt, found in zip(readers, reads, strict=True)
    ):
        return False
    if costs_nothing(stage.value) and not _is_chosen_again(stage, readers, reads):
        return True
    return len(reads) == 1 and len(reads[0]) == 1 and blocks[0] is not None and takes_each_once(blocks[0], reads[0][0])


def _is_chosen_again(stage: _Stage, readers: list[Stmt], reads: list[list[Load]]) -> bool:
    """Whether a reduction would make the stage's choice many times for each element: what follows a border of zeros
    is faster, and simpler, without it.
    """
    if not any(isinstance(node, Select) for node in nodes(stage.value)):
        return False
    return any(
        is_reduction(block) and not all(takes_each_once(block, load) for load in found)
        for stmt, found in zip(readers, reads, strict=True)
        for block in (each for each in walk(stmt) if isinstance(each, Block))
    )


def _sums_products(stmt: Stmt) -> bool:
    """Whether the statement is one nest that adds up products."""
    block = _only_block(stmt)
    match block.body if block is not None else None:
        case Store(value=Apply("add", (Load(), Apply("multiply")))):
            return block is not None and block.init is not None
    return False


def _only_block(stmt: Stmt) -> Block | None:
    blocks = [each for each in walk(stmt) if isinstance(each, Block)]
    return blocks[0] if len(blocks) == 1 else None


def _loads(stmt: Stmt) -> list[Load]:
    return [load for each in walk(stmt) for expr in expressions(each) for load in loads_of(expr)]


def _nodes(expr: ScalarExpr) -> int:
    return sum(1 for _ in nodes(expr))


def _size(stmt: Stmt) -> int:
    return sum(_nodes(expr) for each in walk(stmt) for expr in expressions(each))


def _inlined(stmt: Stmt, stage: _Stage) -> Stmt:
    """``stmt`` with every element of the stage's buffer replaced by how it is computed."""

    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        if not isinstance(node, Load) or node.buffer is not stage.buffer:
            return None
        values = {
            name: index
            for name, index in zip(stage.variables, node.indices, strict=True)
            if not isinstance(index, ScalarExpr)
        }
        return rewrite(stage.value, on_dim=lambda dim: substitute(dim, values))

    return rewrite_statement(stmt, on_node)
