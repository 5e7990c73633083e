"""Walking graph programs, and rewriting them: where a rewrite changes nothing, the same object comes back.

Four ways to rewrite, from small to large: :func:`map_children` (one node), :func:`rewrite` (every expression, bottom
up), :func:`rewrite_function` (binding by binding; what most passes use), :func:`substitute` (variables and symbols).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from relaxdsl.ir.graph import (
    Binding,
    BindingBlock,
    Call,
    DataflowVar,
    Expr,
    Function,
    GlobalVar,
    If,
    MatchCast,
    PrimValue,
    SeqExpr,
    ShapeExpr,
    Tuple,
    TupleGetItem,
    Var,
    VarBinding,
)
from relaxdsl.ir.names import UniqueNames
from relaxdsl.types.dims import Dim, SymInt
from relaxdsl.types.dims import substitute as substitute_dim
from relaxdsl.types.types import PrimType, ShapeType, TensorType, TupleType, Type, dims_of

# -------------------------------------------------------------------------------------------------------------- walking


def children(expr: Expr) -> tuple[Expr, ...]:
    """The expressions directly under ``expr``, as evaluated; a sequence's are its bindings' values, then its body."""
    match expr:
        case Tuple(fields=fields):
            return fields
        case TupleGetItem(value=value):
            return (value,)
        case Call(op=op, args=args):
            return (op, *args) if isinstance(op, Expr) else args
        case If(condition=condition, then_branch=then_branch, else_branch=else_branch):
            return (condition, then_branch, else_branch)
        case SeqExpr(body=body):
            return (*(binding.value for binding in expr.bindings), body)
        case Function(body=body):
            return (body,)
        case _:
            return ()


def walk(expr: Expr) -> Iterator[Expr]:
    """``expr`` and every expression in it, a node before what is under it. Variables appear where they are used."""
    pending = [expr]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(children(node)))


def all_bindings(expr: Expr) -> Iterator[Binding]:
    """Every binding in ``expr``, of branches and inner functions too; an If's own comes after those of its branches."""
    if isinstance(expr, SeqExpr):
        for binding in expr.bindings:
            yield from all_bindings(binding.value)
            yield binding
        return
    for child in children(expr):
        yield from all_bindings(child)


def bound_vars(expr: Expr) -> tuple[Var, ...]:
    """The variables ``expr`` defines: parameters of functions in it, then those of bindings in order."""
    functions = (node for node in walk(expr) if isinstance(node, Function))
    params = (param for function in functions for param in function.params)
    return (*params, *(binding.var for binding in all_bindings(expr)))


def used_vars(expr: Expr) -> tuple[Var, ...]:
    """The variables ``expr`` uses, each once, in order of first use."""
    return tuple(dict.fromkeys(node for node in walk(expr) if isinstance(node, Var)))


def free_vars(expr: Expr) -> tuple[Var, ...]:
    """The variables ``expr`` uses and does not define, in order of first use."""
    bound = set(bound_vars(expr))
    return tuple(var for var in used_vars(expr) if var not in bound)


def used_globals(expr: Expr) -> tuple[str, ...]:
    """The names of the module's functions ``expr`` uses, in order of first use."""
    return tuple(dict.fromkeys(node.name for node in walk(expr) if isinstance(node, GlobalVar)))


def is_leaf(expr: Expr) -> bool:
    """Whether ``expr`` may stand as an argument by itself: it has no parts that are computed."""
    return not isinstance(expr, Call | TupleGetItem | SeqExpr | If | Function | Tuple)


def is_leaf_or_tuple(expr: Expr) -> bool:
    """Whether ``expr`` is a leaf or a (nested) tuple of leaves: what A-normal form allows as an argument."""
    if isinstance(expr, Tuple):
        return all(map(is_leaf_or_tuple, expr.fields))
    return is_leaf(expr)


# ----------------------------------------------------------------------------------------------------------- attributes


def map_dims_in_attrs(attrs: Mapping[str, Any], on_dim: Callable[[SymInt], Dim]) -> Mapping[str, Any]:
    """``attrs`` with every symbolic dim and every dim of a type mapped, inside tuples, lists, dicts and slices too."""
    new = {name: _map_attr(value, on_dim) for name, value in attrs.items()}
    return attrs if all(new[name] is attrs[name] for name in attrs) else MappingProxyType(new)


def symbolic_dims_in_attrs(attrs: Mapping[str, Any]) -> Iterator[SymInt]:
    """Every symbolic dim in ``attrs``, in order of the attributes' names."""
    for name in sorted(attrs):
        yield from _symbolic_dims(attrs[name])


