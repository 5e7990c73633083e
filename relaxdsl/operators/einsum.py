"""``einsum``: products of any number of tensors, summed over the indices that the result does not have.

The operator multiplies all its operands at once. The public function makes calls with two operands each, so that every
sum is a product of matrices, whose cost depends on the order: see :mod:`relaxdsl.operators.einsum_order`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ShapeError
from relaxdsl.ir.graph import Call, Expr, Tuple
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.kernels import te
from relaxdsl.operators.calls import make_call, te_operand
from relaxdsl.operators.einsum_order import Subscripts, pairwise_order
from relaxdsl.operators.operands import (
    common_dtype,
    describe,
    require_same_size,
    shape_of,
    typed_element,
)
from relaxdsl.operators.registry import Operand, define, mistake, sample, tensor
from relaxdsl.operators.unary import astype
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import Dim
from relaxdsl.types.dtype import is_bool
from relaxdsl.types.symint import user_compares

_NAME = "einsum"
_TOKEN = re.compile(r"[A-Za-z, ]|->|\.\.\.|(?P<unknown>.)", re.DOTALL)
_FORM = (
    "an index is a letter, a comma stands between operands, and one '->' before the result; '...' stands once in an "
    "operand, or in the result, for the axes that have no index"
)

# ----------------------------------------------------------------------------------------------------------- subscripts


def parse_subscripts(text: object, operands: Sequence[Operand]) -> Subscripts:
    """The subscripts with a letter for every axis: an ellipsis becomes letters too, a result is always there.

    Raises:
        ShapeError: they are malformed, or do not fit the operands.
    """
    if not isinstance(operands, list | tuple):
        raise ShapeError(
            f"{_NAME}: the operands must be a list or tuple of tensors",
            hint=f"put them in a list, or write the subscripts first: relax.{_NAME}('ij,jk->ik', x, y)",
        )
    if not isinstance(text, str):
        raise ShapeError(f"{_NAME}: subscripts must be text such as 'ij,jk->ik', got {type(text).__name__}")
    _require_form(text)
    left, arrow, right = text.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        is_operand_missing = len(operands) < len(terms)
        raise ShapeError(
            f"{_NAME}: the subscripts {text!r} name {counted(len(terms), 'operand')}, got {len(operands)}",
            hint="pass an operand for each of them"
            if is_operand_missing
            else "write the indices of every operand, with commas between them: 'ij,jk->ik'",
        )
    unused = [letter for letter in string.ascii_letters if letter not in text]
    hidden = [_hidden_axes(text, *each) for each in enumerate(zip(terms, operands, strict=True))]
    letters = "".join(unused[: max(hidden)])
    inputs = tuple(
        term.replace("...", letters[len(letters) - axes :]) for term, axes in zip(terms, hidden, strict=True)
    )
    output = right.replace("...", letters) if arrow else letters + _implicit_output("".join(terms))
    _require_output(text, output, right if arrow else "...", inputs, letters)
    return Subscripts(inputs, output)


def _require_form(text: str) -> None:
    """The subscripts are letters, commas, one arrow, and an ellipsis for each operand and the result at most."""
    has_arrow = has_ellipsis = False
    for token in _TOKEN.finditer(text):
        what = token.group()
        is_twice = (what == "->" and has_arrow) or (what == "..." and has_ellipsis)
        if is_twice or (what == "," and has_arrow) or token.lastgroup == "unknown":
            raise ShapeError(
                f"{_NAME}: {what!r} at position {token.start()} of the subscripts cannot stand there",
                details=[f"'{text}'", " " * (token.start() + 1) + "^" * len(what)],
                hint=_FORM,
            )
        has_arrow |= what == "->"
        has_ellipsis = what == "..." or (has_ellipsis and what not in (",", "->"))


def _hidden_axes(text: str, position: int, term_and_operand: tuple[str, Operand]) -> int:
    """How many axes the ellipsis of an operand stands for."""
    term, operand = term_and_operand
    named, ndim = len(term.replace("...", "")), len(shape_of(operand))
    if named > ndim or (named < ndim and "..." not in term):
        raise ShapeError(
            f"{_NAME}: operand {position} has {counted(ndim, 'axis', 'axes')}, and '{term}' in {text!r} has "
            f"{counted(named, 'index', 'indices')}",
            details=[describe(operand)] if isinstance(operand, te.Tensor) else [],
        )
    return ndim - named


def _implicit_output(labels: str) -> str:
    """The letters that occur once, in alphabetical order."""
    return "".join(sorted(each for each in set(labels) - {"."} if labels.count(each) == 1))


def _require_output(text: str, output: str, written: str, inputs: Sequence[str], hidden: str) -> None:
    twice = next((each for each in output if output.count(each) > 1), None)
    if twice is not None:
        raise ShapeError(f"{_NAME}: the result of {text!r} has the index {twice!r} twice")
    unknown = next((each for each in output if not any(each in term for term in inputs)), None)
    if unknown is not None:
        raise ShapeError(f"{_NAME}: the result of {text!r} has the index {unknown!r}, which no operand has")
    if hidden and "..." not in written:
        raise ShapeError(
            f"{_NAME}: the result of {text!r} needs an ellipsis, since operands have axes without an index"
        )


def _index_sizes(subscripts: Subscripts, operands: Sequence[Operand]) -> dict[str, Dim]:
    """The size of each index; where operands have different ones, all but one must be the literal 1."""
    axes: dict[str, tuple[te.Tensor, int]] = {}
    found: dict[str, Dim] = dict.fromkeys("".join(subscripts.inputs), 1)
    for term, operand in zip(subscripts.inputs, operands, strict=True):
        for axis, label in enumerate(term):
            assert isinstance(operand, te.Tensor)
            if axis != term.index(label):
                require_same_size(_NAME, operand, term.index(label), operand, axis, f"index {label!r}")
            elif operand.shape[axis] != 1:
                known = axes.setdefault(label, (operand, axis))
                found[label] = require_same_size(_NAME, *known, operand, axis, f"index {label!r}")
    return found


# ------------------------------------------------------------------------------------------------------------- the body


@dataclass(frozen=True, slots=True)
class _Factor:
    """An operand, and the index of each of its axes."""

    operand: Operand
    term: str

    def at(self, point: dict[str, Dim], dtype: str) -> ScalarExpr:
        return typed_element(self.operand, [point[label] for label in self.term], dtype)


def _body(operands: Sequence[Operand], subscripts: str) -> te.Tensor:
    """The sum, over the indices that the result does not have, of the products of the operands' elements.

    ``"ij,jk->ik"`` is a matrix product, ``"ij->ji"`` a transpose, ``"ii->i"`` a diagonal, ``"ii"`` a trace. Without
    ``->`` the result has the indices that occur once, in alphabetical order; ``...`` stands for axes without an index,
    which broadcast. More than two operands are multiplied two at a time, in an order that keeps what is between small.
    What only one operand has is summed before it is multiplied, as in PyTorch and JAX: a sum of no terms times NaN is
    NaN. NumPy's order of arguments is understood too: ``einsum("ij,jk->ik", a, b)``.

    Raises:
        ShapeError: the subscripts are malformed or do not fit the operands, or sizes of an index differ.

    Example:
        >>> m, n = relax.dims("m n")
        >>> x = relax.Var("x", relax.TensorType((m, n, 4), "float32"))
        >>> print(relax.einsum("...ij,kj->...ki", x, np.ones((3, 4), "float32")).type)
        relax.Tensor((m, 3, n), "float32")

    Source: ``numpy.einsum``.
    """
    parsed = parse_subscripts(subscripts, operands)
    sizes = _index_sizes(parsed, operands)
    dtype = common_dtype(*operands)
    factors = [_Factor(each, term) for each, term in zip(operands, parsed.inputs, strict=True)]
    if len(factors) > 1:
        factors = [_without_own_sums(each, parsed, sizes, dtype) for each in factors]
    return _summed(factors, parsed.output, sizes, dtype, "einsum")


def _without_own_sums(factor: _Factor, parsed: Subscripts, sizes: dict[str, Dim], dtype: str) -> _Factor:
    """The factor summed over the indices that nothing else has, so that it enters the product smaller."""
    elsewhere = "".join((*parsed.inputs, parsed.output)).replace(factor.term, "", 1)
    kept = "".join(dict.fromkeys(label for label in factor.term if label in elsewhere))
    if set(kept) == set(factor.term):
        return factor
    return _Factor(_summed([factor], kept, sizes, dtype, "summed"), kept)


def _summed(factors: Sequence[_Factor], output: str, sizes: dict[str, Dim], dtype: str, name: str) -> te.Tensor:
    labels = dict.fromkeys("".join(each.term for each in factors))
    summed = [label for label in labels if label not in output and sizes[label] != 1]
    combine, multiply = _arithmetic(dtype)

    def body(*place: Dim) -> ScalarExpr:
        axes = [te.reduce_axis(sizes[label], name=label) for label in summed]
        point = dict.fromkeys(labels, 0) | dict(zip((*output, *summed), (*place, *axes), strict=True))
        product = factors[0].at(point, dtype)
        for factor in factors[1:]:
            product = multiply(product, factor.at(point, dtype))
        return combine(product, axes) if axes else product

    return te.compute(tuple(sizes[label] for label in output), body, name=name)


def _arithmetic(dtype: str) -> tuple[Callable[..., ScalarExpr], Callable[..., ScalarExpr]]:
    """How products are added, and made; bools combine by and/or."""
    return (te.any, te.logical_and) if is_bool(dtype) else (te.sum, lambda a, b: a * b)


# ------------------------------------------------------------------------------------------------------- the definition


def _reference(operands: Any, subscripts: str) -> Any:
    dtype = np.result_type(*operands)
    return np.einsum(subscripts, *(np.asarray(each).astype(dtype) for each in operands), dtype=dtype)


_X, _Y = tensor("m", 4), tensor(4, "n")

_DEFINITION = define(
    _NAME,
    _body,
    reference=_reference,
    samples=[
        sample((_X, _Y), "ij,jk->ik"),
        sample((_X, _Y), "ij,jk"),
        sample((tensor("m", "n"), tensor("k", "n")), "ij,kj->ki"),
        sample((tensor("m", "m", 3),), "iij->ji"),
        sample((tensor("m", "m", dtype="float64"),), "ii"),
        sample((tensor("b", "m", 3), tensor(3, 2)), "...ij,jk->...ik"),
        sample((tensor(2, 1, "m", 3), tensor("b", 3, 2)), "...ij, ...jk"),
        sample((tensor("b", "i", "h", 4), tensor("b", "j", "h", 4)), "bihd,bjhd->bhij", sizes=(1, 2, 3)),
        sample((tensor("m", "n"), tensor("n", "k"), tensor("k", 2)), "ij,jk,kl->il", sizes=(0, 1, 3), tolerance=1e-5),
        sample((tensor("m", "n"), tensor("n", "k")), "ij,jk->i", sizes=(0, 1, 3), tolerance=1e-5),
        sample((tensor("m", 1), tensor("m", "n")), "ij,ij->ij"),
        sample((tensor("m"), 2.0), "i,->i"),
        sample((tensor("m", 3, dtype="bool"), tensor(3, 2, dtype="bool")), "ij,jk->ik"),
        sample((tensor("m", dtype="int8", low=-99, high=99), tensor("n", dtype="int32")), "i,j"),
    ],
    mistakes=[
        mistake(ShapeError, "einsum: subscripts must be text such as 'ij,jk->ik', got int", (_X, _Y), 1),
        mistake(
            ShapeError,
            "einsum: the subscripts 'ij->ji' name 1 operand, got 2\n"
            "   hint: write the indices of every operand, with commas between them: 'ij,jk->ik'",
            (_X, _Y),
            "ij->ji",
        ),
        mistake(
            ShapeError,
            "einsum: the subscripts 'ij,jk->ik' name 2 operands, got 1\n   hint: pass an operand for each of them",
            (_X,),
            "ij,jk->ik",
        ),
        mistake(
            ShapeError,
            "einsum: the operands must be a list or tuple of tensors\n"
            "   hint: put them in a list, or write the subscripts first: relax.einsum('ij,jk->ik', x, y)",
            _X,
            "ij->ji",
        ),
        mistake(
            ShapeError,
            "einsum: operand 1 has 2 axes, and 'jkl' in 'ij,jkl->il' has 3 indices\n"
            "   operands[1] : Tensor((4, n), float32)",
            (_X, _Y),
            "ij,jkl->il",
        ),
        mistake(
            ShapeError,
            "einsum: '1' at position 1 of the subscripts cannot stand there\n"
            "   'i1,1k->ik'\n"
            "     ^\n"
            f"   hint: {_FORM}",
            (_X, _Y),
            "i1,1k->ik",
        ),
        mistake(ShapeError, "einsum: the result of 'ij,jk->ii' has the index 'i' twice", (_X, _Y), "ij,jk->ii"),
        mistake(
            ShapeError,
            "einsum: the result of 'ij,jk->il' has the index 'l', which no operand has",
            (_X, _Y),
            "ij,jk->il",
        ),
        mistake(
            ShapeError,
            "einsum: the result of '...j,jk->k' needs an ellipsis, since operands have axes without an index",
            (_X, _Y),
            "...j,jk->k",
        ),
        mistake(
            ShapeError,
            "einsum: index 'j': sizes `4` and `n` may differ\n"
            "   operands[0] : Tensor((m, 4), float32)   axis 1 is 4\n"
            "   operands[1] : Tensor((4, n), float32)   axis 1 is n\n"
            "   hint: if `n` is always 4, write 4 in its place, or match_cast it",
            (_X, _Y),
            "ij,kj->ik",
        ),
    ],
)


def einsum(operands: Any, subscripts: Any, *others: Any) -> Call:
    """The calls that compute it: one of two operands for each product."""
    given, text = ((subscripts, *others), operands) if isinstance(operands, str) else (operands, subscripts)
    with user_compares(False):
        call = make_call(_DEFINITION, (given, text), {})
        fields = call.args[0].fields if isinstance(call.args[0], Tuple) else ()
        return call if len(fields) <= 2 else _pairwise(fields, text)


einsum.__doc__ = _DEFINITION.doc
einsum.__signature__ = _DEFINITION.signature  # type: ignore[attr-defined]
einsum.__relax_operator__ = _DEFINITION  # type: ignore[attr-defined]


def _pairwise(fields: Sequence[Expr], text: str) -> Call:
    """Calls of two operands each; all compute in the dtype of the whole."""
    te_operands = [te_operand(each, "operands", _NAME) for each in fields]
    parsed = parse_subscripts(text, te_operands)
    dtype = common_dtype(*te_operands)
    values = [
        field if common_dtype(each) == dtype else astype(field, dtype)
        for field, each in zip(fields, te_operands, strict=True)
    ]
    for step in pairwise_order(parsed, _index_sizes(parsed, te_operands)):
        pair = [values.pop(position) for position in reversed(step.positions)][::-1]
        values.append(make_call(_DEFINITION, (pair, step.subscripts), {}))
    (result,) = values
    assert isinstance(result, Call)
    return result
