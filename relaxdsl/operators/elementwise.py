"""The families of elementwise operators: what turns one scalar formula into a definition.

:func:`unary` and :func:`binary` add to a formula and its NumPy reference the loop over the (broadcast) shape, the dtype
rule, the samples, the mistakes and the doc. The tables of operators are in the modules ``unary`` and ``binary``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import DTypeError, ShapeError
from relaxdsl.ir.graph import Call
from relaxdsl.ir.scalar import ScalarExpr, as_scalar
from relaxdsl.kernels import te
from relaxdsl.operators.calls import operator
from relaxdsl.operators.operands import (
    broadcast,
    common_dtype,
    describe,
    element,
    require_dtype,
    shape_of,
    typed_element,
)
from relaxdsl.operators.registry import Mistake, Operand, Sample, TensorSample, mistake, sample, tensor
from relaxdsl.types.dims import Dim, SymInt
from relaxdsl.types.dtype import is_bool, is_float, is_integer

Kind: TypeAlias = Literal["float", "integer", "bool"]
Formula: TypeAlias = Callable[..., ScalarExpr]

ANY: tuple[Kind, ...] = ("float", "integer", "bool")
NUMBER: tuple[Kind, ...] = ("float", "integer")
FLOAT: tuple[Kind, ...] = ("float",)
INTEGER: tuple[Kind, ...] = ("integer",)
BITS: tuple[Kind, ...] = ("integer", "bool")

#: A dtype of each kind: the one that hints propose, and one that samples are made of.
_PROPOSED: Mapping[Kind, str] = {"float": "float32", "integer": "int64", "bool": "bool"}
_EXAMPLES: Mapping[Kind, str] = {"float": "float32", "integer": "int32", "bool": "bool"}


@dataclass(frozen=True, slots=True)
class Domain:
    """The interval that the values of samples are drawn from; ``second`` for the second operand, where it differs."""

    low: float = -2.0
    high: float = 2.0
    second: tuple[float, float] | None = None
    tolerance: float | None = None

    def of(self, *shape: int | str, dtype: str, position: int = 0) -> TensorSample:
        """A tensor of a sample; unsigned integers start at 0."""
        low, high = self.second if position == 1 and self.second is not None else (self.low, self.high)
        return tensor(*shape, dtype=dtype, low=max(low, 0) if dtype.startswith("u") else low, high=high)


REAL = Domain()


# ---------------------------------------------------------------------------------------------------------------- unary


def unary(
    name: str,
    doc: str,
    formula: Formula,
    reference: Callable[..., Any],
    *,
    dtypes: Sequence[Kind] = FLOAT,
    result: str | None = None,
    domain: Domain = REAL,
    methods: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
) -> Callable[..., Call]:
    """Defines ``op(x)``: ``formula`` at every element. Its dtype is ``x``'s, or ``result``."""

    def body(x: Operand) -> te.Tensor:
        require_dtype(name, x, dtypes)
        dtype = common_dtype(x)
        return map_elements(name, formula, shape_of(x), (x,), dtype)

    body.__doc__ = _unary_doc(name, doc, reference, dtypes, result)
    return operator(
        name,
        reference=reference,
        samples=_unary_samples(dtypes, domain),
        mistakes=[unary_mistake(name, dtypes)],
        methods=methods,
        facts=facts or {},
        place=_published_at(body, name),
    )(body)


def _unary_samples(dtypes: Sequence[Kind], domain: Domain) -> list[Sample]:
    arrays = []
    if "float" in dtypes:
        arrays += [domain.of("m", dtype="float32"), domain.of("m", dtype="float64")]
    if "integer" in dtypes:
        arrays += [domain.of("m", dtype="int32"), domain.of(2, "m", dtype="uint8")]
    if "bool" in dtypes:
        arrays.append(domain.of("m", dtype="bool"))
    return [sample(array, tolerance=domain.tolerance) for array in arrays]


def unary_mistake(name: str, dtypes: Sequence[Kind]) -> Mistake:
    """The mistake of an operand of the wrong kind (of no dtype at all where every kind is accepted)."""
    if tuple(dtypes) == ANY:
        return mistake(DTypeError, f"{name}: x must be a tensor, an array or a number, got str", "x")
    wrong = _wrong_dtype(dtypes)
    message = [
        f"{name}: x must be {' or '.join(dtypes)}, got {wrong}",
        f"   x : Tensor((m,), {wrong})",
        f'   hint: convert it with x.astype("{_PROPOSED[dtypes[0]]}")',
    ]
    return mistake(DTypeError, "\n".join(message), tensor("m", dtype=wrong))


