"""Giving out slots, and computing sizes in them: what a program's builder needs below the level of instructions.

::

    slots = SlotAllocator()
    arguments = [slots.tree(name, kind) for name, kind in params]      # the fixed layout: arguments first,
    output = slots.tree("out", result_type)                            # then the output
    prologue: list[Instruction] = []
    dims = DimCompiler(slots, prologue)
    bind_sizes(plan_binding(params), arguments, dims, "f", spans)      # see relaxdsl.runtime.binding
    dims.assign(m * 224, output.sizes[0])
    body: list[Instruction] = []
    late_dims = DimCompiler(slots, body, earlier=dims)                 # for symbols that only the body binds
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from relaxdsl.errors import InternalError, ShapeError, Span
from relaxdsl.runtime.program import (
    Arith,
    Instruction,
    IntLeaf,
    ObjectLeaf,
    ShapeLeaf,
    Slot,
    TensorLeaf,
    Tree,
    TupleTree,
)
from relaxdsl.types.atoms import Atom, FloorDiv, Max, Min, Symbol
from relaxdsl.types.dims import Dim, free_symbols, terms
from relaxdsl.types.divisors import may_divide_by_zero
from relaxdsl.types.polynomial import Term
from relaxdsl.types.symint import from_atom, from_polynomial
from relaxdsl.types.types import UNKNOWN_NDIM, AnyType, PrimType, ShapeType, TensorType, TupleType, Type

Monomial = tuple[tuple[Atom, int], ...]


MAX_NAME = 80
"""The value of a slot with a longer text is not its name."""


def _short(dim: Dim) -> str | None:
    """A name for the dim's slot, unless it is too long to be read."""
    return str(dim) if len(str(dim)) <= MAX_NAME else None


class SlotAllocator:
    """The slots of a program under construction. The first two are the workspace's."""

    def __init__(self) -> None:
        self._slots = [Slot("workspace"), Slot("workspace_bytes")]
        self._constants: dict[int, int] = {}
        self.origins: dict[str, str] = {}
        """Where each symbol was bound, as messages say it."""
        self.span: Span | None = None
        """The user's line that sizes are computed for at this time."""
        self.object_count = 0
        """How many places of the frame's object list are taken."""

    def add(self, name: str, initial: int = 0) -> int:
        """A new slot."""
        self._slots.append(Slot(name, initial))
        return len(self._slots) - 1

    def constant(self, value: int) -> int:
        """The slot that holds ``value``. Raises ShapeError if it does not fit 64 bits."""
        if not -(2**63) <= value < 2**63:
            raise ShapeError(f"a size here comes to {value}, which does not fit 64 bits", span=self.span)
        if value not in self._constants:
            self._constants[value] = self.add(str(value), value)
        return self._constants[value]

    def rename(self, slot: int, name: str) -> None:
        """Gives a slot the name that the listing shows."""
        self._slots[slot] = Slot(name, self._slots[slot].initial)

    def name_of(self, slot: int) -> str:
        return self._slots[slot].name

    def slots(self) -> tuple[Slot, ...]:
        """All slots so far."""
        return tuple(self._slots)

    def tree(self, name: str, kind: Type) -> Tree:
        """New slots for a value of the type: for an argument, the output, a temporary or a host call's result."""
        match kind:
            case TensorType(dtype=str(dtype), ndim=ndim) if ndim != UNKNOWN_NDIM:
                return TensorLeaf(name, dtype, self.add(name), self._sizes(name, ndim))
            case PrimType(dtype=dtype) if not dtype.startswith("float"):
                return IntLeaf(name, self.add(name))
            case ShapeType(ndim=ndim) if ndim != UNKNOWN_NDIM:
                return ShapeLeaf(name, self._sizes(name, ndim))
            case TupleType(fields=fields):
                return TupleTree(tuple(self.tree(f"{name}[{place}]", field) for place, field in enumerate(fields)))
            case AnyType():
                self.object_count += 1
                return ObjectLeaf(name, self.object_count - 1)
        raise InternalError(f"{name}: a value of type {kind} has no slots")

    def _sizes(self, name: str, ndim: int) -> tuple[int, ...]:
        return tuple(self.add(f"{name}.shape[{axis}]") for axis in range(ndim))


