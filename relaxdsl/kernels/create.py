"""TE to loops: ``create_prim_func`` turns a graph of computes into one kernel in block form.

Names are made unique here and nowhere else: parameters and sizes keep theirs, axes become identifiers distinct
from all.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Sequence
from dataclasses import field, replace

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import KernelError
from relaxdsl.ir.loops import Block, Buffer, For, IterVar, PrimFunc, Stmt, Store, loop_variable, sequence
from relaxdsl.ir.scalar import IndexValue, Load, Reduce, ScalarExpr, ScalarVar, children, rewrite
from relaxdsl.ir.te import Compute, Tensor
from relaxdsl.types.dims import Dim, SymInt, free_symbols, substitute


def create_prim_func(inputs: Sequence[Tensor], outputs: Sequence[Tensor], name: str = "kernel") -> PrimFunc:
    """The kernel that computes ``outputs`` from ``inputs``, one loop nest with one block per stage.

    Stages stand in dependency order, intermediates are scratch buffers. ``symbols`` are all sizes, by first appearance.

    Raises:
        KernelError: an output depends on a placeholder that is not among the inputs, or an input is given twice.
    """
    kernel, _ = create_with_stages(inputs, outputs, name)
    return kernel


def create_with_stages(
    inputs: Sequence[Tensor], outputs: Sequence[Tensor], name: str
) -> tuple[PrimFunc, dict[Block, Compute]]:
    """The same kernel, and the stage of each block; copies of inputs are none."""
    builder = _Builder(name, tuple(inputs), tuple(outputs))
    return builder.build(), builder.stages


@dataclass(slots=True)
class _Builder:
    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    names: UniqueNames = field(default_factory=lambda: UniqueNames())
    #: The kernel's buffer of each TE buffer.
    buffers: dict[Buffer, Buffer] = field(default_factory=dict)
    scratch: list[Buffer] = field(default_factory=list)
    stages: dict[Block, Compute] = field(default_factory=dict)

    def build(self) -> PrimFunc:
        stages = _stages_in_order(self.name, self.inputs, self.outputs)
        for symbol in _size_symbols(self.inputs, self.outputs, stages):
            self.names.reserve(symbol)
        params = self._make_params()
        body = [self._nest(stage) for stage in stages] + self._copies(params)
        scratch = tuple(self.scratch)
        symbols = _size_symbols(self.inputs, self.outputs, stages)
        return PrimFunc(self.name, params, len(self.outputs), symbols, sequence(*body), scratch)

    def _make_params(self) -> tuple[Buffer, ...]:
        params = []
        for tensor in (*self.inputs, *self.outputs):
            buffer = replace(tensor.buffer, name=self.names.unique(tensor.name), scope="global")
            self.buffers.setdefault(tensor.buffer, buffer)
            params.append(buffer)
        return tuple(params)

    def _copies(self, params: tuple[Buffer, ...]) -> list[Stmt]:
        """Outputs whose value is another parameter's: an input that is returned, or an output returned twice."""
        outputs = zip(self.outputs, params[len(self.inputs) :], strict=True)
        return [
            self._copy(self.buffers[each.buffer], own) for each, own in outputs if self.buffers[each.buffer] is not own
        ]

    def _copy(self, source: Buffer, target: Buffer) -> Stmt:
        axes = tuple((self.names.unique(f"i{d}"), extent) for d, extent in enumerate(target.shape))
        indices = tuple(_iter_variable(*axis) for axis in axes)
        nest, _ = _nest_of(f"{target.name}_copy", axes, (), Store(target, indices, Load(source, indices)), None)
        return nest

    def _nest(self, stage: Compute) -> Stmt:
        """The loops and the block of one stage."""
        first = stage.bodies[0]
        renamed = {old: self.names.unique(hint_of(old)) for old, _ in stage.all_axes}
        all_axes = tuple((renamed[axis], extent) for axis, extent in stage.all_axes)
        axes, reduces = all_axes[: len(stage.axes)], all_axes[len(stage.axes) :]
        values = {
            old: _iter_variable(new, extent)
            for (old, new), (_, extent) in zip(renamed.items(), all_axes, strict=True)
        }
        indices = tuple(_iter_variable(*axis) for axis in axes)
        if isinstance(first, Reduce):
            init, body = self._reduction(stage, first, indices, values)
        else:
            init, body = None, sequence(*self._stores(stage, indices, values))
        nest, block = _nest_of(self._buffer(stage.buffers[0]).name, axes, reduces, body, init)
        self.stages[block] = stage
        return nest

    def _stores(self, stage: Compute, indices: tuple[Dim, ...], values: dict[str, SymInt]) -> Iterator[Stmt]:
        for buffer, body in zip(stage.buffers, stage.bodies, strict=True):
            yield Store(self._buffer(buffer), indices, self._translate(body, values))

    def _reduction(
        self, stage: Compute, reduce: Reduce, indices: tuple[Dim, ...], values: dict[str, SymInt]
    ) -> tuple[Stmt, Stmt]:
        """``(init, update)`` of a reduction."""
        accumulators = self._accumulators(stage, reduce)
        combiner = reduce.combiner
        init = sequence(*(Store(b, indices, value) for b, value in zip(accumulators, combiner.identities, strict=True)))
        sources = [self._translate(source, values) for source in reduce.sources]
        if len(sources) == 1:
            operands: dict[ScalarExpr, ScalarExpr] = {
                combiner.left[0]: Load(accumulators[0], indices),
                combiner.right[0]: sources[0],
            }
            return init, Store(accumulators[0], indices, _bind(combiner.results[0], operands))
        return init, self._tuple_update(reduce, accumulators, indices, sources)

    def _tuple_update(
        self, reduce: Reduce, accumulators: list[Buffer], indices: tuple[Dim, ...], sources: list[ScalarExpr]
    ) -> Stmt:
        """All components are combined before one is stored, since each may depend on the old value of every other."""
        given = [Buffer(self.names.unique(f"{b.name}_next"), (), b.dtype, "register") for b in accumulators]
        combined = [Buffer(self.names.unique(f"{b.name}_new"), (), b.dtype, "register") for b in accumulators]
        operands: dict[ScalarExpr, ScalarExpr] = {}
        for left, right, accumulator, value in zip(
            reduce.combiner.left, reduce.combiner.right, accumulators, given, strict=True
        ):
            operands[left] = Load(accumulator, indices)
            operands[right] = Load(value, ())
        return sequence(
            *(Store(b, (), source) for b, source in zip(given, sources, strict=True)),
            *(
                Store(b, (), _bind(result, operands))
                for b, result in zip(combined, reduce.combiner.results, strict=True)
            ),
            *(Store(b, indices, Load(new, ())) for b, new in zip(accumulators, combined, strict=True)),
        )

    def _accumulators(self, stage: Compute, reduce: Reduce) -> list[Buffer]:
        """One buffer per component of the reduction; a component that is no output gets scratch."""
        outputs = {
            body.index: buffer
            for body, buffer in zip(stage.bodies, stage.buffers, strict=True)
            if isinstance(body, Reduce)
        }
        shape = stage.buffers[0].shape
        components = enumerate(reduce.combiner.results)
        hidden = Buffer(f"{stage.name}_state", shape, "")
        return [self._buffer(outputs.get(i, replace(hidden, dtype=each.dtype))) for i, each in components]

    def _buffer(self, buffer: Buffer) -> Buffer:
        """The kernel's buffer for a TE buffer; made as scratch where it is no parameter."""
        if buffer not in self.buffers:
            self.buffers[buffer] = replace(buffer, name=self.names.unique(buffer.name), scope="scratch")
            self.scratch.append(self.buffers[buffer])
        return self.buffers[buffer]

    def _translate(self, body: ScalarExpr, values: dict[str, SymInt]) -> ScalarExpr:
        """``body`` over the kernel's buffers and axes."""

        def on_dim(dim: Dim) -> Dim:
            return substitute(dim, values)

        def on_node(node: ScalarExpr) -> ScalarExpr | None:
            if not isinstance(node, Load):
                return None
            indices = (rewrite(i, on_node, on_dim) if isinstance(i, ScalarExpr) else on_dim(i) for i in node.indices)
            return Load(self._buffer(node.buffer), tuple(indices))

        return rewrite(body, on_node, on_dim)


