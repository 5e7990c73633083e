"""Bounds of symbols as attributes of a function, under Relax's names: ``{"tir_var_upper_bound": {"m": 1024}}``.

In a program the bounds are part of its symbols; attributes are how script says them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from relaxdsl.errors import ScriptError, nearest
from relaxdsl.types.atoms import Symbol
from relaxdsl.types.dims import Dim, SymInt, is_symbol, symbol, symbols_of

LOWER_BOUND = "tir_var_lower_bound"
UPPER_BOUND = "tir_var_upper_bound"

Sizes = Mapping[str, SymInt]


def has_bounds(each: Symbol) -> bool:
    """Whether more is known of the symbol than that it is a size."""
    return each.lower != 0 or each.upper is not None


def bounded_symbols(dims: Iterable[Dim]) -> dict[str, Symbol]:
    """The symbols with bounds in ``dims``, by name.

    Raises:
        ScriptError: one name has different bounds.
    """
    found: dict[str, Symbol] = {}
    for dim in dims:
        for each in symbols_of(dim):
            if has_bounds(each) and found.setdefault(each.name, each) is not each:
                raise different_bounds(found[each.name], each)
    return found


def different_bounds(one: Symbol, other: Symbol) -> ScriptError:
    """The error for two symbols of one name."""
    details = (f"it has {describe_bounds(one)}", f"and also {describe_bounds(other)}")
    return ScriptError(f"symbol {one.name} is declared with different bounds", details=details)


def describe_bounds(each: Symbol) -> str:
    """The bounds as messages say them, such as ``0 <= m <= 8``."""
    upper = "" if each.upper is None else f" <= {each.upper}"
    return f"{each.lower} <= {each.name}{upper}"


_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def declaration(left: Dim, op: str, right: Dim) -> str | None:
    """How to declare a size of which ``left op right`` holds; None where bounds of one size do not say that.

    Example:
        >>> n = symbol("n")
        >>> declaration(n, ">", 0), declaration(8, ">=", n), declaration(n * 2, ">", 0)
        ('n = relax.dims("n", lower=1)', 'n = relax.dims("n", upper=8)', None)
    """
    if op not in _MIRRORED:
        return None
    if isinstance(left, int):
        left, op, right = right, _MIRRORED[op], left
    if not is_symbol(left) or not isinstance(right, int):
        return None
    (known,) = symbols_of(left)
    lower, upper = known.lower, known.upper
    match op:
        case ">" | ">=":
            lower = max(lower, right + (op == ">"))
        case "<" | "<=":
            upper = right - (op == "<")
    bounds = f"{f', lower={lower}' if lower else ''}{f', upper={upper}' if upper is not None else ''}"
    return f'{known.name} = relax.dims("{known.name}"{bounds})' if upper is None or lower <= upper else None


def attributes_of(symbols: Iterable[Symbol]) -> dict[str, dict[str, int]]:
    """The bounds of the symbols as attributes; none for symbols without bounds."""
    known = sorted(set(symbols), key=lambda each: each.name)
    lower = {each.name: each.lower for each in known if each.lower != 0}
    upper = {each.name: each.upper for each in known if each.upper is not None}
    return {key: bounds for key, bounds in ((LOWER_BOUND, lower), (UPPER_BOUND, upper)) if bounds}


def sizes_of_attributes(attrs: Mapping[str, Any]) -> dict[str, SymInt]:
    """The sizes whose bounds stand in the attributes of a function, by name.

    Raises:
        ScriptError: something else than a dict of integers stands there, or an attribute is called nearly so.
        ShapeError: bounds leave no value.
    """
    require_no_misspelt_bound(attrs)
    lower, upper = (_checked(key, attrs.get(key) or {}) for key in (LOWER_BOUND, UPPER_BOUND))
    names = dict.fromkeys([*lower, *upper])
    return {name: symbol(name, lower=lower.get(name, 0), upper=upper.get(name)) for name in names}


def require_no_misspelt_bound(attrs: Mapping[str, Any]) -> None:
    """Refuses attributes whose names are close to those of bounds. A function carries all others as they are.

    Raises:
        ScriptError: there is one.
    """
    for name in without_bounds(attrs):
        close = nearest(str(name), (LOWER_BOUND, UPPER_BOUND))
        if close is not None:
            raise ScriptError(f"there is no attribute {name} of a function", hint=f"did you mean {close}?")


def _checked(key: str, bounds: Any) -> Mapping[str, int]:
    if not isinstance(bounds, Mapping):
        raise ScriptError(f"{key} is {bounds!r}", hint=f'write attrs={{"{key}": {{"m": 1024}}}}')
    for name, bound in bounds.items():
        if not isinstance(bound, int) or isinstance(bound, bool):
            raise ScriptError(f"{key}: the bound of {name} is an integer, not {bound!r}")
    return bounds


def without_bounds(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """The other attributes."""
    return {name: value for name, value in attrs.items() if name not in (LOWER_BOUND, UPPER_BOUND)}