class DimCompiler:
    """Emits the arithmetic that computes dims; what was computed before is used again.

    Args:
        slots: where new slots come from.
        steps: where instructions go.
        earlier: the compiler of a part that runs before; a dim that it can compute is computed there.
    """

    def __init__(self, slots: SlotAllocator, steps: list[Instruction], earlier: DimCompiler | None = None) -> None:
        self.slots = slots
        self.steps = steps
        self._earlier = earlier
        self._symbols: dict[str, int] = {}
        self._products: dict[Monomial, int] = {}
        self._dims: dict[Dim, int] = {}
        self._depth = 0
        """How many branches the code is in."""

    def bind(self, name: str, slot: int) -> None:
        """The symbol's value is in ``slot`` from here on."""
        self._symbols[name] = slot

    def symbols(self) -> dict[str, int]:
        """The slots of all symbols that are bound here or earlier."""
        return {**(self._earlier.symbols() if self._earlier else {}), **self._symbols}

    @contextmanager
    def branch(self) -> Iterator[None]:
        """Code that may not run: what is computed or bound inside is forgotten after."""
        saved = dict(self._symbols), dict(self._products), dict(self._dims)
        self._depth += 1
        yield
        self._depth -= 1
        self._symbols, self._products, self._dims = saved

    def slot_of(self, dim: Dim) -> int:
        """The slot that holds the dim's value; emits what computes it."""
        if isinstance(dim, int):
            return self.slots.constant(dim)
        if self._earlier is not None and self._is_early(dim):
            return self._earlier.slot_of(dim)
        if dim not in self._dims:
            self._dims[dim] = self._sum(dim)
        return self._dims[dim]

    def _is_early(self, dim: Dim) -> bool:
        """Whether the dim is computed before: if it can be, and cannot fail for the sake of a branch not taken."""
        can_compute = self._earlier is not None and self._earlier.can_compute(dim)
        return can_compute and not (self._depth and may_divide_by_zero(dim))

    def assign(self, dim: Dim, target: int) -> None:
        """Computes the dim into a given slot, such as an output's size."""
        self.steps.append(Arith("add", target, self.slot_of(dim), self.slots.constant(0), self.slots.span))

    def can_compute(self, dim: Dim) -> bool:
        """Whether all symbols of the dim are bound."""
        known = self.symbols()
        return all(name in known for name in free_symbols(dim))

    def emit(self, op: str, left: int, right: int, name: str | None = None) -> int:
        """A new slot with ``left op right``."""
        target = self.slots.add(name or f"%{len(self.slots.slots())}")
        self.steps.append(Arith(op, target, left, right, self.slots.span))
        return target

    # ----------------------------------------------------------------------------------------------------- normal form

    def _sum(self, dim: Dim) -> int:
        """A dim as the sum of its terms; terms with a minus are subtracted, so one without comes first.

        A sum that was computed before is taken as it is: offsets grow by a piece from one to the next.
        """
        extremum = self._extremum_of_known(dim)
        if extremum is not None:
            return extremum
        known, rest = self._known_part(dim)
        ordered = sorted(rest, key=lambda term: term[0] < 0)
        if known is None:
            first, *ordered = ordered
            known = self._term(*first)
        total, left = known, list(ordered)
        for coefficient, monomial in ordered:
            op = "sub" if coefficient < 0 else "add"
            total = self.emit(op, total, self._term(abs(coefficient), monomial))
            left.remove((coefficient, monomial))
            self._dims.setdefault(dim - from_polynomial({each: c for c, each in left}), total)
        return self._named(total, dim) if ordered else total

    def _extremum_of_known(self, dim: Dim) -> int | None:
        """``s + c * max(a, b)`` as ``max(s + c * a, s + c * b)``, if a part of one of these was computed before."""
        for coefficient, monomial in terms(dim):
            (atom, power) = monomial[0] if len(monomial) == 1 else (None, 0)
            if isinstance(atom, Min | Max) and power == 1 and coefficient > 0:
                rest = dim - from_polynomial({monomial: coefficient})
                wholes = [rest + coefficient * arg for arg in atom.args]
                if any(whole in self._dims or self._known_part(whole)[0] is not None for whole in wholes):
                    first, *others = (self.slot_of(whole) for whole in wholes)
                    for slot in others:
                        first = self.emit(atom.function, first, slot)
                    return self._named(first, dim)
        return None

    def _known_part(self, dim: Dim) -> tuple[int | None, tuple[Term, ...]]:
        """The slot of the largest sum computed before that is a part of this one, and the other terms."""
        own = terms(dim)
        best: tuple[int | None, tuple[Term, ...]] = None, own
        for known, slot in self._dims.items() if len(own) > 2 else ():
            parts = set(terms(known))
            if len(parts) > 1 and parts <= set(own) and len(own) - len(parts) < len(best[1]):
                best = slot, tuple(term for term in own if term not in parts)
        return best

    def _term(self, coefficient: int, monomial: Monomial) -> int:
        if not monomial:
            return self.slots.constant(coefficient)
        whole = from_polynomial({monomial: coefficient})
        if whole not in self._dims:
            aligned = self._aligned(coefficient, monomial)
            self._dims[whole] = self._scaled(coefficient, monomial) if aligned is None else aligned
        return self._dims[whole]

    def _scaled(self, coefficient: int, monomial: Monomial) -> int:
        product = self._product(monomial)
        name = _short(from_polynomial({monomial: coefficient}))
        return product if coefficient == 1 else self.emit("mul", self.slots.constant(coefficient), product, name)

    def _aligned(self, coefficient: int, monomial: Monomial) -> int | None:
        """``64 * ((x + 63) // 64)`` in one or two instructions; None for anything else."""
        (atom, power), *others = monomial
        if others or power != 1 or not isinstance(atom, FloorDiv) or not isinstance(atom.denominator, int):
            return None
        step = atom.denominator
        if step < 2 or step & (step - 1) or coefficient % step:
            return None
        whole = from_polynomial({monomial: step})
        if whole not in self._dims:
            length = self.slot_of(atom.numerator - (step - 1))
            self._dims[whole] = self.emit("align", length, self.slots.constant(step), _short(whole))
        factor, name = coefficient // step, _short(from_polynomial({monomial: coefficient}))
        aligned = self._dims[whole]
        return aligned if factor == 1 else self.emit("mul", self.slots.constant(factor), aligned, name)

    def _product(self, monomial: Monomial) -> int:
        """The product of atoms, from left to right; its beginnings are shared."""
        if monomial not in self._products:
            *before, (atom, power) = monomial
            head = (*before, (atom, power - 1)) if power > 1 else tuple(before)
            name = _short(from_polynomial({monomial: 1}))
            if head:
                slot = self.emit("mul", self._product(head), self._product(((atom, 1),)), name)
            else:
                slot = self._atom(atom, name)
            self._products[monomial] = slot
        return self._products[monomial]

    def _atom(self, atom: Atom, name: str | None) -> int:
        match atom:
            case Symbol():
                return self._symbol(atom.name)
            case FloorDiv(numerator=numerator, denominator=denominator):
                return self.emit("floordiv", self.slot_of(numerator), self.slot_of(denominator), name)
            case Min() | Max():
                first, *rest = (self.slot_of(arg) for arg in atom.args)
                for slot in rest:
                    first = self.emit(atom.function, first, slot)
                return self._named(first, from_atom(atom))

    def _named(self, slot: int, dim: Dim) -> int:
        """The slot, which shows what was computed in it."""
        name = _short(dim)
        if name is not None:
            self.slots.rename(slot, name)
        return slot

    def _symbol(self, name: str) -> int:
        slot = self.symbols().get(name)
        if slot is None:
            raise InternalError(f"symbol {name} is used before it is bound")
        return slot
