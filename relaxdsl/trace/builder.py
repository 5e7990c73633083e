"""The BlockBuilder: builds functions in A-normal form, binding by binding. The script parser builds through it too.

An expression handed to :meth:`BlockBuilder.emit` may nest calls; the builder binds each inner call to a variable of
its own (once, however often the same object occurs), so what it holds is always in normal form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import field, replace
from types import MappingProxyType
from typing import Any

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ScriptError, Span
from relaxdsl.ir.call_graph import is_recursive
from relaxdsl.ir.equal import structural_equal, structural_hash
from relaxdsl.ir.graph import (
    Binding,
    BindingBlock,
    Call,
    DataflowBlock,
    DataflowVar,
    Expr,
    Function,
    GlobalVar,
    If,
    MatchCast,
    SeqExpr,
    Tuple,
    TupleGetItem,
    Var,
    VarBinding,
)
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.symbol_bounds import with_declared_bounds
from relaxdsl.ir.visit import rewrite, used_globals
from relaxdsl.kernels.out_of_range import KnownSizes
from relaxdsl.operators.calls import as_expr, call_context, current_context
from relaxdsl.trace.dataflow import close_dataflow_block, form_dataflow_blocks, require_dataflow
from relaxdsl.trace.debug import DebugKernel, call_checked, debug_kernel, is_debug
from relaxdsl.trace.kernel_calls import call_te
from relaxdsl.trace.known_sizes import known_sizes
from relaxdsl.tracebacks import short_tracebacks_of_methods
from relaxdsl.types.dims import Dim, symbol
from relaxdsl.types.match import require_castable
from relaxdsl.types.symint import user_compares
from relaxdsl.types.types import AnyType, FuncType, Type, free_symbols_of, join

_current: ContextVar[BlockBuilder | None] = ContextVar("relaxdsl_builder", default=None)


def current_builder() -> BlockBuilder | None:
    """The builder whose function is being built, if any."""
    return _current.get()


@dataclass(slots=True)
class _Scope:
    """Open blocks: the function's body, or a branch of an If. ``memo`` maps id(expression) to (expression,
    variable).
    """

    blocks: list[BindingBlock] = field(default_factory=list)
    bindings: list[Binding] = field(default_factory=list)
    memo: dict[int, tuple[Expr, Expr]] = field(default_factory=dict)
    in_dataflow: bool = False


@dataclass(slots=True)
class _FunctionState:
    name: str
    params: tuple[Var, ...] | None
    is_pure: bool
    attrs: Mapping[str, Any]
    span: Span | None
    forms_dataflow: bool
    names: UniqueNames = field(default_factory=UniqueNames)
    symbol_names: UniqueNames = field(default_factory=UniqueNames)
    scopes: list[_Scope] = field(default_factory=lambda: [_Scope()])
    result: GlobalVar | None = None


@short_tracebacks_of_methods()
class BlockBuilder:
    """Builds a module, one function at a time.

    Example:
        >>> import relaxdsl as relax
        >>> m = relax.dims("m")
        >>> x = relax.Var("x", relax.Tensor((m, 224), "float32"))
        >>> bb = relax.BlockBuilder()
        >>> with bb.function("main", [x]):
        ...     with bb.dataflow():
        ...         y = bb.emit_output(relax.flatten(x))
        ...     _ = bb.emit_func_output(y)
        >>> print(y.type)
        relax.Tensor((m * 224,), "float32")
    """

    def __init__(self, module: IRModule | None = None, *, debug: bool | None = None) -> None:
        """A builder of a new module, or of one that starts with the functions of ``module``.

        Args:
            debug: whether calls of kernels that do not say it themselves check what these access; by default, whether
                the environment variable ``RELAXDSL_DEBUG`` is 1.
        """
        self._debug = debug
        self._functions: dict[str, Function | PrimFunc] = {}
        self._names = UniqueNames()
        self._kept_names: set[str] = set()
        self._by_hash: dict[int, list[str]] = {}
        self._adopted: dict[int, tuple[Any, GlobalVar]] = {}
        self._state: _FunctionState | None = None
        self.debug_kernels: dict[str, DebugKernel | None] = {}
        """What to call instead of kernels of the module that are in debug mode; None for those that are not."""
        for name, function in module.functions.items() if module is not None else ():
            self._add_new(function, name)

    # ------------------------------------------------------------------------------------ functions

    @contextmanager
    def function(
        self,
        name: str,
        params: Sequence[Var] | None = None,
        *,
        pure: bool = True,
        private: bool = False,
        attrs: Mapping[str, Any] = MappingProxyType({}),
        span: Span | None = None,
        form_dataflow: bool = False,
    ) -> Iterator[None]:
        """Within the block, builds the function ``name``; :meth:`emit_func_output` ends it.

        Args:
            params: the parameters; may be given to ``emit_func_output`` instead.
            form_dataflow: put maximal runs of pure bindings into dataflow blocks.

        Raises:
            ScriptError: inside another function; without a name, or without ``emit_func_output``.
        """
        if not isinstance(name, str):
            raise ScriptError(
                f"BlockBuilder.function: the name of a function is a text, got {type(name).__name__}",
                hint='the parameters come after it: bb.function("main", [x])',
            )
        if self._state is not None:
            raise ScriptError(f"BlockBuilder.function: {self._state.name} is being built; functions do not nest")
        attrs = MappingProxyType({**attrs, "private": True} if private else dict(attrs))
        # The name is taken now: what the body adds to the module must not take it.
        self._state = _FunctionState(
            self._name_of_new(name), None if params is None else tuple(params), pure, attrs, span, form_dataflow
        )
        self._reserve_names(self._state.params or ())
        token = _current.set(self)
        try:
            with call_context(fresh_symbol=self.fresh_symbol):
                yield
            if self._state.result is None:
                raise ScriptError(f"BlockBuilder.function: {name} has no emit_func_output")
        finally:
            _current.reset(token)
            self._state = None

    def emit_func_output(
        self, output: Any, params: Sequence[Var] | None = None, *, ret_type: Type | None = None
    ) -> GlobalVar:
        """Ends the function with ``output`` (an expression, or a tuple of them) as its result.

        Raises:
            ScriptError: a second time; with parameters given twice or never.
        """
        state = self._function_state("emit_func_output")
        if state.result is not None:
            raise ScriptError(f"BlockBuilder.emit_func_output: {state.name} already has its output")
        if (params is None) == (state.params is None):
            how = "twice" if params is not None else "neither here nor in function()"
            raise ScriptError(f"BlockBuilder.emit_func_output: the parameters of {state.name} are given {how}")
        state.params = tuple(params) if params is not None else state.params
        value = self.normalize(as_expr(output, f"the output of {state.name}"))
        body = self._close_scope(state.scopes[0], value)
        if state.forms_dataflow:
            body = form_dataflow_blocks(body)
        function = Function(
            state.name, state.params or (), body, ret_type or value.type, state.is_pure, state.attrs, state.span
        )
        state.result = self.add_named(state.name, with_declared_bounds(function))
        return state.result

    def add_func(self, function: Function | PrimFunc, name: str | None = None) -> GlobalVar:
        """The module's name of ``function``: that of a structurally equal one if there is one, else a new one."""
        key = structural_hash(function)
        for known in self._by_hash.get(key, ()):
            if structural_equal(self._functions[known], function):
                return self.get_global_var(known)
        return self._add_new(function, name or function.name)

    def adopt(self, owner: Any, function: Function, module: IRModule) -> GlobalVar:
        """The module's name of another program's ``function`` (with all that it calls), added once per ``owner``."""
        if id(owner) not in self._adopted:
            root = next(name for name, other in module.functions.items() if other is function)
            self._adopted[id(owner)] = (owner, self._adopt_with_callees(root, module, {}))
        return self._adopted[id(owner)][1]

    def _adopt_with_callees(self, name: str, module: IRModule, adopted: dict[str, GlobalVar]) -> GlobalVar:
        """Adds a function of another module after all that it calls; ``adopted`` has their new names."""
        function = module[name]
        if isinstance(function, Function) and is_recursive(name, module):  # those that it calls need its name first
            adopted[name] = GlobalVar(self.get_unique_name(name), function.type)
        if isinstance(function, Function):
            for callee in used_globals(function):
                if callee not in adopted:
                    self._adopt_with_callees(callee, module, adopted)
            function = _rename_callees(function, adopted)
        if name not in adopted:
            adopted[name] = self.add_func(function, name)
        else:
            self.add_named(adopted[name].name, replace(function, name=adopted[name].name))
        return adopted[name]

    def update_func(self, name: GlobalVar | str, function: Function | PrimFunc) -> None:
        """Replaces the function called ``name``.

        Raises:
            ScriptError: if there is none.
        """
        key = name.name if isinstance(name, GlobalVar) else name
        if key not in self._functions:
            raise ScriptError(f"BlockBuilder.update_func: there is no function {key}")
        self._functions[key] = function

    def get(self) -> IRModule:
        """The module built so far."""
        return IRModule(MappingProxyType(dict(self._functions)))

    def get_global_var(self, name: str) -> GlobalVar:
        """The name of a function of the module, as an expression."""
        function = self._functions[name]
        type_ = function.type if isinstance(function, Function) else FuncType(None, AnyType(), True)
        return GlobalVar(name, type_)

    def keep_name(self, name: str) -> None:
        """The next function that is built as ``name`` has this name; none that is added meanwhile takes it."""
        self._names.reserve(name)
        self._kept_names.add(name)

    def _name_of_new(self, name: str) -> str:
        if name not in self._kept_names:
            return self._names.fresh(name)
        self._kept_names.remove(name)
        return name

    def get_unique_name(self, hint: str) -> str:
        """A name not used in the module yet."""
        return self._names.fresh(hint)

    def add_named(self, name: str, function: Function | PrimFunc) -> GlobalVar:
        """Adds ``function`` under exactly this name.

        Raises:
            ScriptError: the module has a function of this name.
        """
        if name in self._functions:
            raise ScriptError(f"BlockBuilder.add_named: there is a function {name} already")
        self._names.reserve(name)
        self._functions[name] = function
        self._by_hash.setdefault(structural_hash(function), []).append(name)
        return self.get_global_var(name)

    def _add_new(self, function: Function | PrimFunc, hint: str) -> GlobalVar:
        return self.add_named(self._names.fresh(hint), function)

    # ------------------------------------------------------------------------------------- bindings

    @contextmanager
    def dataflow(self) -> Iterator[None]:
        """Within the block, bindings are pure and stay inside, but for those of :meth:`emit_output`."""
        scope = self._open_dataflow()
        try:
            yield
            self._flush(scope)
        finally:
            scope.in_dataflow = False

    @contextmanager
    def dataflow_with_outputs(self, outputs: Callable[[], Sequence[Var]]) -> Iterator[dict[Var, Var]]:
        """Like :meth:`dataflow`, with the outputs named at its end. The yielded dict then maps them to outer
        variables.
        """
        scope = self._open_dataflow()
        outer: dict[Var, Var] = {}
        yield outer
        bindings, renamed = close_dataflow_block(tuple(scope.bindings), outputs())
        outer.update(renamed)
        scope.bindings = list(bindings)
        self._flush(scope)
        scope.memo.clear()
        scope.in_dataflow = False

    def emit(self, expr: Any, name_hint: str = "") -> Var:
        """A new variable bound to ``expr``.

        Raises:
            ScriptError: outside of a function; an impure call or an If inside a dataflow block.
        """
        return self._emit(as_expr(expr, "emit"), name_hint, is_output=False)

    def emit_output(self, expr: Any, name_hint: str = "") -> Var:
        """A new variable bound to ``expr``, visible after the dataflow block.

        Raises:
            ScriptError: outside of a dataflow block.
        """
        if not self.current_block_is_dataflow():
            raise ScriptError("BlockBuilder.emit_output: there is no dataflow block to leave; use emit")
        return self._emit(as_expr(expr, "emit_output"), name_hint, is_output=True)

    def match_cast(self, value: Any, target: Type, name_hint: str = "") -> Var:
        """A new variable: ``value``, asserted at run time to be of type ``target``; its new symbols are bound there.

        Raises:
            DTypeError, ShapeError: it certainly is of another kind, dtype or rank.
        """
        scope = self._scope("match_cast")
        leaf = self.normalize(as_expr(value, "match_cast"))
        require_castable(leaf.type, target)
        var = self._new_var(scope, name_hint, target, is_output=False)
        scope.bindings.append(MatchCast(var, leaf, target, current_context().span))
        return var

    def emit_te(self, fn: Callable[..., Any], *args: Any, name_hint: str = "", **kwargs: Any) -> Var:
        """:meth:`call_te`, bound to a new variable."""
        return self.emit(self.call_te(fn, *args, **kwargs), name_hint)

    def call_te(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Call:
        """A ``call_tir`` of the kernel that the TE function ``fn`` describes (see :func:`relaxdsl.emit_te`)."""
        call = call_te(self.add_func, self._known_sizes, fn, args, kwargs)
        with user_compares(False):
            return self.checked_call(call)

    def checked_call(self, call: Call) -> Call:
        """The ``call_tir``, or what checks the accesses that its kernel makes if that is in debug mode."""
        (callee, _), kernels = call.args, self.debug_kernels
        assert isinstance(callee, GlobalVar)
        if callee.name not in kernels:
            function = self._functions[callee.name]
            assert isinstance(function, PrimFunc)
            kernels[callee.name] = debug_kernel(function) if is_debug(self._debug) else None
        debug = kernels[callee.name]
        return call if debug is None else call_checked(self, debug, call)

    def _known_sizes(self) -> KnownSizes:
        """What is known of sizes where the next binding will be."""
        state = self._function_state("call_te")
        blocks = (block for scope in state.scopes for block in (*scope.blocks, BindingBlock(tuple(scope.bindings))))
        return known_sizes(state.params or (), (binding for block in blocks for binding in block.bindings))

    def current_block_is_dataflow(self) -> bool:
        """Whether bindings go into a dataflow block now."""
        return self._state is not None and self._state.scopes[-1].in_dataflow

    def lookup_binding(self, var: Var) -> Expr | None:
        """What ``var`` is bound to in the function being built."""
        state = self._function_state("lookup_binding")
        for scope in reversed(state.scopes):
            known = [binding for block in scope.blocks for binding in block.bindings] + scope.bindings
            for binding in known:
                if binding.var is var:
                    return binding.value
        return None

    def fresh_symbol(self, hint: str) -> Dim:
        """A new symbol, distinct from the function's other symbols."""
        return symbol(self._function_state("fresh_symbol").symbol_names.fresh(hint))

    def reserve_symbol(self, name: str) -> None:
        """Keeps fresh symbols from being called ``name``."""
        self._function_state("reserve_symbol").symbol_names.reserve(name)

    # ------------------------------------------------------------------------------------- branches

    @contextmanager
    def branch(self) -> Iterator[Callable[[Any], SeqExpr]]:
        """Within the block, bindings go to a branch of an If; the yielded function closes it with its value."""
        state = self._function_state("branch")
        scope = _Scope(memo=dict(state.scopes[-1].memo))
        state.scopes.append(scope)

        def close(value: Any) -> SeqExpr:
            return self._close_scope(scope, self.normalize(as_expr(value, "a branch")))

        try:
            yield close
        finally:
            state.scopes.pop()

    def emit_if(self, condition: Expr, then_branch: SeqExpr, else_branch: SeqExpr, name_hint: str = "") -> Var:
        """A new variable: the value of the branch that ``condition`` (a 0-d bool tensor) picks.

        Raises:
            ShapeError: if the branches' types have nothing in common.
        """
        joined = join(then_branch.type, else_branch.type, lambda: self.fresh_symbol("u"))
        leaf = self.normalize(condition)
        return self.emit(If(leaf, then_branch, else_branch, joined, current_context().span), name_hint)

    # ---------------------------------------------------------------------------------- normal form

    def normalize(self, expr: Expr) -> Expr:
        """``expr`` as a leaf or a tuple of leaves; inner calls are bound to new variables."""
        if isinstance(expr, Call | TupleGetItem | If | SeqExpr):
            return self._bound(expr)
        if isinstance(expr, Tuple):
            fields = tuple(map(self.normalize, expr.fields))
            return expr if all(a is b for a, b in zip(fields, expr.fields, strict=True)) else Tuple(fields, expr.span)
        return expr

    def _bound(self, expr: Expr) -> Expr:
        scope = self._scope("normalize")
        known = scope.memo.get(id(expr))
        if known is not None:
            return known[1]
        value = self._normalize_operands(expr)
        leaf = value if not isinstance(value, Call | TupleGetItem | If | SeqExpr) else self._bind(value, "", False)
        scope.memo[id(expr)] = (expr, leaf)
        return leaf

    def _normalize_operands(self, expr: Expr) -> Expr:
        if isinstance(expr, Call):
            args = tuple(map(self.normalize, expr.args))
            if all(a is b for a, b in zip(args, expr.args, strict=True)):
                return expr
            return Call(expr.op, args, expr.attrs, expr.type, expr.span)
        if isinstance(expr, TupleGetItem):
            value = self.normalize(expr.value)
            if isinstance(value, Tuple):
                return value.fields[expr.index]
            return expr if value is expr.value else TupleGetItem(value, expr.index, expr.type, expr.span)
        return expr

    def _emit(self, expr: Expr, name_hint: str, *, is_output: bool) -> Var:
        scope = self._scope("emit")
        known = scope.memo.get(id(expr))
        value = known[1] if known is not None else self._normalize_operands(expr)
        if isinstance(value, Tuple):
            value = self.normalize(value)
        var = self._bind(value, name_hint, is_output)
        scope.memo.setdefault(id(expr), (expr, var))
        return var

    def _bind(self, value: Expr, name_hint: str, is_output: bool) -> Var:
        scope = self._scope("emit")
        if scope.in_dataflow:
            require_dataflow(value)
        var = self._new_var(scope, name_hint, value.type, is_output)
        span = value.span if not isinstance(value, Var) else current_context().span
        scope.bindings.append(VarBinding(var, value, span))
        return var

    # ------------------------------------------------------------------------------------ internals

    def _new_var(self, scope: _Scope, name_hint: str, type_: Type, is_output: bool) -> Var:
        inside = scope.in_dataflow and not is_output
        names = self._function_state("emit").names
        name = names.fresh(name_hint or ("lv" if inside else "gv"))
        return (DataflowVar if inside else Var)(name, type_, current_context().span)

    def _reserve_names(self, params: Sequence[Var]) -> None:
        state = self._function_state("function")
        for param in params:
            state.names.reserve(param.name)
            for name in free_symbols_of(param.type):
                state.symbol_names.reserve(name)

    def _open_dataflow(self) -> _Scope:
        scope = self._scope("dataflow")
        if scope.in_dataflow:
            raise ScriptError("dataflow blocks do not nest", span=current_context().span)
        self._flush(scope)
        scope.in_dataflow = True
        return scope

    def _flush(self, scope: _Scope) -> None:
        if scope.bindings:
            kind = DataflowBlock if scope.in_dataflow else BindingBlock
            scope.blocks.append(kind(tuple(scope.bindings)))
        scope.bindings = []

    def _close_scope(self, scope: _Scope, value: Expr) -> SeqExpr:
        self._flush(scope)
        return SeqExpr(tuple(scope.blocks), value, value.span)

    def _scope(self, caller: str) -> _Scope:
        return self._function_state(caller).scopes[-1]

    def _function_state(self, caller: str) -> _FunctionState:
        if self._state is None:
            raise ScriptError(
                f"BlockBuilder.{caller}: no function is being built; use `with builder.function(name, params):`"
            )
        return self._state


def _rename_callees(function: Function, names: Mapping[str, GlobalVar]) -> Function:
    """``function`` with the functions it calls under their new names."""

    def renamed(expr: Expr) -> Expr | None:
        return names.get(expr.name) if isinstance(expr, GlobalVar) else None

    result = rewrite(function, renamed)
    assert isinstance(result, Function)
    return result
