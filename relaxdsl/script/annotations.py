"""Annotations: what types they mean, and whether a value has the type that is declared for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from relaxdsl.errors import DTypeError, ScriptError, ShapeError, Span
from relaxdsl.ir.graph import Call, Expr
from relaxdsl.script.interpreter import Interpreter
from relaxdsl.script.source import parse_annotation_text
from relaxdsl.types.constructors import as_type
from relaxdsl.types.dims import Dim, has_atoms, is_symbol
from relaxdsl.types.types import (
    Fit,
    Grade,
    PrimType,
    ShapeType,
    TensorType,
    TupleType,
    Type,
    free_symbols_of,
    is_base_of,
    substitute_type,
)


def evaluate_type(interp: Interpreter, node: ast.expr) -> Type:
    """The type that an annotation in the source means; its symbols are known by name from here on.

    Raises:
        ScriptError: it means no type.
    """
    value = evaluate_annotation(interp, node)
    try:
        type_ = annotated_type(value)
    except ScriptError as error:
        error.at(interp.source.span(node))
        raise
    return interp.declare(type_)


def evaluate_annotation(interp: Interpreter, node: ast.expr) -> Any:
    """What an annotation in the source means, as Python would evaluate it; strings are read as expressions."""
    before, interp.in_annotation = interp.in_annotation, True
    try:
        value = interp.evaluate(node)
        if isinstance(value, str):
            return interp.evaluate(parse_annotation_text(value, node))
        return value
    except ScriptError as error:
        error.at(interp.source.span(node))
        raise
    finally:
        interp.in_annotation = before


def annotated_type(value: Any) -> Type:
    """The type that an annotation's value stands for; the one inside ``Annotated[np.ndarray, …]``.

    Raises:
        ScriptError: it stands for none.
    """
    for each in getattr(value, "__metadata__", ()):
        if isinstance(each, Type):
            return each
    return as_type(value)


# ------------------------------------------------------------------------------------------------------ names for sizes


def paired_dims(declared: Type, actual: Type) -> Iterator[tuple[Dim, Dim]]:
    """The sizes of two types that stand at the same place."""
    match declared, actual:
        case TensorType(shape=tuple(left)), TensorType(shape=tuple(right)) if len(left) == len(right):
            yield from zip(left, right, strict=True)
        case ShapeType(values=tuple(left)), ShapeType(values=tuple(right)) if len(left) == len(right):
            yield from zip(left, right, strict=True)
        case PrimType(value=one), PrimType(value=other) if one is not None and other is not None:
            yield one, other
        case TupleType(fields=left_fields), TupleType(fields=right_fields):
            for a, b in zip(left_fields, right_fields, strict=False):
                yield from paired_dims(a, b)


def names_for_sizes(declared: Type, actual: Type, new_names: set[str], fresh: set[str]) -> dict[str, str]:
    """Which fresh symbols of ``actual`` the new names in ``declared`` are for."""
    names: dict[str, str] = {}
    for left, right in paired_dims(declared, actual):
        if is_symbol(left) and is_symbol(right) and str(left) in new_names and str(right) in fresh:
            names.setdefault(str(right), str(left))
    return names


def name_fresh_sizes(interp: Interpreter, declared: Type, value: Any, known: set[str]) -> Any:
    """``value``, whose data-dependent sizes take the names that ``declared`` gives them.

    Raises:
        ScriptError: a name in ``declared`` is not known, and is not that of such a size.
    """
    new_names = {name for name in free_symbols_of(declared) if name not in known}
    names: dict[str, str] = {}
    if isinstance(value, Call):
        names = names_for_sizes(declared, value.type, new_names, set(interp.new_symbols))
        sizes = {old: interp.symbols[new] for old, new in names.items()}
        value = replace(value, type=substitute_type(value.type, sizes))
        interp.fresh_symbols.update(names.values())
    unbound = sorted(new_names.difference(names.values(), _symbols_of_value(value)))
    if unbound:
        raise unknown_size(unbound[0])
    return value


def _symbols_of_value(value: Any) -> tuple[str, ...]:
    return free_symbols_of(value.type) if isinstance(value, Expr) else ()


def unknown_size(name: str) -> ScriptError:
    """The error for a size in an annotation that nothing gives a value."""
    return ScriptError(
        f"nothing gives the size {name} a value",
        hint="use the name of a known size, or give it one with relax.match_cast",
    )


# ------------------------------------------------------------------------------------------------------------- checking


def check_declared(declared: Type, value: Expr, what: str, span: Span | None) -> None:
    """Returns if the value is known to have the declared type.

    Raises:
        ShapeError, DTypeError: it is not.
    """
    fit = is_base_of(declared, value.type)
    if not fit.fits:
        raise misfit(fit, declared, value.type, what, span)


def misfit(fit: Fit, declared: Type, actual: Type, what: str, span: Span | None) -> ShapeError | DTypeError:
    """The error for a value that does not fit its annotation."""
    error = DTypeError if fit.is_about_dtype else ShapeError
    hints = {
        Grade.NEEDS_CAST: "assert it with relax.match_cast(value, type)",
        Grade.UNPROVEN: "name equal sizes alike, or assert it with relax.match_cast(value, type)",
    }
    return error(
        f"{what} is not what its annotation says: {fit.reason}",
        details=[f"declared : {declared}", f"inferred : {actual}"],
        hint=hints.get(fit.grade),
        span=span,
    )


def is_undecided(declared: Type, actual: Type) -> bool:
    """Whether sizes can't be told equal or not because of a floor division, a remainder, a minimum or a maximum."""
    return any(has_atoms(left) or has_atoms(right) for left, right in paired_dims(declared, actual))
