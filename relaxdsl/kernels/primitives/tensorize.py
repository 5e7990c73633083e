"""Tensorize: loops that do what an intrinsic is described to do are replaced by how it does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import Any, ClassVar

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ScheduleError, nearest
from relaxdsl.ir.loops import (
    Block,
    Buffer,
    CallExtern,
    For,
    PrimFunc,
    Seq,
    Stmt,
    Store,
    loop_variable,
    map_statements,
    move_accesses,
    substitute_variables,
)
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.scalar import Apply, Cast, Const, Index, IndexValue, Load, ScalarExpr, Select
from relaxdsl.ir.visit_loops import used_buffers
from relaxdsl.kernels.primitives.lowering import lower_blocks
from relaxdsl.kernels.primitives.tree import loop_path, refuse, renamed, replaced
from relaxdsl.tracebacks import short_tracebacks_of_methods
from relaxdsl.types.dims import Dim, free_symbols, substitute
from relaxdsl.types.types import tensor_type


@short_tracebacks_of_methods()
@dataclass(frozen=True, slots=True)
class TensorIntrin:
    """What a piece of code computes, as loops around one block, and a faster way to compute it.

    Args:
        description: a kernel of loops around one block without init.
        implementation: a kernel of the same parameters.
    """

    name: str
    description: PrimFunc
    implementation: PrimFunc
    _known: ClassVar[dict[str, TensorIntrin]] = {}

    @classmethod
    def register(cls, name: str, description: Any, implementation: Any) -> TensorIntrin:
        """The intrinsic, which :meth:`.Schedule.tensorize` finds by its name from now on.

        Args:
            description: a PrimFunc, or what ``@relax.prim_func`` makes; so is ``implementation``.

        Raises:
            ScheduleError: the parameters differ; the description is not loops around one block without init; the name
                is taken.
        """
        made = cls(name, getattr(description, "ir", description), getattr(implementation, "ir", implementation))
        if name in cls._known:
            raise ScheduleError(f"TensorIntrin.register: there is an intrinsic {name} already")
        both = (made.description, made.implementation)
        types = [[tensor_type(each.shape, each.dtype) for each in func.params] for func in both]
        if types[0] != types[1]:
            shown = [", ".join(map(str, each)) for each in types]
            raise ScheduleError(
                f"TensorIntrin.register: {name}: description and implementation differ in parameters",
                details=[f"the description has    {shown[0]}", f"the implementation has {shown[1]}"],
            )
        nest = _nest(made.description.body)
        if nest is None or nest[1].init is not None:
            raise ScheduleError(
                f"TensorIntrin.register: {name}: the description is not loops around one block without init"
            )
        cls._known[name] = made
        return made

    @classmethod
    def get(cls, name: str) -> TensorIntrin:
        """The intrinsic that was registered under a name.

        Raises:
            ScheduleError: there is none.
        """
        if name not in cls._known:
            raise ScheduleError(
                f"tensorize: there is no intrinsic {name}",
                details=[f"there are {', '.join(cls._known)}"] if cls._known else ["none is registered"],
                hint=cls._instead_of(name),
            )
        return cls._known[name]

    @classmethod
    def _instead_of(cls, name: str) -> str:
        close = nearest(name, cls._known)
        register = f'relax.TensorIntrin.register("{name}", description, implementation) makes one'
        return f"did you mean {close}?" if close else register


def tensorize(func: PrimFunc, names: UniqueNames, loop: str, intrinsic: str) -> PrimFunc:
    """The kernel with loops replaced by an intrinsic; see :meth:`.Schedule.tensorize`."""
    found = TensorIntrin.get(intrinsic)
    _, place = loop_path(func, loop, "tensorize")
    nest, wanted = _nest(place), _nest(found.description.body)
    assert wanted is not None
    if nest is None:
        refuse(
            func, f"tensorize: {loop} is not loops around one block only", loop, hint="split so that tiles are whole"
        )
    origins = {axis.var: names.fresh(f"{axis.var}_o") for axis in nest[1].iter_vars}
    match = _Match(found, nest[0], nest[1], origins)
    reason = match.compare(*wanted)
    if reason is not None:
        refuse(func, f"tensorize: the loops are not {intrinsic}: {reason}", loop, nest[1].name)
    body, scratch = match.implementation(names)
    axes = tuple(replace(axis, var=origins[axis.var], binding=match.outer(axis.binding)) for axis in nest[1].iter_vars)
    func = replaced(func, place, Block(nest[1].name, axes, body))
    return replace(func, scratch=(*func.scratch, *scratch))


def _nest(stmt: Stmt) -> tuple[list[For], Block] | None:
    """Loops and the one block that they are around, if that is all."""
    loops: list[For] = []
    while isinstance(stmt, For) and stmt.start == 0:
        loops.append(stmt)
        stmt = stmt.body
    return (loops, stmt) if isinstance(stmt, Block) else None


@dataclass(slots=True)
class _Match:
    """A nest compared with a description: which parts of the kernel's buffers those of the description are."""

    intrinsic: TensorIntrin
    loops: list[For]
    block: Block
    #: The axis of the new block for each axis of the old one, which stands at the beginning of the tile.
    origins: Mapping[str, str]
    #: Of each parameter of the description: the buffer it is part of, and where it begins there.
    places: dict[Buffer, tuple[Buffer, tuple[Dim, ...]]] = field(default_factory=dict)

    def outer(self, dim: Dim) -> Dim:
        """``dim`` in the first iteration of the tile's loops."""
        return substitute(dim, {loop.var: 0 for loop in self.loops})

    # ---- comparing

    def compare(self, loops: list[For], block: Block) -> str | None:
        """Why the nest is not that of the description; None if it is."""
        if self.block.init is not None:
            return f"block {self.block.name} has an init, which decompose_reduction takes out"
        own, theirs = ([str(loop.extent) for loop in each] for each in (self.loops, loops))
        if own != theirs:
            return f"the loops run {', '.join(own)} times, those of the description {', '.join(theirs)}"
        variables = {old.var: loop_variable(new.var, new.extent) for old, new in zip(loops, self.loops, strict=True)}
        described = substitute_variables(block.body, {axis.var: axis.binding for axis in block.iter_vars})
        return self._stmt(self.block.body, substitute_variables(described, variables)) or self._shared()

    def _shared(self) -> str | None:
        """Whether a buffer that is written is another one of the description, too: as if both were apart."""
        for output in self.intrinsic.description.outputs:
            own, _ = self.places.get(output, (None, ()))
            other = next((each for each in self.places if each is not output and self.places[each][0] is own), None)
            if own is not None and other is not None:
                return f"{own.name} is both {other.name} and {output.name} of the description"
        return None

    def _stmt(self, own: Stmt, described: Stmt) -> str | None:
        match own, described:
            case Store(), Store():
                return self._element(own, described) or self._expr(own.value, described.value)
            case Seq(body), Seq(other) if len(body) == len(other):
                return _first(self._stmt(a, b) for a, b in zip(body, other, strict=True))
        return "the statements of the block differ"

    def _expr(self, own: ScalarExpr, described: ScalarExpr) -> str | None:
        match own, described:
            case Load(), Load():
                return self._element(own, described)
            case Const(), Const() if own.value == described.value and own.dtype == described.dtype:
                return None
            case IndexValue(), IndexValue() if self._bound(own.dim) == described.dim and own.dtype == described.dtype:
                return None
            case Apply(), Apply() if own.function == described.function and len(own.args) == len(described.args):
                return _first(self._expr(a, b) for a, b in zip(own.args, described.args, strict=True))
            case Cast(), Cast() if own.dtype == described.dtype:
                return self._expr(own.value, described.value)
            case Select(), Select():
                parts = ((own.condition, described.condition), (own.then_value, described.then_value))
                return _first(self._expr(a, b) for a, b in (*parts, (own.else_value, described.else_value)))
        return "the values that the blocks compute differ"

    def _bound(self, dim: Dim) -> Dim:
        return substitute(dim, {axis.var: axis.binding for axis in self.block.iter_vars})

    def _element(self, own: Load | Store, described: Load | Store) -> str | None:
        """Whether the elements lie at the same place of a part of the buffer, which begins where the tile begins."""
        if own.buffer.dtype != described.buffer.dtype:
            return f"{own.buffer.name} is {own.buffer.dtype}, not {described.buffer.dtype}"
        begin = self._begin(own.indices, described.indices)
        known = self.places.setdefault(described.buffer, (own.buffer, begin or ()))
        if begin is None or known != (own.buffer, begin):
            return f"{own.buffer.name} is not used as {described.buffer.name} is in the description"
        return None

    def _begin(self, own: tuple[Index, ...], described: tuple[Index, ...]) -> tuple[Dim, ...] | None:
        """Where the described part begins, in terms of the new block's axes; None if it moves with the tile's loops."""
        described = (*(0 for _ in range(len(own) - len(described))), *described)
        if len(described) != len(own) or any(isinstance(each, ScalarExpr) for each in (*own, *described)):
            return None
        variables = {loop.var for loop in self.loops}
        begin: list[Dim] = []
        for index, part in zip(own, described, strict=True):
            assert not isinstance(index, ScalarExpr)
            assert not isinstance(part, ScalarExpr)
            if variables & set(free_symbols(self._bound(index) - part)):
                return None
            begin.append(substitute(index, self._at_origin()) - self.outer(part))
        return tuple(begin)

    def _at_origin(self) -> Mapping[str, Dim]:
        return {axis.var: loop_variable(self.origins[axis.var], axis.extent) for axis in self.block.iter_vars}

    # ---- replacing

    def implementation(self, names: UniqueNames) -> tuple[Stmt, tuple[Buffer, ...]]:
        """The body of the implementation on the kernel's buffers, and the scratch it needs."""
        lowered = lower_blocks(self.intrinsic.implementation)
        described = self.intrinsic.description.params
        places = {
            new: self.places[old] for new, old in zip(lowered.params, described, strict=True) if old in self.places
        }
        for buffer in used_buffers(lowered.body):
            if buffer not in places:
                places[buffer] = (replace(buffer, name=names.fresh(buffer.name)), tuple(0 for _ in buffer.shape))
        scratch = tuple(places[each][0] for each in lowered.scratch if each in places)
        return _on_buffers(renamed(lowered.body, names), places), scratch


