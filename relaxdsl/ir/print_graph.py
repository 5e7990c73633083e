"""Graph programs as relaxdsl script, which parses back to a structurally equal program.

What is printed is a subset of the surface language in which every construct means exactly one thing::

    text       = function | "import relaxdsl as relax" module
    module     = "@relax.module" ["(attrs=" dict ")"]  "class Module:"  (function | prim_func)+
    function   = "@relax.function" ["(" [pure=False] [dataflow=False] [attrs=dict] ")"]
                 "def" name "(" (name ":" type),* ")" "->" type ":"
                     ["cls = Module"]                              where functions of the module are used
                     statement*
                     "return" leaf
    statement  = "with relax.dataflow():" binding* "relax.output(" name,* ")"      a DataflowBlock
               | binding                                                          part of a BindingBlock
    binding    = name [":" type] "=" value                                            VarBinding
               | name [":" type] "=" "relax.match_cast(" leaf "," type ")"            MatchCast
               | "if" leaf ":" branch "else:" branch                                  VarBinding of an If
               | function                                                             VarBinding of an inner Function
               | call                                         VarBinding of a call for its effect (memory stage)
    branch     = statement*  name [":" type] "=" leaf
    value      = leaf | call | leaf "[" int "]"                                       the last: TupleGetItem
    call       = "relax." operator "(" leaf,* (attr "=" literal),* ")"
               | "cls." name "(" leaf,* ")" | name "(" leaf,* ")"                     callee: GlobalVar, Var
               | "relax.call_tir(" leaf "," tuple "," "out=" type (attr "=" literal),* ")"
                                                        likewise call_tir_inplace; and call_dps_packed,
                                                        whose callee is a string
               | "relax.call_packed(" string "," leaf,* "," "out=" type ")"           likewise call_pure_packed
    leaf       = name | tuple | "cls." name
               | "relax.const(" number or nested lists "," string ")"                 Constant
               | "relax.constant(" int ")"                                            Constant number int of those given
               | "relax.shape(" tuple of dims ")"                                     ShapeExpr
               | "relax.prim_value(" dim ")"                                          PrimValue
               | "relax.extern(" string ")"                                           ExternFunc, but as a packed callee
               | "relax.host(" literal ")"                                            HostObject
    tuple      = "()" | "(" leaf ",)" | "(" leaf,+ ")"
    literal    = number | string | True | False | None | dim | tuple, list, dict of literals
               | "slice(" literal "," literal "," literal ")" | type | "relax.constant(" int ")"
    type       = "relax.Tensor(" shape ["," string] ")" | "relax.Tensor(" [ndim=int] [dtype=string] ")"
               | "relax.Shape(" shape ")" | "relax.Shape(" [ndim=int] ")" | "relax.Prim(" string [value=size] ")"
               | "relax.Tuple(" type,* ")" | "relax.Callable(" ("..." | "[" type,* "]") "," type [pure=False] ")"
               | "relax.Any"
    shape      = tuple of sizes;  size = int | string of a dim

Rules that make it exact:

* Symbols. In a type a symbolic size is a string (``"2 * m"``); elsewhere (attributes, shapes) its symbols are bare
  names, in scope once a parameter, a match_cast or an annotation has named them. A variable never has the name of a
  symbol, unless it is that symbol: ``n: relax.Prim("int64", value="n")``.
  A symbol that appears first in the annotation of a data-dependent call (``lv: relax.Tensor(("u",), "int64") =
  relax.unique(x)``) is the name of the call's fresh symbol, matched by position; such annotations are printed even if
  types are not asked for.
* Annotations are taken as they are: the type of a variable is its annotation, a function's ``ret_type`` is what
  stands after ``->``. Without one, it is the value's.
* Blocks. A function that says ``with relax.dataflow()`` anywhere in it, or ``dataflow=False``, has the blocks that are
  written and no others; only functions that say neither get dataflow blocks by themselves. In a ``with``, variables
  that ``relax.output`` names are Vars, all others DataflowVars.
* Branches. Both end by assigning the same name: the If's variable. What is assigned there is the branch's result,
  not a binding.
* Bounds of symbols are attributes of the function: ``attrs={"tir_var_upper_bound": {"m": 1024}}``.
* Attributes that are None are left out; they mean the same as absent ones.
* A number in a call's arguments is never printed bare: constants are ``relax.const``, dims ``relax.prim_value``.
* A constant of at most 64 elements stands in the text; others are ``relax.constant(i)``, with
  :func:`script_with_constants` giving the arrays. Either way the bytes are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from relaxdsl.ir.graph import (
    Binding,
    BindingBlock,
    Call,
    Constant,
    DataflowBlock,
    DataflowVar,
    Expr,
    ExternFunc,
    Function,
    GlobalVar,
    HostObject,
    If,
    MatchCast,
    Op,
    PrimValue,
    SeqExpr,
    ShapeExpr,
    Tuple,
    TupleGetItem,
    Var,
    VarBinding,
)
from relaxdsl.ir.layout import Lines, format_float, format_string, format_tuple
from relaxdsl.ir.loops import PrimFunc, Stmt
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.names import UniqueNames, as_identifier
from relaxdsl.ir.print_loops import add_prim_func, format_scalar, summarize_stmt
from relaxdsl.ir.print_types import format_type
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.ir.visit import all_bindings, all_dims, copy_function, used_globals, used_vars, walk
from relaxdsl.types.bounds import attributes_of
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import Dim, SymInt, free_symbols, symbol, symbols_of
from relaxdsl.types.types import FuncType, PrimType, TupleType, Type, free_symbols_of

MAX_INLINE_ELEMENTS = 64
RESERVED_NAMES = ("relax", "cls", "min", "max", "float", "slice", "Module")

# Calls to what the compiler does not define: the callee comes first, the type is written as ``out``.
CALLS_WITH_OUT = frozenset({"call_tir", "call_tir_inplace", "call_dps_packed", "call_packed", "call_pure_packed"})


def script(program: Function | IRModule | PrimFunc, *, types: bool = True) -> str:
    """The program as script text.

    Args:
        program: a function that uses functions of a module is printed as a module of which it is the only one.
        types: whether variables are annotated.
    """
    return script_with_constants(program, types=types)[0]


def script_with_constants(
    program: Function | IRModule | PrimFunc, *, types: bool = True
) -> tuple[str, tuple[Any, ...]]:
    """The script text, and the values that ``relax.constant(i)`` in it stands for."""
    lines, constants = Lines(), _Constants()
    if isinstance(program, PrimFunc):
        add_prim_func(lines, program)
    elif isinstance(program, IRModule):
        _add_module(lines, program, constants, types)
    elif used_globals(program):
        _add_module(lines, IRModule({program.name: program}), constants, types)
    else:
        _add_function(lines, program.name, program, constants, types)
    return str(lines), tuple(constants.values)


def _add_module(lines: Lines, module: IRModule, constants: _Constants, types: bool) -> None:
    lines.add("import relaxdsl as relax")
    if module.kernels:
        lines.add("from relaxdsl import tir as T")
    lines.blank()
    lines.blank()
    attrs = {name: value for name, value in module.attrs.items() if value is not None}
    lines.add(f"@relax.module(attrs={_format_literal(attrs, constants)})" if attrs else "@relax.module")
    lines.add("class Module:")
    lines.depth += 1
    for position, (name, function) in enumerate(module.functions.items()):
        if position:
            lines.blank()
        if isinstance(function, PrimFunc):
            add_prim_func(lines, function, name)
        else:
            _add_function(lines, name, function, constants, types)
    if not module.functions:
        lines.add("pass")
    lines.depth -= 1


def _add_function(lines: Lines, name: str, function: Function, constants: _Constants, types: bool) -> None:
    renamed = _without_reserved_symbols(function)
    names = UniqueNames([*RESERVED_NAMES, *(each for dim in all_dims(renamed) for each in free_symbols(dim))])
    _FunctionPrinter(lines, names, constants, types).function(as_identifier(name), renamed)


def _without_reserved_symbols(function: Function) -> Function:
    """The function with symbols renamed whose names mean something else in script."""
    symbols = {each.name: each for dim in all_dims(function) for each in symbols_of(dim)}
    clashing = [name for name in symbols if name in RESERVED_NAMES]
    if not clashing:
        return function
    names = UniqueNames([*symbols, *RESERVED_NAMES])
    renamed: dict[str, Dim] = {
        name: symbol(names.fresh(name), lower=symbols[name].lower, upper=symbols[name].upper) for name in clashing
    }
    return copy_function(function, dims=renamed)


class _Constants:
    """The values that the text refers to by number."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def refer_to(self, value: Any) -> str:
        """The text that stands for ``value``."""
        self.values.append(value)
        return f"relax.constant({len(self.values) - 1})"