def _wrong_dtype(dtypes: Sequence[Kind]) -> str:
    return next(_EXAMPLES[kind] for kind in ("integer", "float", "bool") if kind not in dtypes)


# --------------------------------------------------------------------------------------------------------------- binary


def binary(
    name: str,
    doc: str,
    formula: Formula,
    reference: Callable[..., Any],
    *,
    dtypes: Sequence[Kind] = NUMBER,
    computes_in: Callable[[str], str | None] = lambda dtype: dtype,
    result: str | None = None,
    domain: Domain = REAL,
    methods: Sequence[str] = (),
    reflected: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
) -> Callable[..., Call]:
    """Defines ``op(x1, x2)``: ``formula`` at every element of the broadcast shape.

    The operands are converted to what ``computes_in`` makes of the dtype they promote to (true division: float64 of
    integers). ``dtypes`` are the kinds the promoted dtype may have; ``result`` is the result's dtype where it differs.
    """

    def body(x1: Operand, x2: Operand) -> te.Tensor:
        shape = broadcast(name, (x1, x2), ("x1", "x2"))
        dtype = computes_in(require_common_dtype(name, (x1, x2), dtypes))
        return map_elements(name, formula, shape, (x1, x2), dtype)

    body.__doc__ = _binary_doc(name, doc, reference, dtypes, computes_in, result)
    return operator(
        name,
        reference=reference,
        samples=_binary_samples(dtypes, domain, is_truth=result == "bool"),
        mistakes=_binary_mistakes(name, dtypes),
        methods=methods,
        reflected=reflected,
        facts=facts or {},
        place=_published_at(body, name),
    )(body)


def map_elements(
    name: str, formula: Formula, shape: Sequence[Dim], operands: Sequence[Operand], dtype: str | None
) -> te.Tensor:
    """The compute of ``formula`` over the operands' elements, broadcast to ``shape``, as ``dtype`` if given."""

    def value(operand: Operand, axes: Sequence[SymInt]) -> ScalarExpr:
        return as_scalar(element(operand, axes)) if dtype is None else typed_element(operand, axes, dtype)

    return te.compute(
        shape, lambda *axes: formula(*(value(operand, axes) for operand in operands)), name=base_name(name)
    )


def as_they_are(dtype: str) -> None:
    """The ``computes_in`` of an operator whose formula takes operands of different dtypes."""


def require_common_dtype(name: str, operands: Sequence[Operand], accepted: Sequence[Kind]) -> str:
    """The dtype the operands promote to, which must be of one of the kinds ``accepted``.

    Raises:
        DTypeError: it is of another kind.
    """
    dtype = common_dtype(*operands)
    kinds = {"float": is_float, "integer": is_integer, "bool": is_bool}
    if any(kinds[kind](dtype) for kind in accepted):
        return dtype
    tensors = [operand for operand in operands if isinstance(operand, te.Tensor)]
    raise DTypeError(
        f"{name}: the operands must be {' or '.join(accepted)}, got {' and '.join(_shown_dtypes(operands))}",
        details=[describe(each) for each in tensors],
        hint=f'convert with {tensors[0].name}.astype("{_PROPOSED[accepted[0]]}")' if tensors else None,
    )


def _shown_dtypes(operands: Sequence[Operand]) -> list[str]:
    return list(dict.fromkeys(common_dtype(operand) for operand in operands))


def _binary_samples(dtypes: Sequence[Kind], domain: Domain, *, is_truth: bool) -> list[Sample]:
    """Samples of each kind of dtypes; fewer where the result is a truth value, which is no arithmetic of its own."""

    def pair(shape1: Sequence[int | str], dtype1: str, shape2: Sequence[int | str], dtype2: str) -> Sample:
        x1 = domain.of(*shape1, dtype=dtype1)
        return sample(x1, domain.of(*shape2, dtype=dtype2, position=1), tolerance=domain.tolerance)

    samples = []
    if "float" in dtypes:
        samples.append(pair(["m"], "float32", ["m"], "float32"))
    if "float" in dtypes and not is_truth:
        samples.append(pair(["m", 1], "float64", [3], "float32"))
    if {"float", "integer"} <= set(dtypes):
        samples.append(sample(domain.of("m", dtype="int16"), 1.5, tolerance=domain.tolerance))
    if "integer" in dtypes and not is_truth:
        samples.append(pair(["m"], "int32", ["m"], "int32"))
    if "integer" in dtypes:
        samples.append(pair(["m", 2], "int8", ["n", 1, 1], "uint8"))
    if "bool" in dtypes:
        samples.append(pair(["m"], "bool", ["m"], "bool"))
    return samples


