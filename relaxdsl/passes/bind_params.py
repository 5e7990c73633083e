"""BindParams and BindSymbolicVars: parameters become constants, sizes become numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from relaxdsl.errors import ArgumentError, RelaxError, ScriptError, nearest
from relaxdsl.ir.call_graph import is_recursive
from relaxdsl.ir.graph import Expr, Function, HostObject, PrimValue, SeqExpr, ShapeExpr, Tuple, Var
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.visit import copy_function, substitute, used_globals
from relaxdsl.operators.calls import constant
from relaxdsl.passes.known_types import require_known
from relaxdsl.runtime.arguments import ArgumentReader, shown_signature
from relaxdsl.runtime.program import Declaration, IntLeaf, ObjectLeaf, ShapeLeaf, TensorLeaf, Tree, TupleTree
from relaxdsl.runtime.slots import SlotAllocator
from relaxdsl.types.dims import Dim, symbols_of, value_of_size
from relaxdsl.types.match import plan_binding, unify_types
from relaxdsl.types.types import AnyType, dims_of


def bind_params(function: Function, module: IRModule, values: Mapping[str, Any]) -> tuple[Function, IRModule]:
    """``function`` with values in place of the parameters and sizes of these names, and the part of ``module`` it uses.

    before::

        def f(x: Tensor((m, n)), w: Tensor((n, k))): return relax.matmul(x, w)

    after, where ``w`` is an array of shape (784, 10)::

        def f(x: Tensor((m, 784))): return relax.matmul(x, relax.constant(0))

    The sizes of the arrays determine symbols, which become numbers everywhere.

    Raises:
        ArgumentError: there is no parameter or size of that name, or the value does not fit.
        ShapeError: arrays' sizes contradict one another.
    """
    try:
        result = _bound(function, module, values)
    except RelaxError as error:
        error.at(function.span)
        raise
    return result, _module_of(result, module)


def _bound(function: Function, module: IRModule, values: Mapping[str, Any]) -> Function:
    sizes = _given_sizes(function, values)
    sized = copy_function(function, dims=sizes)
    given = {name: value for name, value in values.items() if name not in sizes}
    bound = [param for param in sized.params if param.name in given]
    exprs = _expressions(sized.name, bound, given)
    dims = _determined(sized.name, bound, exprs)
    copy = copy_function(sized, dims=dims)
    by_name = dict(zip((param.name for param in bound), exprs, strict=True))
    body = substitute(copy.body, {param: by_name[param.name] for param in copy.params if param.name in by_name})
    assert isinstance(body, SeqExpr)
    rest = tuple(param for param in copy.params if param.name not in by_name)
    # A recursive function goes on to call what it was.
    name = UniqueNames(module).fresh(copy.name) if is_recursive(copy.name, module) else copy.name
    return replace(copy, name=name, params=rest, body=body)


# ------------------------------------------------------------------------------------------------------------- sizes


def _given_sizes(function: Function, values: Mapping[str, Any]) -> dict[str, Dim]:
    """The sizes among the values: names that are no parameters'."""
    params = {param.name for param in function.params}
    symbols = {each.name: each for param in function.params for dim in dims_of(param.type) for each in symbols_of(dim)}
    sizes: dict[str, Dim] = {}
    for name, value in values.items():
        if name in params:
            continue
        if name not in symbols:
            raise _unknown(function, name, [*params, *symbols])
        sizes[name] = value_of_size(f"{function.name}.bind", symbols[name], value)
    return sizes


def _unknown(function: Function, name: str, known: Sequence[str]) -> ArgumentError:
    close = nearest(name, known)
    hint = None if close is None else f"did you mean {close}?"
    signature = shown_signature(function.name, [(param.name, param.type) for param in function.params])
    return ArgumentError(
        f"{function.name}.bind: there is no parameter and no size {name}", details=[signature], hint=hint
    )


def _determined(name: str, bound: Sequence[Var], exprs: Sequence[Expr]) -> dict[str, Dim]:
    """What the values' sizes make of the symbols."""
    params = [(param.name, param.type) for param in bound]
    try:
        plan_binding(params)
    except ScriptError as error:
        hint = "give such sizes as well, by name"
        raise ArgumentError(f"{name}.bind: {error.headline}", details=error.details, hint=hint) from None
    spans = [param.span for param in bound]
    return unify_types(params, [expr.type for expr in exprs], callee=f"{name}.bind", spans=spans)


# ------------------------------------------------------------------------------------------------------------ values


def _expressions(name: str, bound: Sequence[Var], values: Mapping[str, Any]) -> list[Expr]:
    """The values as the program's constants; they are accepted and converted as a call's arguments are."""
    params = [(param.name, param.type) for param in bound]
    for param in bound:
        require_known(f"{name}.bind", f"parameter {param.name}", param.type, None)
    slots = SlotAllocator()
    trees = [slots.tree(*param) for param in params]
    places = Declaration(params={param.name: param.span for param in bound})
    reader = ArgumentReader(f"{name}.bind", params, trees, places)
    leaves = (value for _, value in reader.read((), {param.name: values[param.name] for param in bound}))
    return [_expression(tree, leaves) for tree in trees]


def _expression(tree: Tree, leaves: Iterator[Any]) -> Expr:
    match tree:
        case TupleTree(fields=fields):
            return Tuple(tuple(_expression(field, leaves) for field in fields))
        case TensorLeaf():
            return constant(next(leaves))
        case IntLeaf():
            return PrimValue(next(leaves))
        case ShapeLeaf():
            return ShapeExpr(next(leaves))
        case ObjectLeaf():
            return HostObject(next(leaves), AnyType())


def _module_of(function: Function, module: IRModule) -> IRModule:
    """The function and what it calls; others may call it with the parameters that it had."""
    functions: dict[str, Function | PrimFunc] = {function.name: function}
    waiting = list(used_globals(function))
    while waiting:
        name = waiting.pop()
        if name in functions:
            continue
        called = functions[name] = module[name]
        if isinstance(called, Function):
            waiting += used_globals(called)
    return IRModule(functions)