# ------------------------------------------------------------------------------------------------------------ functions


class _FunctionPrinter:
    """Prints one function (and those in it): which names its variables have, which symbols are known so far."""

    def __init__(self, lines: Lines, names: UniqueNames, constants: _Constants, types: bool) -> None:
        self.lines = lines
        self.names = names
        self.constants = constants
        self.types = types
        self.var_names: dict[Var, str] = {}
        self.known_symbols: set[str] = set()
        self.comments: list[str] = []

    # ---- statements

    def function(self, name: str, function: Function) -> None:
        lines = self.lines
        lines.add(f"@relax.function{self._options(function)}")
        params = ", ".join(f"{self.name(param)}: {self._declared(param.type)}" for param in function.params)
        lines.add(f"def {name}({params}) -> {format_type(function.ret_type)}:", one_item_a_line=True)
        lines.depth += 1
        if used_globals(function):
            lines.add("cls = Module")
        self._blocks(function.body)
        self._add(f"return {self.expr(function.body.body)}")
        lines.depth -= 1

    def _options(self, function: Function) -> str:
        options = [] if function.is_pure else ["pure=False"]
        if _has_plain_blocks_only(function):
            options.append("dataflow=False")
        attrs = {name: value for name, value in function.attrs.items() if value is not None}
        attrs |= attributes_of(each for dim in all_dims(function) for each in symbols_of(dim))
        if attrs:
            options.append(f"attrs={self._literal(attrs)}")
        return f"({', '.join(options)})" if options else ""

    def _blocks(self, sequence: SeqExpr) -> None:
        for block in sequence.blocks:
            if isinstance(block, DataflowBlock):
                self._dataflow_block(block)
            else:
                self._bindings(block)

    def _bindings(self, block: BindingBlock) -> None:
        for binding in block.bindings:
            self._binding(binding)

    def _dataflow_block(self, block: DataflowBlock) -> None:
        self.lines.add("with relax.dataflow():")
        self.lines.depth += 1
        self._bindings(block)
        outputs = [binding.var for binding in block.bindings if not isinstance(binding.var, DataflowVar)]
        self.lines.add(f"relax.output({', '.join(map(self.name, outputs))})")
        self.lines.depth -= 1

    def _binding(self, binding: Binding) -> None:
        match binding:
            case MatchCast(value=value, target=target):
                text = f"relax.match_cast({self.expr(value)}, {self._declared(target)})"
                self._assign(binding.var, text, annotated=binding.var.type != target)
            case VarBinding(value=If() as choice):
                self._if(binding.var, choice)
            case VarBinding(value=Function() as function):
                self.function(self.name(binding.var), function)
            case VarBinding(value=Call() as call) if is_effect(call):
                self._add(self.expr(call))
            case _:
                self._assign(binding.var, self.expr(binding.value), annotated=self.types)

    def _if(self, var: Var, choice: If) -> None:
        self._add(f"if {self.expr(choice.condition)}:")
        for branch, after in ((choice.then_branch, "else:"), (choice.else_branch, "")):
            self.lines.depth += 1
            self._blocks(branch)
            self._assign(var, self.expr(branch.body), annotated=self.types)
            self.lines.depth -= 1
            if after:
                self.lines.add(after)

    def _assign(self, var: Var, value: str, *, annotated: bool) -> None:
        has_new_symbols = any(name not in self.known_symbols for name in free_symbols_of(var.type))
        annotation = f": {self._declared(var.type)}" if annotated or has_new_symbols else ""
        self._add(f"{self.name(var)}{annotation} = {value}")

    def _declared(self, type_: Type) -> str:
        """The type as script; its symbols are known from here on."""
        self.known_symbols.update(free_symbols_of(type_))
        return format_type(type_)

    def _add(self, line: str) -> None:
        """Adds a line, with the remarks that its expressions made."""
        self.lines.add(line, comment="; ".join(self.comments))
        self.comments.clear()

    # ---- expressions

    def name(self, var: Var) -> str:
        """The variable's name in the text, unique in the function."""
        if var not in self.var_names:
            is_symbol = isinstance(var.type, PrimType) and str(var.type.value) == var.name
            may_share = is_symbol and var.name not in self.var_names.values()
            self.var_names[var] = var.name if may_share else self.names.fresh(var.name)
        return self.var_names[var]

    def expr(self, expr: Expr) -> str:
        match expr:
            case Var():
                return self.name(expr)
            case GlobalVar(name=name):
                return f"cls.{name}"
            case Constant(value=value):
                return self._constant(value)
            case ShapeExpr(values=values):
                return f"relax.shape({format_tuple([str(dim) for dim in values])})"
            case PrimValue(value=value):
                return f"relax.prim_value({value})"
            case Tuple(fields=fields):
                return format_tuple([self.expr(each) for each in fields])
            case TupleGetItem(value=value, index=index):
                return f"{self.expr(value)}[{index}]"
            case Call():
                return self._call(expr)
            case HostObject(value=value):
                return f"relax.host({self._literal(value)})"
            case ExternFunc(name=name):
                return f"relax.extern({format_string(name)})"
            case _:
                return f'relax.ill_formed("{type(expr).__name__} inside an expression")'

    def _call(self, call: Call) -> str:
        items = [self.expr(arg) for arg in call.args]
        attrs = [f"{name}={self._literal(value)}" for name, value in call.attrs.items() if value is not None]
        if not isinstance(call.op, Op):
            return f"{self.expr(call.op)}({', '.join([*items, *attrs])})"
        if call.op.name in CALLS_WITH_OUT:
            if call.args and isinstance(call.args[0], ExternFunc):
                items[0] = format_string(call.args[0].name)
            attrs.insert(0, f"out={format_type(call.type)}")
        return f"relax.{call.op.name}({', '.join([*items, *attrs])})"

    def _constant(self, value: np.ndarray[Any, Any]) -> str:
        text = _format_array(value)
        if text is not None:
            return text
        self.comments.append(f"{value.dtype} {value.shape}")
        return self.constants.refer_to(value)

    def _literal(self, value: object) -> str:
        return _format_literal(value, self.constants)