def _binary_mistakes(name: str, dtypes: Sequence[Kind]) -> list[Mistake]:
    dtype = _EXAMPLES[dtypes[0]]
    sizes = [
        f"{name}: axis 0 differs: 3 and 4",
        "   x1 : Tensor((3,))   axis 0 is 3",
        "   x2 : Tensor((4,))   axis 0 is 4",
    ]
    symbols = [
        f"{name}: axis 0: symbolic sizes `m` and `n` may differ",
        "   x1 : Tensor((m,))   axis 0 is m",
        "   x2 : Tensor((n,))   axis 0 is n",
        "   hint: if they are always equal, name them alike (`m` in both), or match_cast one of them",
    ]
    mistakes = [
        mistake(ShapeError, "\n".join(sizes), tensor(3, dtype=dtype), tensor(4, dtype=dtype)),
        mistake(ShapeError, "\n".join(symbols), tensor("m", dtype=dtype), tensor("n", dtype=dtype)),
    ]
    return mistakes if tuple(dtypes) == ANY else [*mistakes, _binary_dtype_mistake(name, dtypes)]


def _binary_dtype_mistake(name: str, dtypes: Sequence[Kind]) -> Mistake:
    wrong = _wrong_dtype(dtypes)
    message = [
        f"{name}: the operands must be {' or '.join(dtypes)}, got {wrong}",
        f"   x1 : Tensor((m,), {wrong})",
        f"   x2 : Tensor((m,), {wrong})",
        f'   hint: convert with x1.astype("{_PROPOSED[dtypes[0]]}")',
    ]
    return mistake(DTypeError, "\n".join(message), tensor("m", dtype=wrong), tensor("m", dtype=wrong))


# ----------------------------------------------------------------------------------------------------- name, place, doc


def base_name(name: str) -> str:
    """The operator's name without its namespace: ``relu`` of ``nn.relu``."""
    return name.rpartition(".")[2]


def _published_at(body: Callable[..., Any], name: str) -> str:
    """Makes ``body`` look as if written where its family was called, on the table's line, and returns that place."""
    frame = sys._getframe(2)
    body.__name__ = body.__qualname__ = base_name(name)
    body.__module__ = frame.f_globals["__name__"]
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _unary_doc(name: str, doc: str, reference: Callable[..., Any], dtypes: Sequence[Kind], result: str | None) -> str:
    example = _EXAMPLES[dtypes[0]]
    return _full_doc(
        doc,
        f"{', '.join(dtypes)}; the result is {result or 'of the dtype of x'}.",
        f'print(relax.{name}(np.ones(3, "{example}")).type)',
        f'relax.Tensor((3,), "{result or example}")',
        reference,
    )


def _binary_doc(
    name: str,
    doc: str,
    reference: Callable[..., Any],
    dtypes: Sequence[Kind],
    computes_in: Callable[[str], str | None],
    result: str | None,
) -> str:
    example = _EXAMPLES[dtypes[0]]
    return _full_doc(
        doc,
        f"{', '.join(dtypes)}; the result is {result or 'of the dtype that x1 and x2 promote to'}.",
        f'print(relax.{name}(np.ones((3, 1), "{example}"), np.ones(2, "{example}")).type)',
        f'relax.Tensor((3, 2), "{result or computes_in(example)}")',
        reference,
    )


def _full_doc(doc: str, dtypes: str, example: str, shown: str, reference: Callable[..., Any]) -> str:
    lines = [doc, "", f"Dtypes: {dtypes}", "", "Example:", f"    >>> {example}", f"    {shown}"]
    if isinstance(reference, np.ufunc):
        lines += ["", f"Source: ``numpy.{reference.__name__}``."]
    return "\n".join(lines)
