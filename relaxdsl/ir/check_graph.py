"""The rules of graph functions (numbers 1 to 17 of :mod:`relaxdsl.ir.rules`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from relaxdsl.errors import RelaxError
from relaxdsl.ir.graph import (
    Binding,
    BindingBlock,
    Call,
    DataflowBlock,
    DataflowVar,
    Expr,
    ExternFunc,
    Function,
    GlobalVar,
    If,
    MatchCast,
    Op,
    PrimValue,
    SeqExpr,
    ShapeExpr,
    Tuple,
    TupleGetItem,
    Var,
)
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.print_graph import CALLS_WITH_OUT, summary
from relaxdsl.ir.rules import Stage, Violation
from relaxdsl.ir.signature import bind_kernel_symbols, output_type
from relaxdsl.ir.visit import children, is_leaf_or_tuple, symbolic_dims_in_attrs
from relaxdsl.types.dims import Dim, SymInt, free_symbols
from relaxdsl.types.solve import solve_for
from relaxdsl.types.types import FuncType, Grade, TensorType, TupleType, Type, dims_of, is_base_of

# Their results have the type that is written in the program, so they make no fresh symbols.
_CALLS_OF_KNOWN_TYPE = frozenset({"call_tir", "call_tir_inplace", "call_dps_packed"})
# What the memory stage makes of a lowered program's calls.
MEMORY_OPS = ("memory.", "builtin.")
PACKED_CALLS = frozenset({"call_dps_packed", "call_packed", "call_pure_packed"})


def is_pure_call(call: Call) -> bool:
    """Whether a call has no effect: by its operator, by the callee's type; what is not known is impure."""
    if isinstance(call.op, Op):
        return call.op.is_pure and call.op.name != "call_packed"
    return isinstance(call.op.type, FuncType) and call.op.type.pure


def function_violations(
    function: Function, name: str, module: IRModule | None = None, stage: Stage = "graph"
) -> Iterator[Violation]:
    """Every violation in ``function``, called ``name`` in ``module``; None for functions that stand alone."""
    checker = _FunctionChecker(name, module, stage)
    checker.function(function)
    yield from checker.found