def _first(reasons: Iterator[str | None]) -> str | None:
    return next((each for each in reasons if each is not None), None)


def _on_buffers(stmt: Stmt, places: Mapping[Buffer, tuple[Buffer, tuple[Dim, ...]]]) -> Stmt:
    """``stmt`` with every buffer replaced by the part of another that begins at a place."""

    def placed(buffer: Buffer, indices: tuple[Index, ...]) -> tuple[Buffer, tuple[Index, ...]]:
        new, begin = places[buffer]
        lead = len(begin) - len(indices)
        moved = (_moved(index, start) for index, start in zip(indices, begin[lead:], strict=True))
        return new, (*begin[:lead], *moved)

    def on_call(inner: Stmt) -> Stmt:
        if not isinstance(inner, CallExtern):
            return map_statements(inner, on_call)
        arguments = (_whole(places[each], each) if isinstance(each, Buffer) else each for each in inner.arguments)
        return replace(inner, arguments=tuple(arguments), written=tuple(places[each][0] for each in inner.written))

    return on_call(move_accesses(stmt, places, placed))


def _moved(index: Index, start: Dim) -> Index:
    if not isinstance(index, ScalarExpr):
        return start + index
    return index if start == 0 else Apply("add", (IndexValue(start), index), "int64")


def _whole(place: tuple[Buffer, tuple[Dim, ...]], described: Buffer) -> Buffer:
    """A buffer whose address is passed on, which must be all of the described one."""
    buffer, begin = place
    if buffer.shape != described.shape or any(start != 0 for start in begin):
        raise ScheduleError(
            f"tensorize: {described.name} is passed to a function by its address, {buffer.name} is larger"
        )
    return buffer