def _symbolic_dims(value: object) -> Iterator[SymInt]:
    match value:
        case SymInt():
            yield value
        case Type():
            yield from (dim for dim in dims_of(value) if isinstance(dim, SymInt))
        case tuple() | list():
            for each in value:
                yield from _symbolic_dims(each)
        case dict() | MappingProxyType():
            yield from _symbolic_dims(tuple(value.values()))
        case slice():
            yield from _symbolic_dims((value.start, value.stop, value.step))


def _map_attr(value: Any, on_dim: Callable[[SymInt], Dim]) -> Any:
    match value:
        case SymInt():
            return on_dim(value)
        case Type():
            return map_dims_in_type(value, on_dim)
        case tuple() | list():
            return _unless_same(value, type(value)(_map_attr(each, on_dim) for each in value))
        case dict() | MappingProxyType():
            return map_dims_in_attrs(value, on_dim)
        case slice():
            old = (value.start, value.stop, value.step)
            new = tuple(_map_attr(each, on_dim) for each in old)
            return value if _same(new, old) else slice(*new)
        case _:
            return value


def map_dims_in_type(type_: Type, on_dim: Callable[[SymInt], Dim]) -> Type:
    """``type_`` with every symbolic dim mapped, but those of function types, whose symbols are their own."""

    def mapped(dims: tuple[Dim, ...]) -> tuple[Dim, ...]:
        new = tuple(on_dim(dim) if isinstance(dim, SymInt) else dim for dim in dims)
        return dims if _same(new, dims) else new

    match type_:
        case TensorType(shape=tuple(shape)):
            return type_ if (new := mapped(shape)) is shape else TensorType(new, type_.dtype)
        case ShapeType(values=tuple(shape)):
            return type_ if (new := mapped(shape)) is shape else ShapeType(new)
        case PrimType(value=SymInt() as value):
            return type_ if (new_value := on_dim(value)) is value else PrimType(type_.dtype, new_value)
        case TupleType(fields=fields):
            new_fields = _unless_same(fields, tuple(map_dims_in_type(each, on_dim) for each in fields))
            return type_ if new_fields is fields else TupleType(new_fields)
        case _:
            return type_


def all_dims(function: Function) -> Iterator[Dim]:
    """Every dim in ``function``: of its parameters, of its bindings in order, of what it returns."""
    for param in function.params:
        yield from dims_of(param.type)
    for binding in all_bindings(function):
        yield from dims_of_binding(binding)
    for node in walk(function.body.body):
        yield from dims_of_expr(node)
    yield from dims_of(function.ret_type)


def dims_of_binding(binding: Binding) -> Iterator[Dim]:
    """The dims in a binding: of its variable, and of all that is in its value."""
    yield from dims_of(binding.var.type)
    if isinstance(binding, MatchCast):
        yield from dims_of(binding.target)
    for node in walk(binding.value):
        yield from dims_of_expr(node)


def dims_of_expr(expr: Expr) -> Iterator[Dim]:
    """The dims that stand in the node ``expr`` itself: those of a shape, a prim value, attributes, a call's type."""
    match expr:
        case ShapeExpr(values=values):
            yield from values
        case PrimValue(value=value):
            yield value
        case Call(attrs=attrs, type=type_):
            yield from symbolic_dims_in_attrs(attrs)
            yield from dims_of(type_)


# ------------------------------------------------------------------------------------------------------------ rewriting


def _same(new: Sequence[object], old: Sequence[object]) -> bool:
    return len(new) == len(old) and all(a is b or (type(a) is int and a == b) for a, b in zip(new, old, strict=True))


def _unless_same(old: Any, new: Any) -> Any:
    return old if _same(new, old) else new