def is_effect(call: Call) -> bool:
    """Whether a call stands for its effect on explicit memory alone, as a statement: of a kernel, or of a memory op."""
    if isinstance(call.op, GlobalVar):
        return isinstance(call.op.type, FuncType) and call.op.type.params is None and call.type == TupleType(())
    return isinstance(call.op, Op) and call.op.name.startswith("memory.") and call.type == TupleType(())


def _has_plain_blocks_only(function: Function) -> bool:
    """Whether the function has bindings, none of them in a dataflow block."""
    sequences = (node for node in walk(function.body) if isinstance(node, SeqExpr))
    blocks = [block for sequence in sequences for block in sequence.blocks]
    return bool(blocks) and not any(isinstance(block, DataflowBlock) for block in blocks)


# ------------------------------------------------------------------------------------------------------------- literals


def _format_literal(value: object, constants: _Constants) -> str:
    """An attribute's value as script; what has no literal is referred to by number."""

    def items(values: Iterable[object]) -> list[str]:
        return [_format_literal(each, constants) for each in values]

    match value:
        case None | bool() | int() | SymInt():
            return str(value)
        case float():
            return format_float(value)
        case str():
            return format_string(value)
        case Type():
            return format_type(value)
        case tuple():
            return format_tuple(items(value))
        case list():
            return f"[{', '.join(items(value))}]"
        case Mapping():
            pairs = zip(items(value), items(value.values()), strict=True)
            return f"{{{', '.join(f'{key}: {text}' for key, text in pairs)}}}"
        case slice():
            return f"slice({', '.join(items((value.start, value.stop, value.step)))})"
        case _:
            return constants.refer_to(value)