def _bind(result: ScalarExpr, operands: dict[ScalarExpr, ScalarExpr]) -> ScalarExpr:
    return rewrite(result, lambda node: operands.get(node) if isinstance(node, ScalarVar) else None)


def _iter_variable(name: str, extent: Dim) -> SymInt:
    """The symbol of a block's iteration variable on the loop ``name``."""
    return loop_variable(f"v_{name}", extent)


def _nest_of(
    name: str,
    axes: tuple[tuple[str, Dim], ...],
    reduces: tuple[tuple[str, Dim], ...],
    body: Stmt,
    init: Stmt | None,
) -> tuple[Stmt, Block]:
    """The loops, and the block in them."""
    spatial = tuple(IterVar(f"v_{var}", extent, "spatial", loop_variable(var, extent)) for var, extent in axes)
    reduce = tuple(IterVar(f"v_{var}", extent, "reduce", loop_variable(var, extent)) for var, extent in reduces)
    made = Block(name, (*spatial, *reduce), body, init)
    nest: Stmt = made
    for var, extent in reversed((*axes, *reduces)):
        nest = For(var, extent, nest)
    return nest, made


# ---------------------------------------------------------------------------- order


def _stages_in_order(name: str, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> list[Compute]:
    given = [tensor.buffer for tensor in inputs]
    if len(set(given)) != len(given):
        raise KernelError(f"{name}: a tensor is among the inputs twice")
    order: dict[Compute, None] = {}
    for tensor in outputs:
        _visit_tensor(name, tensor, set(given), order)
    return list(order)


def _visit_tensor(name: str, tensor: Tensor, given: set[Buffer], order: dict[Compute, None]) -> None:
    """Appends the stages that ``tensor`` needs to ``order``."""
    if tensor.buffer in given or tensor.operation in order:
        return
    if tensor.operation is None:
        raise KernelError(f"{name}: the placeholder {tensor.name} is not among the inputs", hint="add it to the inputs")
    for source in tensor.operation.inputs:
        _visit_tensor(name, source, given, order)
    order[tensor.operation] = None


def _size_symbols(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], stages: list[Compute]) -> tuple[str, ...]:
    """Every size the kernel mentions, by first appearance."""
    shapes = [size for tensor in (*inputs, *outputs) for size in tensor.shape]
    inside = [dim for stage in stages for dim in _stage_dims(stage)]
    names = (symbol for dim in (*shapes, *inside) for symbol in free_symbols(dim))
    return tuple(dict.fromkeys(symbol for symbol in names if "." not in symbol))


