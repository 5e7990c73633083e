"""Several kernels, run one after the other, as one: what fusion makes for the schedule to merge. And the reverse: one
of a kernel's outputs as a kernel of its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
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
    loop_variable,
    map_statements,
    rewrite_statement,
    sequence,
    substitute_buffers,
    walk,
)
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.scalar import Load, ScalarExpr, rewrite
from relaxdsl.kernels.accesses import buffers_touched, dims_in
from relaxdsl.types.dims import Dim, free_symbols, substitute


@dataclass(frozen=True, slots=True)
class KernelUse:
    """A call of a kernel: what identifies each input and output (anything hashable), and its symbols' values."""

    kernel: PrimFunc
    inputs: tuple[Hashable, ...]
    outputs: tuple[Hashable, ...]
    symbols: Mapping[str, Dim]


def combine_kernels(name: str, uses: Sequence[KernelUse]) -> tuple[PrimFunc, tuple[Hashable, ...]]:
    """One kernel in block form that does what the calls do in order; its outputs are those of the last call.

    before::

        add(x, y, t)
        exp(t, out)

    after: one kernel of ``x``, ``y`` and ``out``, with ``t`` as scratch.

    Returns:
        The kernel, and what its inputs are, in order.
    """
    combiner = _Combiner(uses)
    body = sequence(*(combiner.statements(use) for use in uses))
    inputs = tuple(key for use in uses for key in use.inputs if key not in combiner.made)
    keys = tuple(dict.fromkeys(inputs))
    params = tuple(combiner.buffers[key] for key in (*keys, *uses[-1].outputs))
    kernel = PrimFunc(name, params, len(uses[-1].outputs), (), body, tuple(combiner.scratch))
    return replace(kernel, symbols=_sizes_in(kernel)), keys


def single_output(kernel: PrimFunc, place: int) -> PrimFunc:
    """The kernel with one of its outputs only, and nothing that only the others need.

    before::

        for i, j: with block: split0[i, j] = x[i, j]
        for i, j: with block: split1[i, j] = x[i, j + n]

    after, for the second output: one kernel of ``x`` and ``split1``::

        for i, j: with block: split1[i, j] = x[i, j + n]
    """
    output = kernel.outputs[place]
    statements = kernel.body.body if isinstance(kernel.body, Seq) else (kernel.body,)
    needed, kept = {output}, list[Stmt]()
    for stmt in reversed(statements):
        read, written = buffers_touched(stmt)
        if written & needed:
            needed |= read | written
            kept.insert(0, stmt)
    own = {each: replace(each, scope="scratch") for each in kernel.outputs if each in needed and each is not output}
    body = substitute_buffers(sequence(*kept), own, own)
    inputs = (each for each in kernel.inputs if each in needed)
    scratch = (*own.values(), *(each for each in kernel.scratch if each in needed))
    made = replace(kernel, params=(*inputs, output), num_outputs=1, body=body, scratch=scratch)
    return replace(made, symbols=_sizes_in(made))


class _Combiner:
    def __init__(self, uses: Sequence[KernelUse]) -> None:
        self.made = {key for use in uses for key in use.outputs}
        self._visible = set(uses[-1].outputs)
        self._names = UniqueNames(name for use in uses for dim in use.symbols.values() for name in free_symbols(dim))
        self.buffers: dict[Hashable, Buffer] = {}
        self.scratch: list[Buffer] = []

    def statements(self, use: KernelUse) -> Stmt:
        """The kernel's body on the group's buffers, with names of its own."""
        kernel = use.kernel
        buffers: dict[Buffer, Buffer] = {}
        for buffer, key in zip(kernel.params, (*use.inputs, *use.outputs), strict=True):
            buffers[buffer] = self._buffer(buffer, key, use.symbols)
        for buffer in kernel.scratch:
            buffers[buffer] = self._copy(buffer, use.symbols)
            self.scratch.append(buffers[buffer])
        return self._renamed(kernel.body, buffers, use.symbols)

    def _buffer(self, buffer: Buffer, key: Hashable, symbols: Mapping[str, Dim]) -> Buffer:
        if key not in self.buffers:
            copy = self._copy(buffer, symbols)
            is_scratch = key in self.made and key not in self._visible
            self.buffers[key] = replace(copy, scope="scratch" if is_scratch else "global")
            if is_scratch:
                self.scratch.append(self.buffers[key])
        return self.buffers[key]

    def _copy(self, buffer: Buffer, symbols: Mapping[str, Dim]) -> Buffer:
        shape = tuple(substitute(size, symbols) for size in buffer.shape)
        return replace(buffer, name=self._names.fresh(buffer.name), shape=shape)

    def _renamed(self, body: Stmt, buffers: dict[Buffer, Buffer], symbols: Mapping[str, Dim]) -> Stmt:
        new_names = {name: self._names.fresh(name) for name in _variables(body)}
        values = dict(symbols)
        for name, extent in _variables(body).items():
            values[name] = loop_variable(new_names[name], substitute(extent, symbols))

        def on_dim(dim: Dim) -> Dim:
            return substitute(dim, values)

        def moved(buffer: Buffer) -> Buffer:
            if buffer not in buffers:  # a register, which is declared nowhere
                buffers[buffer] = self._copy(buffer, symbols)
            return buffers[buffer]

        def on_node(node: ScalarExpr) -> ScalarExpr | None:
            if not isinstance(node, Load):
                return None
            indices = (rewrite(i, on_node, on_dim) if isinstance(i, ScalarExpr) else on_dim(i) for i in node.indices)
            return Load(moved(node.buffer), tuple(indices))

        def on_store(store: Store) -> Store:
            return replace(store, buffer=moved(store.buffer))

        return _with_variables(rewrite_statement(body, on_node, on_dim, on_store), new_names)


def _variables(body: Stmt) -> dict[str, Dim]:
    """The names of loops and of blocks' axes, with their extents."""
    found: dict[str, Dim] = {}
    for stmt in walk(body):
        if isinstance(stmt, For):
            found[stmt.var] = stmt.extent
        elif isinstance(stmt, Block):
            found |= {axis.var: axis.extent for axis in stmt.iter_vars}
    return found


def _with_variables(stmt: Stmt, names: Mapping[str, str]) -> Stmt:
    """``stmt`` with loops and axes renamed where they are defined."""
    stmt = map_statements(stmt, lambda inner: _with_variables(inner, names))
    if isinstance(stmt, For):
        return replace(stmt, var=names[stmt.var])
    if isinstance(stmt, Block):
        return replace(stmt, iter_vars=tuple(replace(axis, var=names[axis.var]) for axis in stmt.iter_vars))
    return stmt


def _sizes_in(kernel: PrimFunc) -> tuple[str, ...]:
    """Every size the kernel mentions, by first appearance."""
    own = set(_variables(kernel.body))
    shapes = (size for buffer in kernel.params for size in buffer.shape)
    names = (name for dim in (*shapes, *dims_in(kernel.body)) for name in free_symbols(dim))
    return tuple(name for name in dict.fromkeys(names) if name not in own)
