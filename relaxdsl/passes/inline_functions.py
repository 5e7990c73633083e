"""InlineFunctions: calls of graph functions are replaced by the callee's body, its symbols by the caller's dims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from relaxdsl.errors import InternalError
from relaxdsl.ir.call_graph import is_recursive
from relaxdsl.ir.graph import Binding, Call, Expr, Function, GlobalVar, MatchCast, SeqExpr, Var, VarBinding
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.visit import all_bindings, bound_vars, copy_function, rewrite_function, substitute
from relaxdsl.passes.flatten_blocks import to_non_dataflow
from relaxdsl.passes.recursive_calls import Compile, as_host_call, recursive_function
from relaxdsl.types.dims import Dim, Symbol, free_symbols, is_symbol, symbol, symbols_of
from relaxdsl.types.match import unify_types
from relaxdsl.types.types import Type, dims_of


def inline_functions(function: Function, module: IRModule, compile_program: Compile) -> Function:
    """``function`` with every call of a graph function of ``module`` replaced by the callee's bindings.

    Functions that call themselves, directly or through others, are programs of their own: ``compile_program`` makes
    them when they are first called.

    before::

        lv = cls.layer(x, w)

    after::

        lv = relax.matmul(x, w)
        lv1 = relax.nn.relu(lv)
    """
    return _Inliner(module, function, compile_program).inlined(function)


class _Inliner:
    def __init__(self, module: IRModule, root: Function, compile_program: Compile) -> None:
        self._module = module
        self._compile_program = compile_program
        self._names = UniqueNames(var.name for var in bound_vars(root))
        self._symbols = UniqueNames(_symbols_in(root))

    def inlined(self, function: Function) -> Function:
        def on_binding(binding: Binding) -> Sequence[Binding] | None:
            call = binding.value
            callee = self._callee(call)
            if callee is None or not isinstance(call, Call):
                return None
            if is_recursive(callee.name, self._module):
                target = recursive_function(callee.name, self._module, self._compile_program)
                return (VarBinding(binding.var, as_host_call(call, callee, target), binding.span),)
            flat = to_non_dataflow(self.inlined(callee))
            body = self._body(flat, call)
            return (*body.bindings, _result_binding(binding, body.body, callee, call))

        return to_non_dataflow(rewrite_function(to_non_dataflow(function), on_binding))

    def _callee(self, value: Expr) -> Function | None:
        if not (isinstance(value, Call) and isinstance(value.op, GlobalVar)):
            return None
        callee = self._module[value.op.name]
        if not isinstance(callee, Function):
            raise InternalError(f"{value.op.name} is a kernel and is called without call_tir")
        return callee

    def _body(self, callee: Function, call: Call) -> SeqExpr:
        """The callee's body for this call, all names new."""
        dims = self._dims(callee, call)
        copy = copy_function(callee, self._names, dims)
        arguments: dict[Var, Expr] = dict(zip(copy.params, call.args, strict=True))
        body = substitute(copy.body, arguments)
        if not isinstance(body, SeqExpr):
            raise InternalError(f"{callee.name}: the body is not a sequence")
        return body

    def _dims(self, callee: Function, call: Call) -> dict[str, Dim]:
        """What the callee's symbols become: the arguments' dims; for data-dependent sizes, the call's or new ones."""
        params = [(param.name, param.type) for param in callee.params]
        dims = unify_types(params, [arg.type for arg in call.args], callee=callee.name)
        for inner, outer in _fresh_sizes(callee.ret_type, call.type):
            dims.setdefault(inner, outer)
        for name, own in _symbols_in(callee).items():
            if name not in dims:
                dims[name] = symbol(self._symbols.fresh(name), lower=own.lower, upper=own.upper)
        return dims


def _result_binding(binding: Binding, value: Expr, callee: Function, call: Call) -> Binding:
    """The call's variable as the callee's result; sizes that the callee's type leaves out are bound to those found."""
    if _leaves_sizes_out(callee.ret_type, call.type):
        return MatchCast(binding.var, value, call.type, binding.span)
    return VarBinding(binding.var, value, binding.span)


def _leaves_sizes_out(result: Type, call: Type) -> bool:
    return len(list(dims_of(result))) != len(list(dims_of(call)))


def _fresh_sizes(result: Type, call: Type) -> Iterator[tuple[str, Dim]]:
    if _leaves_sizes_out(result, call):
        return
    for inner, outer in zip(dims_of(result), dims_of(call), strict=True):
        if is_symbol(inner):
            yield free_symbols(inner)[0], outer


def _symbols_in(function: Function) -> dict[str, Symbol]:
    """Every symbol of the function's parameters and variables, by name."""
    variables = (*function.params, *(binding.var for binding in all_bindings(function)))
    return {each.name: each for var in variables for dim in dims_of(var.type) for each in symbols_of(dim)}