def _stage_dims(stage: Compute) -> Iterator[Dim]:
    yield from (extent for _, extent in stage.axes)
    for body in stage.bodies:
        yield from _dims_of(body)


def _dims_of(expr: ScalarExpr) -> Iterator[Dim]:
    match expr:
        case IndexValue(dim):
            yield dim
        case Load(_, indices):
            yield from (index for index in indices if not isinstance(index, ScalarExpr))
        case Reduce(axes=axes):
            yield from (axis.extent for axis in axes)
    for child in children(expr):
        yield from _dims_of(child)


# ---------------------------------------------------------------------------- names


def hint_of(axis: str) -> str:
    """What the user calls an axis of a stage."""
    return axis.partition(".")[0]


@dataclass(slots=True)
class UniqueNames:
    """Gives out identifiers, each once."""

    taken: set[str] = field(default_factory=set)

    def reserve(self, name: str) -> None:
        self.taken.add(name)

    def unique(self, hint: str) -> str:
        """``hint`` as an identifier that nothing else has: ``x``, ``x_1``, ``x_2``, ..."""
        base = "".join(c if c.isalnum() or c == "_" else "_" for c in hint) or "x"
        base = f"_{base}" if base[0].isdigit() or keyword.iskeyword(base) else base
        name, number = base, 0
        while name in self.taken or f"v_{name}" in self.taken:
            number += 1
            name = f"{base}_{number}"
        self.taken.add(name)
        return name
