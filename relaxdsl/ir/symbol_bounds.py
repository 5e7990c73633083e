"""Bounds that a function's attributes declare become bounds of its symbols, where every pass finds them."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from relaxdsl.errors import ScriptError
from relaxdsl.ir.graph import Function
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.visit import all_dims, copy_function
from relaxdsl.types.bounds import bounded_symbols, different_bounds, sizes_of_attributes, without_bounds
from relaxdsl.types.dims import Dim, Symbol, symbols_of
from relaxdsl.types.symint import from_atom


def with_declared_bounds(function: Function) -> Function:
    """The function, all its symbols of one name with the same bounds, and no attributes for bounds.

    before::

        @relax.function(attrs={"tir_var_upper_bound": {"m": 1024}})      # m is not known to be at most 1024

    after::

        @relax.function                                                  # m is: it is dims("m", upper=1024)

    Raises:
        ScriptError: a name has different bounds, or a bound is for no symbol of the function.
    """
    known: dict[str, list[Symbol]] = {}
    for each in dict.fromkeys(each for dim in all_dims(function) for each in symbols_of(dim)):
        known.setdefault(each.name, []).append(each)
    bounds = _all_bounds(function, known)
    others = without_bounds(function.attrs)
    if len(others) != len(function.attrs):
        function = replace(function, attrs=MappingProxyType(others))
    changed: dict[str, Dim] = {name: from_atom(each) for name, each in bounds.items() if known[name] != [each]}
    return copy_function(function, dims=changed) if changed else function


def _all_bounds(function: Function, known: dict[str, list[Symbol]]) -> dict[str, Symbol]:
    """The symbols with bounds, those of the attributes among them."""
    found = bounded_symbols(from_atom(each) for same in known.values() for each in same)
    for name, size in sizes_of_attributes(function.attrs).items():
        (declared,) = symbols_of(size)
        if name not in known:
            raise ScriptError(
                f"{function.name}: a bound is declared for {name}, which is no size of the function",
                hint=f"its sizes are {', '.join(known)}" if known else None,
            )
        if found.setdefault(name, declared) is not declared:
            raise different_bounds(found[name], declared)
    return found


def module_with_declared_bounds(module: IRModule) -> IRModule:
    """The module, each of its graph functions :func:`with_declared_bounds`."""
    changed = {name: with_declared_bounds(function) for name, function in module.graph_functions.items()}
    if all(changed[name] is function for name, function in module.graph_functions.items()):
        return module
    return module.with_functions({**module.functions, **changed})