class _FunctionChecker:
    """Walks a function in order of execution; knows what is defined at each point."""

    def __init__(self, name: str, module: IRModule | None, stage: Stage) -> None:
        self.name = name
        self.module = module
        self.stage = stage
        self.found: list[Violation] = []
        self.ever_defined: set[Var] = set()
        self.visible: set[Var] = set()
        self.symbols: set[str] = set()
        self.in_dataflow = False
        self.must_be_pure = True

    def report(self, rule: int, what: str) -> None:
        self.found.append(Violation(rule, self.name, what))

    @contextmanager
    def inner_scope(self) -> Iterator[None]:
        """What is defined inside is not seen after."""
        visible, symbols = set(self.visible), set(self.symbols)
        yield
        self.visible, self.symbols = visible, symbols

    # ---- functions, sequences, blocks

    def function(self, function: Function) -> None:
        must_be_pure, self.must_be_pure = self.must_be_pure, function.is_pure
        with self.inner_scope():
            self.bind_symbols(dim for param in function.params for dim in dims_of(param.type))
            for param in function.params:
                self.define(param, f"parameter {param.name}")
                self.symbols_in_type(param.type, f"parameter {param.name}")
                if isinstance(param, DataflowVar):
                    self.report(4, f"parameter {param.name} is a DataflowVar")
            self.sequence(function.body, f"the body of {function.name}")
            self.misfit(16, function.ret_type, function.body.body, "the result")
        self.must_be_pure = must_be_pure

    def sequence(self, sequence: Expr, place: str) -> None:
        if not isinstance(sequence, SeqExpr):
            self.report(6, f"{place} is not a sequence but `{summary(sequence)}`")
            return
        for block in sequence.blocks:
            self.block(block)
        self.argument(sequence.body, f"the result of {place}")

    def block(self, block: BindingBlock) -> None:
        self.in_dataflow = isinstance(block, DataflowBlock)
        for binding in block.bindings:
            self.binding(binding)
        self.in_dataflow = False
        self.visible -= {binding.var for binding in block.bindings if isinstance(binding.var, DataflowVar)}

    def binding(self, binding: Binding) -> None:
        place = f"`{summary(binding)}`"
        if isinstance(binding.value, Function):
            # An inner function may call itself.
            self.visible.add(binding.var)
        self.value(binding.value, place)
        if isinstance(binding, MatchCast):
            self.bind_symbols(dims_of(binding.target))
            self.symbols_in_type(binding.target, place)
            self.declared_type(binding.var.type, binding.target, place)
        elif isinstance(getattr(binding.value, "type", None), Type):
            self.declared_type(binding.var.type, binding.value.type, place)
        if isinstance(binding.var, DataflowVar) and not self.in_dataflow:
            self.report(4, f"{place} defines a DataflowVar outside a dataflow block")
        self.define(binding.var, place)
        self.symbols_in_type(binding.var.type, place)

    def define(self, var: Var, place: str) -> None:
        if var in self.ever_defined:
            self.report(3, f"variable {var.name} is defined again by {place}")
        self.ever_defined.add(var)
        self.visible.add(var)
        if not isinstance(var.type, Type):
            self.report(10, f"variable {var.name} has no type")

    # ---- expressions

    def value(self, value: Expr, place: str) -> None:
        """The value of a binding: a leaf, a tuple, or one step of computation on leaves."""
        match value:
            case SeqExpr():
                self.report(6, f"{place} binds a sequence")
            case If():
                self.choice(value, place)
            case Function():
                if self.in_dataflow:
                    self.report(7, f"{place} defines an inner function")
                self.function(value)
            case Call():
                self.call(value, place)
            case TupleGetItem():
                self.argument(value.value, place)
                self.tuple_item(value, place)
            case _:
                self.argument(value, place)

    def argument(self, expr: Expr, place: str) -> None:
        """A leaf or a tuple of leaves, all of them visible here."""
        if not is_leaf_or_tuple(expr):
            self.report(5, f"`{summary(expr)}` is computed inside {place}")
        for each in _leaves(expr):
            self.leaf(each, place)

    def leaf(self, expr: Expr, place: str) -> None:
        if isinstance(expr, Var) and expr not in self.visible:
            hidden = isinstance(expr, DataflowVar) and expr in self.ever_defined
            self.report(4 if hidden else 2, f"variable {expr.name} is not defined where {place} uses it")
        elif isinstance(expr, GlobalVar) and self.module is not None and expr.name not in self.module:
            self.report(1, f"{place} uses {expr.name}, which the module does not define")
        elif isinstance(expr, ShapeExpr | PrimValue):
            values = expr.values if isinstance(expr, ShapeExpr) else (expr.value,)
            if self.are_sizes(values, place):
                self.known_symbols(values, place)
        elif not isinstance(expr.type, Type):
            self.report(10, f"`{summary(expr)}` in {place} has no type")

    def tuple_item(self, item: TupleGetItem, place: str) -> None:
        if not isinstance(item.type, Type):
            self.report(10, f"{place} has a value without type")
        tuple_type = item.value.type
        if isinstance(tuple_type, TupleType) and not 0 <= item.index < len(tuple_type.fields):
            self.report(15, f"{place} takes field {item.index} of a tuple of {len(tuple_type.fields)}")

    def call(self, call: Call, place: str) -> None:
        if isinstance(call.op, Expr):
            self.argument(call.op, place)
        for arg in call.args:
            self.argument(arg, place)
        self.known_symbols(symbolic_dims_in_attrs(call.attrs), place)
        self.effect(call, place)
        if not isinstance(call.type, Type):
            self.report(10, f"{place} has a value without type")
            return
        if not (isinstance(call.op, Op) and call.op.name in _CALLS_OF_KNOWN_TYPE):
            self.bind_symbols(dims_of(call.type))
        self.symbols_in_type(call.type, place)
        if isinstance(call.op, Op):
            self.operator(call.op, call, place)

    def effect(self, call: Call, place: str) -> None:
        if is_pure_call(call):
            return
        if self.in_dataflow:
            self.report(8, f"{place} is an impure call in a dataflow block")
        if self.must_be_pure:
            self.report(9, f"{place} is an impure call")

    def operator(self, op: Op, call: Call, place: str) -> None:
        if self.stage != "graph" and op.name not in CALLS_WITH_OUT and not op.name.startswith(MEMORY_OPS):
            self.report(17, f"{place} calls the operator {op.name}")
        if op.name == "call_tir":
            self.call_tir(call, place)
        elif op.name in PACKED_CALLS and not (call.args and isinstance(call.args[0], ExternFunc)):
            self.report(13, f"{place} does not name a packed function first")

    def call_tir(self, call: Call, place: str) -> None:
        match call.args:
            case (GlobalVar(name=name), Tuple(fields=inputs)):
                kernel = self.module[name] if self.module is not None and name in self.module else None
            case _:
                self.report(13, f"{place} needs a kernel and an inline tuple of inputs")
                return
        if isinstance(kernel, PrimFunc):
            self.fits_kernel(kernel, inputs, call.type, place)
        elif kernel is not None:
            self.report(13, f"{place} calls {name}, which is not a kernel")

    def fits_kernel(self, kernel: PrimFunc, inputs: tuple[Expr, ...], declared: Type, place: str) -> None:
        try:
            actual = output_type(kernel, bind_kernel_symbols(kernel, inputs))
        except RelaxError as error:
            self.report(13, f"{place}: {error.headline}")
            return
        fit = is_base_of(declared, actual)
        if not fit.fits:
            self.report(13, f"{place}: {kernel.name} gives {summary(actual)}: {fit.reason}")

    def choice(self, choice: If, place: str) -> None:
        if self.in_dataflow:
            self.report(7, f"{place} chooses in a dataflow block")
        self.argument(choice.condition, place)
        if is_base_of(TensorType((), "bool"), choice.condition.type).grade <= Grade.NEEDS_CAST:
            self.report(14, f"the condition of {place} is {summary(choice.condition.type)}")
        was_in_dataflow = self.in_dataflow
        for branch, which in ((choice.then_branch, "then"), (choice.else_branch, "else")):
            with self.inner_scope():
                self.sequence(branch, f"the {which} branch of {place}")
                if isinstance(branch, SeqExpr):
                    self.misfit(14, choice.type, branch.body, f"the {which} branch of {place}")
        self.in_dataflow = was_in_dataflow
        self.bind_symbols(dims_of(choice.type))

    # ---- types and symbols

    def misfit(self, rule: int, declared: Type, value: Expr, what: str) -> None:
        if not is_leaf_or_tuple(value):
            return
        fit = is_base_of(declared, value.type)
        if fit.grade <= Grade.NEEDS_CAST:
            self.report(rule, f"{what} does not fit {summary(declared)}: {fit.reason}")

    def declared_type(self, declared: Type, actual: Type, place: str) -> None:
        if not isinstance(declared, Type):
            return
        fit = is_base_of(declared, actual)
        if fit.grade <= Grade.NEEDS_CAST:
            self.report(15, f"{place} has the type {summary(declared)}: {fit.reason}")

    def bind_symbols(self, dims: Iterable[Dim]) -> None:
        """Binds the symbols these sizes determine: the one unknown of a size that is linear in it, again and again."""
        compound = [dim for dim in dims if isinstance(dim, SymInt)]
        while True:
            unknown = [(dim, [name for name in free_symbols(dim) if name not in self.symbols]) for dim in compound]
            bound = {names[0] for dim, names in unknown if len(names) == 1 and solve_for(dim, names[0], 0) is not None}
            if not bound:
                return
            self.symbols |= bound

    def symbols_in_type(self, type_: Type, place: str) -> None:
        if isinstance(type_, Type):
            self.known_symbols(dims_of(type_), place)

    def known_symbols(self, dims: Iterable[Dim], place: str) -> None:
        names = dict.fromkeys(name for dim in dims for name in free_symbols(dim))
        for name in names:
            if name not in self.symbols:
                self.report(11, f"{place} uses the symbol {name}, which is not bound")

    def are_sizes(self, values: Iterable[object], place: str) -> bool:
        wrong = [value for value in values if isinstance(value, bool) or not isinstance(value, int | SymInt)]
        for value in wrong:
            self.report(12, f"{place} has the size {value!r}")
        return not wrong


def _leaves(expr: Expr) -> Iterator[Expr]:
    """The leaves of a tuple, or of what is wrongly computed in place."""
    inner = children(expr)
    if not inner or isinstance(expr, SeqExpr | If | Function):
        if not isinstance(expr, SeqExpr | If | Function | Tuple):
            yield expr
        return
    for each in inner:
        yield from _leaves(each)