def map_children(expr: Expr, on_child: Callable[[Expr], Expr]) -> Expr:
    """``expr`` with each of its children mapped; ``expr`` itself if none changed."""
    match expr:
        case SeqExpr(blocks=blocks, body=body):
            new_blocks = _unless_same(blocks, tuple(_map_values(block, on_child) for block in blocks))
            new_body = on_child(body)
            return expr if new_blocks is blocks and new_body is body else SeqExpr(new_blocks, new_body, expr.span)
        case Tuple(fields=fields):
            new_fields = tuple(map(on_child, fields))
            return expr if _same(new_fields, fields) else Tuple(new_fields, expr.span)
        case Call(op=op, args=args):
            new_op: Any = on_child(op) if isinstance(op, Expr) else op
            new_args = tuple(map(on_child, args))
            return expr if new_op is op and _same(new_args, args) else replace(expr, op=new_op, args=new_args)
        case TupleGetItem(value=value):
            new_value = on_child(value)
            return expr if new_value is value else replace(expr, value=new_value)
        case Function(body=body):
            new_sequence: Any = on_child(body)
            return expr if new_sequence is body else replace(expr, body=new_sequence)
        case If():
            condition = on_child(expr.condition)
            then_branch: Any = on_child(expr.then_branch)
            else_branch: Any = on_child(expr.else_branch)
            new, old = (condition, then_branch, else_branch), (expr.condition, expr.then_branch, expr.else_branch)
            return expr if _same(new, old) else If(condition, then_branch, else_branch, expr.type, expr.span)
        case _:
            return expr


def _map_values(block: BindingBlock, on_child: Callable[[Expr], Expr]) -> BindingBlock:
    return with_bindings(block, (with_value(binding, on_child(binding.value)) for binding in block.bindings))


def with_value(binding: Binding, value: Expr) -> Binding:
    """The binding with another value (itself if the value is the same)."""
    return binding if value is binding.value else replace(binding, value=value)


def with_bindings(block: BindingBlock, bindings: Iterable[Binding]) -> BindingBlock:
    """A block of the same kind with these bindings (itself if they are the same)."""
    new = tuple(bindings)
    return block if _same(new, block.bindings) else type(block)(new)


def rewrite(expr: Expr, on_expr: Callable[[Expr], Expr | None]) -> Expr:
    """``expr`` with every expression in it offered to ``on_expr``, children first; None keeps what is offered."""
    with_new_children = map_children(expr, lambda child: rewrite(child, on_expr))
    replaced = on_expr(with_new_children)
    return with_new_children if replaced is None else replaced


Edit = Binding | Expr | Sequence[Binding] | None
"""What a rewrite makes of a binding; see :func:`rewrite_function`."""


def rewrite_function(function: Function, on_binding: Callable[[Binding], Edit]) -> Function:
    """``function`` with every binding, in order, replaced by what ``on_binding`` makes of it.

    A binding is offered with all earlier replacements already made in it, an ``If`` after its branches. The answer is

    * None: keep it.
    * a binding, or a sequence of bindings: put them in its place. Where the last one binds another variable, that
      variable replaces the old one from here on. No bindings at all: the binding is dropped.
    * an expression (a leaf or a tuple): drop the binding and use the expression wherever its variable was used.

    A variable that is visible outside its dataflow block stays visible: it is bound anew where its replacement is not.
    Blocks left empty are dropped.
    """
    return _BindingRewriter(on_binding).function(function)


class _BindingRewriter:
    """The state of :func:`rewrite_function`: which variables have been replaced by what."""

    def __init__(self, on_binding: Callable[[Binding], Edit]) -> None:
        self.on_binding = on_binding
        self.replaced: dict[Var, Expr] = {}

    def function(self, function: Function) -> Function:
        body = self.sequence(function.body)
        return function if body is function.body else replace(function, body=body)

    def sequence(self, sequence: SeqExpr) -> SeqExpr:
        rewritten = (self.block(block) for block in sequence.blocks)
        blocks = _unless_same(sequence.blocks, tuple(block for block in rewritten if block.bindings))
        body = self.value(sequence.body)
        unchanged = blocks is sequence.blocks and body is sequence.body
        return sequence if unchanged else SeqExpr(blocks, body, sequence.span)

    def block(self, block: BindingBlock) -> BindingBlock:
        return with_bindings(block, (new for old in block.bindings for new in self.binding(old)))

    def value(self, expr: Expr) -> Expr:
        match expr:
            case Var():
                return self.replaced.get(expr, expr)
            case SeqExpr():
                return self.sequence(expr)
            case _:
                return map_children(expr, self.value)

    def binding(self, old: Binding) -> Sequence[Binding]:
        offered = with_value(old, self.value(old.value))
        edit = self.on_binding(offered)
        match edit:
            case None:
                return (offered,)
            case Expr():
                return self.replace_var(old, edit)
            case VarBinding() | MatchCast():
                edit = (edit,)
        if not edit or edit[-1].var is old.var:
            return edit
        return (*edit, *self.replace_var(old, edit[-1].var))

    def replace_var(self, old: Binding, value: Expr) -> Sequence[Binding]:
        """Has ``value`` used for the old variable; what must be bound for that."""
        hidden = any(isinstance(var, DataflowVar) for var in used_vars(value))
        if hidden and not isinstance(old.var, DataflowVar):
            return (VarBinding(old.var, value, old.span),)
        self.replaced[old.var] = value
        return ()


