"""Dims: sizes that are Python ints or symbolic integers in one normal form. The functions other modules use on them."""

from __future__ import annotations

import keyword
import operator
from collections.abc import Callable, Mapping
from typing import Any

from relaxdsl.errors import ArgumentError, InternalError, ScriptError, ShapeError, nearest
from relaxdsl.tracebacks import short_tracebacks
from relaxdsl.types import polynomial
from relaxdsl.types.atoms import Atom, FloorDiv, Max, Min, Symbol, atom_operands
from relaxdsl.types.dim_parser import Scope, parse_expression
from relaxdsl.types.polynomial import ONE, Polynomial, Term
from relaxdsl.types.symint import (
    Dim,
    DimCompare,
    SymInt,
    ceildiv,
    dim_max,
    dim_min,
    exact_divide,
    floordiv,
    from_atom,
    from_polynomial,
    modulo,
    to_polynomial,
)

__all__ = [
    "Atom",
    "Dim",
    "DimCompare",
    "FloorDiv",
    "Max",
    "Min",
    "Scope",
    "SymInt",
    "Symbol",
    "ceildiv",
    "dim_max",
    "dim_min",
    "dims",
    "evaluate",
    "exact_divide",
    "floordiv",
    "free_symbols",
    "has_atoms",
    "is_symbol",
    "linear_in",
    "map_atoms",
    "modulo",
    "parse_dim",
    "split_linear",
    "substitute",
    "symbol",
    "symbols_of",
    "terms",
    "value_of_size",
]


def symbol(name: str, *, lower: int = 0, upper: int | None = None) -> SymInt:
    """The named size, known to lie in ``[lower, upper]``.

    Raises:
        ScriptError: the name is not a Python identifier, or a bound is not an integer.
        ShapeError: the bounds leave no value.
    """
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise ScriptError(f"dims: {name!r} is not a name for a size", hint="use a Python identifier, such as 'm'")
    least = _integer(lower)
    most = None if upper is None else _integer(upper)
    if least is None:
        raise ScriptError(f"dims: the lower bound of {name} is an integer, got {lower!r}")
    if most is None and upper is not None:
        raise ScriptError(f"dims: the upper bound of {name} is an integer or None, got {upper!r}")
    return from_atom(Symbol(name, least, most))


def _integer(value: Any) -> int | None:
    """The value as Python's int, if it is an integer. Booleans are none: as sizes, they are mistakes."""
    if type(value) is int:
        return value
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def value_of_size(caller: str, symbol: Symbol, given: Any) -> int:
    """The integer that a user gives for a symbol, by name.

    Args:
        caller: what the messages begin with, such as ``"f.bind"``.

    Raises:
        ArgumentError: it is not an integer, or not in the symbol's bounds.
    """
    value = _integer(given)
    if value is None:
        raise ArgumentError(f"{caller}: {symbol.name} is a size, expected an integer, got {type(given).__name__}")
    if value < symbol.lower:
        raise ArgumentError(f"{caller}: {symbol.name} is at least {symbol.lower}, got {value}")
    if symbol.upper is not None and value > symbol.upper:
        raise ArgumentError(f"{caller}: {symbol.name} is at most {symbol.upper}, got {value}")
    return value


@short_tracebacks
def dims(names: str, *others: object, lower: int = 0, upper: int | None = None) -> SymInt | tuple[SymInt, ...]:
    """The named sizes: one for one name, a tuple for several. Names are separated by spaces or commas.

    Args:
        lower, upper: bounds, which the compiler relies on and every call is checked against.

    Example:
        >>> m, n = dims("m n")
        >>> 2 * m + n - m
        m + n
    """
    if not isinstance(names, str):
        raise ScriptError(f"dims: the names are a string, got {type(names).__name__}", hint='write relax.dims("m n")')
    if others:
        is_names = all(isinstance(each, str) for each in others)
        written = " ".join(map(str, (names, *others))) if is_names else names
        bound = "" if is_names else f", lower={others[0]}"
        raise ScriptError("dims: the names are one string", hint=f'write relax.dims("{written}"{bound})')
    split = names.replace(",", " ").split()
    if not split:
        raise ScriptError("dims: no names given", hint='write relax.dims("m n")')
    repeated = next((name for i, name in enumerate(split) if name in split[:i]), None)
    if repeated is not None:
        raise ScriptError(f"dims: the name {repeated!r} is given twice")
    made = tuple(symbol(name, lower=lower, upper=upper) for name in split)
    return made[0] if len(made) == 1 else made


def terms(dim: Dim) -> tuple[Term, ...]:
    """The polynomial's terms ``(coefficient, ((atom, power), ...))`` in canonical order, the constant last.

    Example:
        >>> [(c, [(atom.name, power) for atom, power in factors]) for c, factors in terms(symbol("m") * 2 + 1)]
        [(2, [('m', 1)]), (1, [])]
    """
    if isinstance(dim, SymInt):
        return dim.terms
    return ((dim, ()),) if dim else ()


def symbols_of(dim: Dim) -> tuple[Symbol, ...]:
    """The symbols in a dim, in order of first appearance."""
    return dim.symbols if isinstance(dim, SymInt) else ()


def free_symbols(dim: Dim) -> tuple[str, ...]:
    """The names of the symbols in a dim, in order of first appearance."""
    return dim.names if isinstance(dim, SymInt) else ()


def is_symbol(dim: object) -> bool:
    """Whether a dim is just one symbol."""
    return isinstance(dim, SymInt) and isinstance(only_atom(dim), Symbol)