def _format_array(value: np.ndarray[Any, Any]) -> str | None:
    """A small array as script, or None if it is large or the text would not give the same bytes."""
    if value.size > MAX_INLINE_ELEMENTS:
        return None
    again = np.array(value.tolist(), dtype=value.dtype)
    if np.issubdtype(value.dtype, np.floating):
        again[np.isnan(again)] = float("nan")  # the text can't say which NaN
    if again.shape != value.shape or again.tobytes() != value.tobytes():
        return None
    return f'relax.const({_format_numbers(value)}, "{value.dtype}")'


def _format_numbers(value: np.ndarray[Any, Any]) -> str:
    if value.ndim:
        return f"[{', '.join(_format_numbers(each) for each in value)}]"
    number = value[()]
    # NumPy's own text is the shortest that gives this float32 again.
    return format_float(float(str(number))) if np.issubdtype(value.dtype, np.floating) else str(number)


# -------------------------------------------------------------------------------------------------------------- summary


def summary(node: object) -> str:
    """What the node is, in one line: for messages and for ``repr``."""
    match node:
        case IRModule():
            return f"module of {', '.join(node) or 'nothing'}"
        case PrimFunc(name=name, params=params):
            return f"kernel {name}({', '.join(param.name for param in params)})"
        case Function(name=name, params=params):
            count = counted(sum(1 for _ in all_bindings(node)), "binding")
            return f"function {name}({', '.join(param.name for param in params)}) of {count}"
        case VarBinding(var=var, value=value):
            return f"{var.name} = {summary(value)}"
        case MatchCast(var=var, value=value, target=target):
            return f"{var.name} = relax.match_cast({summary(value)}, {format_type(target)})"
        case If(condition=condition):
            return f"if {summary(condition)}: ... else: ..."
        case SeqExpr(body=body):
            return f"{sum(1 for _ in node.bindings)} bindings, then {summary(body)}"
        case Expr():
            return _summarize_expr(node)
        case Stmt():
            return summarize_stmt(node)
        case ScalarExpr():
            return format_scalar(node)
        case Type():
            return format_type(node)
        case _:
            return f"{type(node).__name__} {node}"


def _summarize_expr(expr: Expr) -> str:
    printer = _FunctionPrinter(Lines(), UniqueNames(), _Constants(), types=False)
    for var in used_vars(expr):
        printer.var_names[var] = var.name
    return printer.expr(expr)
