"""The registry: one definition per operator, from which its public function, type rule, method, overload, reference
and tests follow.

A definition is a function in TE style, its *body*, under the ``@operator`` decorator::

    @operator("outer", reference=np.outer, samples=[sample(tensor("m"), tensor("n"))], mistakes=[...])
    def outer(x1: Operand, x2: Operand) -> te.Tensor:
        \"\"\"The outer product of two vectors.\"\"\"
        require_ndim("outer", x1, 1)
        ...
        return te.compute((m, n), lambda i, j: x1[i] * x2[j], name="outer")

Parameters annotated ``Operand`` (or ``Operand | None``, ``Sequence[Operand]``) are graph expressions; all others are
attributes. The body receives a :class:`te.Tensor` for each tensor operand (a scalar constant for a number, a dim for
a dim) and the attributes as they were given. The call's type is read off what the body returns, unless the definition
brings a ``type_rule`` (data-dependent operators, which bring a ``host`` function instead of a body).

The decorated name becomes the public function: applied to expressions, arrays and numbers it returns a typed ``Call``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from types import MappingProxyType
from typing import Any, TypeAlias

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import RelaxError
from relaxdsl.ir.graph import Op
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.ir.te import Tensor
from relaxdsl.types.dims import Dim
from relaxdsl.types.types import Type

Operand: TypeAlias = "Tensor | ScalarExpr | Dim"


# ----------------------------------------------------------------------------- samples and mistakes


@dataclass(frozen=True, slots=True)
class TensorSample:
    """An array for a test: sizes (ints or names of symbols), dtype, and the interval its values are drawn from."""

    shape: tuple[int | str, ...]
    dtype: str = "float32"
    low: float = -2.0
    high: float = 2.0


def tensor(*shape: int | str, dtype: str = "float32", low: float = -2.0, high: float = 2.0) -> TensorSample:
    """An array sample: ``tensor("m", 4)``. A size may be an expression of symbols, ``"2 * m"``."""
    return TensorSample(shape, dtype, low, high)


@dataclass(frozen=True, slots=True)
class Sample:
    """Arguments of a call that must work; ``sizes`` are the values a symbol may take in tests (default 0, 1, 2, 7)."""

    args: tuple[Any, ...]
    attrs: Mapping[str, Any]
    sizes: tuple[int, ...] = (0, 1, 2, 7)
    tolerance: float | None = None


def sample(*args: Any, sizes: Sequence[int] = (0, 1, 2, 7), tolerance: float | None = None, **attrs: Any) -> Sample:
    """A call that must work, compared with the reference: operands (tensors, tuples of them, numbers), then attributes.

    ``tolerance`` is relative; the default follows from the dtype.
    """
    return Sample(args, MappingProxyType(attrs), tuple(sizes), tolerance)


@dataclass(frozen=True, slots=True)
class Mistake:
    """Arguments that must give exactly this error (its class, and the whole text of the message)."""

    args: tuple[Any, ...]
    attrs: Mapping[str, Any]
    error: type[RelaxError]
    message: str


def mistake(error: type[RelaxError], message: str, *args: Any, **attrs: Any) -> Mistake:
    """A call that must fail with ``message`` (whole). Tensors are named by the operator's parameters."""
    return Mistake(args, MappingProxyType(attrs), error, message)


# ------------------------------------------------------------------------------------- the operator


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator's definition.

    Args:
        body: the TE function (None for data-dependent operators).
        type_rule: gives the type from operand expressions and attributes where the body can't.
        host: runs a data-dependent operator on NumPy arrays.
        reference: the same in NumPy; gets arrays, numbers and ints.
        operands: names of the parameters that are graph expressions.
        methods: names under which expressions have it as a method or an overload (``"sum"``, ``"__add__"``).
        reflected: overloads with the operands swapped (``"__radd__"``).
        facts: algebraic facts, e.g. ``{"commutative": True, "identity": 0}``.
    """

    name: str
    signature: inspect.Signature
    operands: tuple[str, ...]
    reference: Callable[..., Any]
    body: Callable[..., Any] | None
    type_rule: Callable[..., Type] | None
    host: Callable[..., Any] | None
    samples: tuple[Sample, ...]
    mistakes: tuple[Mistake, ...]
    methods: tuple[str, ...]
    reflected: tuple[str, ...]
    facts: Mapping[str, Any]
    doc: str
    place: str
    op: Op = field(compare=False)

    def optional_operands(self) -> frozenset[str]:
        """Operands that may be None."""
        return frozenset(name for name in self.operands if self.signature.parameters[name].default is None)

    def takes_several(self, operand: str) -> bool:
        """Whether the operand is a sequence of tensors, as that of ``concat`` is."""
        return "Sequence" in self.signature.parameters[operand].annotation


_OPERATORS: dict[str, Operator] = {}


def get(name: str) -> Operator:
    """The operator called ``name``.

    Raises:
        KeyError: if there is none.
    """
    return _OPERATORS[name]


def find(name: str) -> Operator | None:
    """The operator called ``name``, or None."""
    return _OPERATORS.get(name)


def all_operators() -> tuple[Operator, ...]:
    """All operators, by name."""
    return tuple(_OPERATORS[name] for name in sorted(_OPERATORS))


def register(definition: Operator) -> None:
    """Adds a definition.

    Raises:
        ValueError: if the name is taken; the message names both places.
    """
    known = _OPERATORS.get(definition.name)
    if known is not None:
        raise ValueError(f"operator {definition.name!r} is defined twice: at {known.place} and at {definition.place}")
    _OPERATORS[definition.name] = definition


# As text where annotations are not evaluated, else as what the name stands for.
_OPERAND_ANNOTATIONS = ("Operand", "Operand | None", "Sequence[Operand]", Operand)


def define(
    name: str,
    function: Callable[..., Any],
    *,
    reference: Callable[..., Any],
    samples: Iterable[Sample] = (),
    mistakes: Iterable[Mistake] = (),
    type_rule: Callable[..., Type] | None = None,
    host: Callable[..., Any] | None = None,
    methods: Sequence[str] = (),
    reflected: Sequence[str] = (),
    facts: Mapping[str, Any] = MappingProxyType({}),
    is_pure: bool = True,
    place: str | None = None,
) -> Operator:
    """The definition of an operator from its body and what stands beside it, registered.

    ``place`` is where the user finds it (``file:line``), for a body that a family makes.
    """
    signature = inspect.signature(function)
    operands = tuple(
        parameter.name for parameter in signature.parameters.values() if parameter.annotation in _OPERAND_ANNOTATIONS
    )
    code = function.__code__
    definition = Operator(
        name=name,
        signature=signature,
        operands=operands,
        reference=reference,
        body=None if host is not None else function,
        type_rule=type_rule,
        host=host,
        samples=tuple(samples),
        mistakes=tuple(mistakes),
        methods=tuple(methods),
        reflected=tuple(reflected),
        facts=MappingProxyType(dict(facts)),
        doc=inspect.getdoc(function) or "",
        place=place or f"{code.co_filename}:{code.co_firstlineno}",
        op=Op(name, is_pure),
    )
    register(definition)
    return definition