def only_atom(dim: Dim) -> Atom | None:
    """The atom that a dim is, if it is nothing else."""
    parts = terms(dim)
    if len(parts) != 1 or parts[0][0] != 1:
        return None
    ((_, factors),) = parts
    return factors[0][0] if len(factors) == 1 and factors[0][1] == 1 else None


def has_atoms(dim: Dim) -> bool:
    """Whether a dim holds a floor division, a remainder, a minimum or a maximum."""
    return any(not isinstance(atom, Symbol) for _, factors in terms(dim) for atom, _ in factors)


def split_linear(dim: SymInt, atom: Atom) -> tuple[Dim, Dim]:
    """``(slope, rest)`` with ``dim == slope * atom + rest``, the rest free of the atom at the top level."""
    divided = {monomial: polynomial.divide_monomials(monomial, ((atom, 1),)) for monomial in dim.polynomial}
    slope = from_polynomial({q: dim.polynomial[m] for m, q in divided.items() if q is not None})
    return slope, from_polynomial({m: dim.polynomial[m] for m, q in divided.items() if q is None})


def linear_in(dim: Dim, name: str) -> tuple[Dim, Dim] | None:
    """``(slope, offset)`` with ``dim == slope * name + offset``, both free of the symbol; None if there are none.

    That is read off the normal form. A few values would not tell: ``i // 4`` looks constant at 0, 1 and 2.

    Example:
        >>> m, n = dims("m n")
        >>> linear_in(m * n + 2 * n + 1, "n"), linear_in(n // 4, "n")
        ((m + 2, 1), None)
    """
    found = next((each for each in symbols_of(dim) if each.name == name), None)
    if found is None or not isinstance(dim, SymInt):
        return 0, dim
    slope, offset = split_linear(dim, found)
    return None if name in free_symbols(slope) or name in free_symbols(offset) else (slope, offset)


def substitute(dim: Dim, values: Mapping[str, Dim]) -> Dim:
    """The dim with the named symbols replaced, all at once.

    Raises:
        ShapeError: a denominator becomes 0.
    """
    if not isinstance(dim, SymInt) or values.keys().isdisjoint(dim.names):
        return dim
    if is_symbol(dim):
        return values[dim.names[0]]
    total: Polynomial = {}
    for monomial, coefficient in dim.polynomial.items():
        product: Polynomial = {ONE: coefficient}
        for atom, power in monomial:
            value = to_polynomial(_substitute_atom(atom, values))
            for _ in range(power):
                product = polynomial.multiply(product, value)
        total = polynomial.add(total, product)
    return from_polynomial(dict(total))


def _substitute_atom(atom: Atom, values: Mapping[str, Dim]) -> Dim:
    if isinstance(atom, Symbol):
        return values[atom.name] if atom.name in values else from_atom(atom)
    operands = [substitute(operand, values) for operand in atom_operands(atom)]
    if isinstance(atom, FloorDiv):
        return floordiv(*operands)
    return dim_min(*operands) if isinstance(atom, Min) else dim_max(*operands)


def map_atoms(dim: Dim, on_atom: Callable[[Atom], Dim]) -> Dim:
    """The dim with each of its atoms replaced."""
    total: Dim = 0
    for coefficient, factors in terms(dim):
        product: Dim = coefficient
        for atom, power in factors:
            value = on_atom(atom)
            for _ in range(power):
                product = product * value
        total = total + product
    return total


def evaluate(dim: Dim, values: Mapping[str, int]) -> int:
    """The number a dim is, for given values of all its symbols.

    Raises:
        ShapeError: a denominator is 0.
    """
    if isinstance(dim, int):
        return dim
    total = 0
    for coefficient, factors in dim.terms:
        for atom, power in factors:
            coefficient *= _evaluate_atom(atom, values) ** power
        total += coefficient
    return total


def _evaluate_atom(atom: Atom, values: Mapping[str, int]) -> int:
    if isinstance(atom, Symbol):
        return _value_of(atom, values)
    operands = [evaluate(operand, values) for operand in atom_operands(atom)]
    if isinstance(atom, FloorDiv):
        if operands[1] == 0:
            raise ShapeError(f"the size `{from_atom(atom)}` divides by zero: `{atom.denominator}` is 0")
        return operands[0] // operands[1]
    return min(operands) if isinstance(atom, Min) else max(operands)


def _value_of(atom: Symbol, values: Mapping[str, int]) -> int:
    if atom.name not in values:
        raise InternalError(f"evaluate: symbol {atom.name} has no value")
    return values[atom.name]


def parse_dim(text: str, scope: Scope | None = None) -> Dim:
    """The dim a text means: Python's ``+ - * // %``, parentheses, ``min``, ``max``, ``ceildiv``.

    Args:
        text: such as ``"2*m + 1"``.
        scope: what names mean, as a mapping or a function; without it every name is a symbol.

    Raises:
        ScriptError: the text is not such an expression, or a name is not in ``scope``.

    Example:
        >>> parse_dim("2*m + 1 - m")
        m + 1
    """
    return parse_expression(text, _resolver(scope))


def _resolver(scope: Scope | None) -> Callable[[str], Dim]:
    if scope is None:
        return symbol
    return scope if callable(scope) else lambda name: _look_up(name, scope)


def _look_up(name: str, scope: Mapping[str, Dim]) -> Dim:
    if name not in scope:
        close = nearest(name, scope)
        hint = f"did you mean `{close}`?" if close else None
        raise ScriptError(f"a size uses the unknown name `{name}`", hint=hint)
    return scope[name]
