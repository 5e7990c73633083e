"""Right operands that are nowhere in memory: what their elements are made of, where packing can evaluate that.

A stage that makes a right operand, and nothing else, disappears if

- the contraction reads each element at most once for each matrix of its batch, so that nothing is computed twice;
- along the columns or along the steps, all that it reads is evenly spaced in memory, so that it runs in vectors;
- it is cheap, where the right operand belongs to a matrix of a batch: threads that share a matrix evaluate it each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field, replace

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Buffer, PrimFunc, Stmt, Store, loop_variable
from relaxdsl.ir.scalar import Index, Load, ScalarExpr, rewrite
from relaxdsl.kernels.accesses import buffers_touched, expression_dims, flat_index, loads_of, nodes, stride
from relaxdsl.kernels.contraction.match import Contraction, digits
from relaxdsl.kernels.contraction.roles import Stage
from relaxdsl.kernels.contraction.tile import COLUMN_GROUP
from relaxdsl.kernels.patterns import bare_name, takes_each_value_once
from relaxdsl.kernels.schedule.decompose import nest_of
from relaxdsl.kernels.simplify import Ranges, simplify_dim
from relaxdsl.kernels.work import is_cheap
from relaxdsl.types.dims import Dim, FloorDiv, SymInt, exact_divide, free_symbols, substitute, terms

#: Expressions of more scalar nodes than these stay stages of their own.
_MAX_NODES = 120
#: No identifiers: variables of what runs fastest, of what does not, and of granules.
_RANKED = ("inner.place", "outer.place", "inner.granule")


@dataclass(frozen=True, eq=False, slots=True)
class Producer:
    """How elements are computed: ``buffer[variables] = value``, from what is in memory.

    Args:
        places: the statements that it stands for.
    """

    buffer: Buffer
    variables: tuple[str, ...]
    value: ScalarExpr
    places: frozenset[int]

    @property
    def reads(self) -> set[Buffer]:
        return {load.buffer for load in loads_of(self.value)}

    def at(self, indices: Sequence[Index]) -> ScalarExpr:
        """The value of the element at these indices, which are dims."""
        values = {
            name: index
            for name, index in zip(self.variables, indices, strict=True)
            if not isinstance(index, ScalarExpr)
        }
        return rewrite(self.value, on_dim=lambda dim: substitute(dim, values))


@dataclass(frozen=True, eq=False, slots=True)
class Order:
    """In what order elements are evaluated.

    Args:
        is_by_steps: whether steps run fastest, and not columns.
        granule: of how many neighbours what runs fastest is made, within which all that is read is evenly spaced.
    """

    is_by_steps: bool
    granule: int = 1


@dataclass(frozen=True, eq=False, slots=True)
class Evaluated:
    """A right operand that is evaluated where it is packed, or used: by what, and in what order."""

    producer: Producer
    order: Order


def evaluated_operands(
    prim_func: PrimFunc, statements: Sequence[Stmt], stages: Sequence[Stage | None]
) -> dict[Buffer, Evaluated]:
    """The right operands of contractions that need not be in memory."""
    return dict(_Finder(prim_func, statements, stages).found())


@dataclass(slots=True)
class _Finder:
    prim_func: PrimFunc
    statements: Sequence[Stmt]
    stages: Sequence[Stage | None]
    _touched: list[tuple[set[Buffer], set[Buffer]]] = field(init=False)

    def __post_init__(self) -> None:
        self._touched = [buffers_touched(stmt) for stmt in self.statements]

    def found(self) -> Iterator[tuple[Buffer, Evaluated]]:
        for place, stage in enumerate(self.stages):
            contraction = None if stage is None else stage.contraction
            if contraction is None or contraction.right.buffer is contraction.left.buffer:
                continue
            producer = self._producer(contraction.right.buffer, frozenset([place]))
            if producer is not None:
                producer = self._with_stages_inlined(producer, place)
                order = _order_for(contraction, producer)
                if order is not None:
                    yield contraction.right.buffer, Evaluated(producer, order)

    def _producer(self, buffer: Buffer, readers: frozenset[int]) -> Producer | None:
        """The stage that makes a buffer for these readers only, if it makes each element by itself."""
        writers = [place for place, (_, written) in enumerate(self._touched) if buffer in written]
        users = {place for place, (read, _) in enumerate(self._touched) if buffer in read}
        if buffer not in self.prim_func.scratch or len(writers) != 1 or not users <= readers:
            return None
        (place,) = writers
        nest = nest_of(self.statements[place])
        if nest is None or nest.reduce or not isinstance(nest.block.body, Store) or place >= min(readers):
            return None
        body, variables = nest.block.body, {axis.var for axis in nest.block.iter_vars}
        found = tuple(name for index in body.indices if (name := bare_name(index)) is not None)
        is_whole = len(found) == len(body.indices) and sorted(found) == sorted(variables)
        is_kept = self._is_kept({load.buffer for load in loads_of(body.value)}, place, max(readers))
        return Producer(buffer, found, body.value, frozenset([place])) if is_whole and is_kept else None

    def _is_kept(self, buffers: set[Buffer], start: int, stop: int) -> bool:
        """Whether nothing writes to what a statement reads until it is evaluated."""
        return not any(buffers & written for _, written in self._touched[start + 1 : stop])

    def _with_stages_inlined(self, producer: Producer, user: int) -> Producer:
        """The producer, with what it reads in place of stages that make that for it alone."""
        for load in loads_of(producer.value):
            other = self._producer(load.buffer, producer.places)
            if other is None or not self._is_kept(other.reads, min(other.places), user):
                continue
            reads = [each for each in loads_of(producer.value) if each.buffer is load.buffer]
            extents = dict(zip(producer.variables, producer.buffer.shape, strict=True))
            is_once = len(reads) == 1 and takes_each_value_once(extents, load)
            made = _inlined(producer, other)
            if made is not None and (is_once or is_cheap(other.value)):
                return self._with_stages_inlined(made, user)
        return producer


def _inlined(producer: Producer, other: Producer) -> Producer | None:
    """The producer with another one's value wherever it reads that; None if it would be too large."""

    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        return other.at(node.indices) if isinstance(node, Load) and node.buffer is other.buffer else None

    reads = [load for load in loads_of(producer.value) if load.buffer is other.buffer]
    if any(isinstance(index, ScalarExpr) for load in reads for index in load.indices):
        return None
    value = rewrite(producer.value, on_node)
    if sum(1 for _ in nodes(value)) > _MAX_NODES:
        return None
    return replace(producer, value=value, places=producer.places | other.places)


