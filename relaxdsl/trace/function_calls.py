"""Calls of graph functions: another program, which joins the module, or a function of the module by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from relaxdsl.errors import ArgumentError, RelaxError, nearest
from relaxdsl.ir.graph import NO_ATTRS, Call, Expr, Function, GlobalVar, PrimValue, ShapeExpr
from relaxdsl.ir.module import IRModule
from relaxdsl.operators.calls import as_expr, current_context, fresh_symbol
from relaxdsl.trace.builder import BlockBuilder
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import Dim, Symbol, SymInt, free_symbols, symbol, symbols_of
from relaxdsl.types.match import unify_types
from relaxdsl.types.types import (
    FuncType,
    PrimType,
    ShapeType,
    TensorType,
    Type,
    dims_of,
    substitute_type,
    with_named_sizes,
)


@runtime_checkable
class Program(Protocol):
    """What ``@relax.function`` makes: a graph function and the module it lives in."""

    @property
    def ir(self) -> Function:
        """The function."""

    @property
    def module(self) -> IRModule:
        """The module, with all that the function calls."""


def call_program(
    builder: BlockBuilder, program: Program, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None
) -> Expr:
    """The call of another program, which joins the builder's module. Its symbols become dims of the caller.

    Raises:
        ArgumentError, DTypeError, ShapeError: the arguments do not fit its parameters.
    """
    callee = builder.adopt(program, program.ir, program.module)
    params = [(param.name, param.type) for param in program.ir.params]
    values = _positional(program.ir.name, [name for name, _ in params], args, kwargs or {})
    return _call(callee, program.ir.name, params, program.ir.ret_type, program.ir.is_pure, values)


def call_global(builder: BlockBuilder, callee: GlobalVar, args: Sequence[Any]) -> Expr:
    """The call of a graph function of the module, by its name.

    Raises:
        ArgumentError: it is not a graph function.
        ArgumentError, DTypeError, ShapeError: the arguments do not fit its parameters.
    """
    type_ = callee.type
    if not isinstance(type_, FuncType) or type_.params is None:
        raise ArgumentError(
            f"{callee.name} is not a graph function, so it cannot be called by itself",
            hint=f"call a kernel with relax.call_tir(cls.{callee.name}, (…), out=…)",
        )
    known = builder.get().functions.get(callee.name)
    names = [str(i) for i in range(len(type_.params))]
    if isinstance(known, Function):
        names = [param.name for param in known.params]
    return _call(callee, callee.name, list(zip(names, type_.params, strict=True)), type_.ret, type_.pure, args)


def _positional(callee: str, names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """All arguments in the order of the parameters."""
    for name in kwargs:
        if name not in names:
            close = nearest(name, names)
            hint = f"did you mean {close!r}?" if close is not None else None
            raise ArgumentError(f"{callee}: unknown argument {name!r}", hint=hint)
    given = dict(zip(names, args, strict=False))
    twice = next((name for name in kwargs if name in given), None)
    if twice is not None:
        raise ArgumentError(f"{callee}: argument {twice!r} is given twice")
    given.update(kwargs)
    missing = [name for name in names if name not in given]
    if missing and kwargs:
        raise ArgumentError(f"{callee}: argument {missing[0]!r} is missing")
    return [*args, *(given[name] for name in names[len(args) :] if name in given)]


def _call(
    callee: GlobalVar, name: str, params: Sequence[tuple[str, Type]], ret: Type, pure: bool, values: Sequence[Any]
) -> Expr:
    """The typed call; symbols of the result that no argument binds are data-dependent, so they are new in the
    caller.
    """
    context = current_context()
    if len(values) != len(params):
        count = counted(len(params), "argument")
        raise ArgumentError(f"{name}: takes {count}, got {len(values)}", span=context.span)
    args = tuple(
        _as_argument(value, type_, f"{name}: argument {param}")
        for value, (param, type_) in zip(values, params, strict=True)
    )
    try:
        symbols = unify_types(params, [arg.type for arg in args], callee=name, on_undecided=context.accept_undecided)
    except RelaxError as error:
        error.at(context.span)
        raise
    found = dict.fromkeys(each for dim in dims_of(ret) for each in symbols_of(dim) if each.name not in symbols)
    fresh: dict[str, Dim] = {each.name: _fresh_like(each) for each in found}
    result = with_named_sizes(substitute_type(ret, {**symbols, **fresh}), "u", fresh_symbol)
    call = Call(callee, args, NO_ATTRS, result, context.span)
    return call if pure or context.emit_impure is None else context.emit_impure(call)


def _fresh_like(known: Symbol) -> Dim:
    """A new symbol of the caller's for one of the callee's, with its bounds."""
    (name,) = free_symbols(fresh_symbol(known.name))
    return symbol(name, lower=known.lower, upper=known.upper)


def _as_argument(value: Any, declared: Type, what: str) -> Expr:
    """The argument as an expression of the declared kind: numbers take the declared dtype, tuples of sizes become
    shapes.
    """
    if isinstance(declared, PrimType) and isinstance(value, int | SymInt) and not isinstance(value, bool):
        return PrimValue(value, current_context().span)
    if isinstance(declared, ShapeType) and isinstance(value, list | tuple):
        return ShapeExpr(tuple(value), current_context().span)
    dtypes = [declared.dtype] if isinstance(declared, TensorType) and declared.dtype is not None else []
    return as_expr(value, what, dtypes)