# --------------------------------------------------------------------------------------------- substituting and copying


def substitute(expr: Expr, variables: Mapping[Var, Expr], dims: Mapping[str, Dim] | None = None) -> Expr:
    """``expr`` with free variables and symbols replaced: in expressions, types, attributes, shapes and prim values.

    Variables bound in ``expr`` whose types change are replaced by new ones of the same name.
    """
    return _Substitution(variables, dims or {}).expr(expr)


def copy_function(
    function: Function, names: UniqueNames | None = None, dims: Mapping[str, Dim] | None = None
) -> Function:
    """A copy of ``function`` that shares no variable with it, as inlining needs it.

    Args:
        names: gives the new variables' names; without it they keep their names.
        dims: what to put for the function's symbols.
    """
    fresh = (lambda name: name) if names is None else names.fresh
    copy = _Substitution({}, dims or {}, fresh).expr(function)
    assert isinstance(copy, Function)
    return copy


class _Substitution:
    """Replaces variables and symbols. ``rename`` names new variables; without it, variables are kept where possible."""

    def __init__(
        self,
        variables: Mapping[Var, Expr],
        dims: Mapping[str, Dim],
        rename: Callable[[str], str] | None = None,
    ) -> None:
        self.variables = dict(variables)
        self.dims = dims
        self.rename = rename

    def dim(self, dim: Dim) -> Dim:
        return substitute_dim(dim, self.dims)

    def type_(self, type_: Type) -> Type:
        return map_dims_in_type(type_, self.dim)

    def define(self, var: Var) -> Var:
        """The variable to define in place of ``var``; later uses follow."""
        new_type = self.type_(var.type)
        if self.rename is None and new_type is var.type:
            return var
        name = var.name if self.rename is None else self.rename(var.name)
        new = type(var)(name, new_type, var.span)
        self.variables[var] = new
        return new

    def expr(self, expr: Expr) -> Expr:
        match expr:
            case Var():
                return self.variables.get(expr, expr)
            case ShapeExpr(values=values):
                new_values = _unless_same(values, tuple(map(self.dim, values)))
                return expr if new_values is values else ShapeExpr(new_values, expr.span)
            case PrimValue(value=value):
                new_value = self.dim(value)
                return expr if new_value is value else PrimValue(new_value, expr.span)
            case SeqExpr():
                return self.sequence(expr)
            case Function():
                return self.function(expr)
            case _:
                return self.retyped(map_children(expr, self.expr))

    def retyped(self, expr: Expr) -> Expr:
        """``expr``, whose children are done, with symbols replaced in its own type and attributes."""
        if not self.dims or not isinstance(expr, Call | TupleGetItem | If):
            return expr
        type_ = self.type_(expr.type)
        if isinstance(expr, Call):
            attrs = map_dims_in_attrs(expr.attrs, self.dim)
            return expr if attrs is expr.attrs and type_ is expr.type else replace(expr, attrs=attrs, type=type_)
        return expr if type_ is expr.type else replace(expr, type=type_)

    def sequence(self, sequence: SeqExpr) -> SeqExpr:
        blocks = tuple(with_bindings(block, map(self.binding, block.bindings)) for block in sequence.blocks)
        body = self.expr(sequence.body)
        unchanged = _same(blocks, sequence.blocks) and body is sequence.body
        return sequence if unchanged else SeqExpr(blocks, body, sequence.span)

    def binding(self, binding: Binding) -> Binding:
        value = self.expr(binding.value)
        target = self.type_(binding.target) if isinstance(binding, MatchCast) else None
        var = self.define(binding.var)
        if isinstance(binding, MatchCast) and target is not None and target is not binding.target:
            return MatchCast(var, value, target, binding.span)
        return binding if var is binding.var and value is binding.value else replace(binding, var=var, value=value)

    def function(self, function: Function) -> Function:
        params = _unless_same(function.params, tuple(map(self.define, function.params)))
        body = self.sequence(function.body)
        ret_type = self.type_(function.ret_type)
        unchanged = params is function.params and body is function.body and ret_type is function.ret_type
        return function if unchanged else replace(function, params=params, body=body, ret_type=ret_type)