# ------------------------------------------------------------------------------------------------------------ the order


def operand_value(contraction: Contraction, producer: Producer, column: Dim, step: Dim) -> ScalarExpr:
    """The right operand's element at a joint column and a joint step, in terms of these and of the batch."""
    values = {
        **digits(contraction.columns, contraction.extents, column),
        **digits(contraction.steps, contraction.extents, step),
    }
    dims = (index for index in contraction.right.indices if not isinstance(index, ScalarExpr))
    return producer.at([substitute(dim, values) for dim in dims])


def _order_for(contraction: Contraction, producer: Producer) -> Order | None:
    """The order in which most is read from neighbour to neighbour; None if evaluating the operand would not pay."""
    right, extents = contraction.right, contraction.extents
    moving = {name: size for name, size in extents.items() if contraction.depends_on(right, (name,))}
    if not takes_each_value_once(moving, right):
        return None
    if contraction.depends_on(right, contraction.batch) and not is_cheap(producer.value):
        return None
    orders = list(_orders(contraction, producer))
    ranks = [_rank(contraction, producer, order) for order in orders]
    found = [(rank, order) for rank, order in zip(ranks, orders, strict=True) if rank is not None]
    return max(found, key=lambda each: each[0])[1] if found else None


def _orders(contraction: Contraction, producer: Producer) -> Iterator[Order]:
    value = producer.at(contraction.right.indices)
    for is_by_steps, names in ((False, contraction.columns), (True, contraction.steps)):
        yield Order(is_by_steps)
        count = contraction.count(names)
        for granule in dict.fromkeys(_divisors(value, names)):
            if exact_divide(count, granule) is not None and (is_by_steps or COLUMN_GROUP % granule == 0):
                yield Order(is_by_steps, granule)


def _divisors(value: ScalarExpr, names: Sequence[str]) -> Iterator[int]:
    """Numbers by which indices with some of these variables are divided."""
    atoms = (atom for dim in expression_dims(value) for _, factors in terms(dim) for atom, _ in factors)
    for atom in atoms:
        match atom:
            case FloorDiv(numerator=dim, denominator=int(by)) if not set(names).isdisjoint(free_symbols(dim)):
                yield by


def _rank(contraction: Contraction, producer: Producer, order: Order) -> tuple[int, int] | None:
    """How many reads go from neighbour to neighbour, then the larger pieces; None if some are unevenly spaced."""
    names = contraction.steps if order.is_by_steps else contraction.columns
    extent = contraction.count(names) if order.granule == 1 else order.granule
    inner, outer, high = (loop_variable(name, size) for name, size in zip(_RANKED, (extent, 1 << 62, 1 << 62)))
    place = inner if order.granule == 1 else high * order.granule + inner
    value = operand_value(contraction, producer, *((outer, place) if order.is_by_steps else (place, outer)))
    spacings = [_spacing(load, inner, {_RANKED[0]: (0, extent - 1)}) for load in loads_of(value)]
    if None in spacings:
        return None
    return sum(1 if each == 1 else 0 if each == 0 else -1 for each in spacings), -order.granule


def _spacing(load: Load, inner: SymInt, ranges: Ranges) -> Dim | None:
    position = flat_index(load.buffer.shape, load.indices)
    return stride(position if isinstance(position, ScalarExpr) else simplify_dim(position, ranges), inner)
