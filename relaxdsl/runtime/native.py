"""Compiles a small subset of Python straight to machine code: functions of int64 that read and write raw memory.

The VM and the entry are written in this subset. numba would take 0.8 s for each of them, because it infers types and
resolves overloads; here everything is an int64, so a function becomes LLVM instructions in one walk over its syntax
tree.

The subset: parameters and variables are int64; ``while``, ``for i in range(n)``, ``if``, ``return``, ``continue``;
``+ - * & | << >>``; comparisons, ``and``, ``or``, ``not`` (1 or 0 as values); ``a if test else b`` (evaluates both);
integer globals, of which an :class:`Address` may be another number in the process that runs the code; and calls of

- ``load(address)``, ``load_int32(address)``, ``load_byte(address)``, ``store(address, value)``;
- ``atomic_load``, ``atomic_store``, ``atomic_add``, ``compare_exchange``: the same memory for several threads, in one
  order that all agree on;
- ``stack_words(count)``: memory that lasts until the function returns;
- ``divide(a, b)``: the quotient rounded towards zero;
- ``add_overflows(a, b)``, ``subtract_overflows``, ``multiply_overflows``: whether the result does not fit 64 bits;
- ``pause()``: nothing, for some tens of cycles, in which the core's other thread may work;
- ``call(address, *arguments)``: a C function of int64, or of anything that fits a register;
- another function that is compiled along with it.

Importing this module imports llvmlite.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import llvmlite.binding as llvm
from llvmlite import ir

from relaxdsl.errors import InternalError
from relaxdsl.kernels.disk import object_code
from relaxdsl.kernels.object_code import LoadedObject, native_target
from relaxdsl.runtime.addresses import Address

INT64 = ir.IntType(64)
_LOADS = {"load": INT64, "load_int32": ir.IntType(32), "load_byte": ir.IntType(8)}
_COMPARISONS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_OPERATIONS = {
    ast.Add: ir.IRBuilder.add,
    ast.Sub: ir.IRBuilder.sub,
    ast.Mult: ir.IRBuilder.mul,
    ast.BitAnd: ir.IRBuilder.and_,
    ast.BitOr: ir.IRBuilder.or_,
    ast.LShift: ir.IRBuilder.shl,
    ast.RShift: ir.IRBuilder.ashr,
}
_ORDER = "seq_cst"
_LARGEST_NUMBER = 1 << 40
"""No plain number is as large as this; addresses are."""


def _emit_compare_exchange(builder: ir.IRBuilder, place: ir.Value, expected: ir.Value, value: ir.Value) -> ir.Value:
    pair = builder.cmpxchg(place, expected, value, _ORDER, _ORDER)
    return builder.zext(builder.extract_value(pair, 1), INT64)


_ATOMICS: dict[str, Callable[..., ir.Value]] = {
    "atomic_load": lambda builder, place: builder.load_atomic(place, _ORDER, 8),
    "atomic_store": lambda builder, place, value: builder.store_atomic(value, place, _ORDER, 8),
    "atomic_add": lambda builder, place, value: builder.atomic_rmw("add", place, value, _ORDER),
    "compare_exchange": _emit_compare_exchange,
}

_OVERFLOWS: dict[str, Callable[..., ir.Value]] = {
    "add_overflows": ir.IRBuilder.sadd_with_overflow,
    "subtract_overflows": ir.IRBuilder.ssub_with_overflow,
    "multiply_overflows": ir.IRBuilder.smul_with_overflow,
}


def _emit_pause(builder: ir.IRBuilder) -> ir.Value:
    architecture = llvm.get_default_triple().partition("-")[0]
    if architecture in ("x86_64", "i386", "i686"):
        name, arguments = "llvm.x86.sse2.pause", []
    elif architecture in ("aarch64", "arm64"):
        name, arguments = "llvm.aarch64.isb", [ir.IntType(32)(15)]
    else:
        return INT64(0)
    kind = ir.FunctionType(ir.VoidType(), [each.type for each in arguments])
    found = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(found, arguments)


class NativeCode:
    """Machine code of some functions; it lives as long as this object. What was compiled before is on the disk."""

    def __init__(self, functions: Sequence[Callable[..., int]]) -> None:
        names = _globals_of(functions)
        for name, value in names.items():
            if isinstance(value, Address) and value:
                llvm.add_symbol(_symbol(name), value)
        self._code = LoadedObject(object_code(lambda: _compile(functions), "native", *_content(functions, names)))

    def address(self, name: str) -> int:
        """The address of the function called ``name``."""
        return self._code.address(name)


def _globals_of(functions: Sequence[Callable[..., int]]) -> dict[str, int]:
    """The integer globals that the functions use."""
    return {
        name: value
        for function in functions
        for name in function.__code__.co_names
        if isinstance(value := function.__globals__.get(name), int)
    }


def _content(functions: Sequence[Callable[..., int]], names: Mapping[str, int]) -> Iterator[str]:
    """What the functions' machine code is made from: what they do, and the numbers in it that are no addresses."""
    for name, value in names.items():
        if not isinstance(value, Address) and abs(value) > _LARGEST_NUMBER:
            raise InternalError(f"{name} is {value}: if that is an address, it should be an Address")
        yield f"{name} = {'address' if isinstance(value, Address) and value else value}"
    for function in functions:
        code = function.__code__
        yield f"{code.co_name}{code.co_varnames}: {code.co_code.hex()} {code.co_consts} {code.co_names}"


def _symbol(name: str) -> str:
    """What the linker knows an address as."""
    return f"relaxdsl_{name}"


def load(address: int) -> int:
    """The int64 at ``address``."""
    raise _python_call("load")


def load_int32(address: int) -> int:
    """The int32 at ``address``, as an unsigned number."""
    raise _python_call("load_int32")


def load_byte(address: int) -> int:
    """The byte at ``address``."""
    raise _python_call("load_byte")


def store(address: int, value: int) -> None:
    """Writes the int64 ``value`` to ``address``."""
    raise _python_call("store")


def atomic_load(address: int) -> int:
    """The int64 at ``address``, which other threads write."""
    raise _python_call("atomic_load")


def atomic_store(address: int, value: int) -> None:
    """Writes the int64 ``value`` to ``address``; who reads it sees all that was written before."""
    raise _python_call("atomic_store")


def atomic_add(address: int, value: int) -> int:
    """Adds to the int64 at ``address``; returns what was there before."""
    raise _python_call("atomic_add")


def compare_exchange(address: int, expected: int, value: int) -> int:
    """Writes ``value`` to ``address`` if ``expected`` is there; returns whether it was."""
    raise _python_call("compare_exchange")


def stack_words(count: int) -> int:
    """The address of ``count`` int64 on the stack, until the function returns. Not to be used in a loop."""
    raise _python_call("stack_words")


def divide(left: int, right: int) -> int:
    """The quotient, rounded towards zero. ``right`` must be neither 0 nor -1, which trap."""
    raise _python_call("divide")


def add_overflows(left: int, right: int) -> int:
    """Whether ``left + right`` does not fit 64 bits."""
    raise _python_call("add_overflows")


def subtract_overflows(left: int, right: int) -> int:
    """Whether ``left - right`` does not fit 64 bits."""
    raise _python_call("subtract_overflows")


def multiply_overflows(left: int, right: int) -> int:
    """Whether ``left * right`` does not fit 64 bits."""
    raise _python_call("multiply_overflows")


def pause() -> None:
    """Waits some tens of cycles."""
    raise _python_call("pause")


def call(address: int, *arguments: int) -> int:
    """Calls the C function at ``address``; returns what it leaves in the result register."""
    raise _python_call("call")


def _python_call(name: str) -> InternalError:
    return InternalError(f"{name} exists in compiled code only")


def _declare(module: ir.Module, function: Callable[..., int]) -> ir.Function:
    parameters = function.__code__.co_varnames[: function.__code__.co_argcount]
    declared = ir.Function(module, ir.FunctionType(INT64, [INT64] * len(parameters)), function.__name__)
    for argument, name in zip(declared.args, parameters, strict=True):
        argument.name = name
    return declared


def _compile(functions: Sequence[Callable[..., int]]) -> bytes:
    """The object code of the functions."""
    module = ir.Module("relaxdsl_runtime")
    declared = {function.__name__: _declare(module, function) for function in functions}
    for function, tree in zip(functions, _definitions(functions), strict=True):
        _FunctionEmitter(function, tree, declared).emit()
    # With `jit`, an address may be anywhere in memory.
    machine = native_target().create_target_machine(opt=1, jit=True)
    parsed = llvm.parse_assembly(str(module))
    # Variables into registers, blocks joined. LLVM's usual passes cost ten times as much and make nothing here faster.
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.run(parsed, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
    made: bytes = machine.emit_object(parsed)
    return made


def _definitions(functions: Iterable[Callable[..., int]]) -> Iterator[ast.FunctionDef]:
    """The functions' syntax trees. Their files are parsed once: `inspect.getsource` takes six times as long."""
    codes = [function.__code__ for function in functions]
    found = {}
    for path in {code.co_filename for code in codes}:
        nodes = ast.walk(ast.parse("".join(linecache.getlines(path))))
        found.update({(path, node.lineno): node for node in nodes if isinstance(node, ast.FunctionDef)})
    return (found[code.co_filename, code.co_firstlineno] for code in codes)


class _FunctionEmitter:
    """Emits one function: variables are stack cells, which LLVM turns into registers."""

    def __init__(self, function: Callable[..., int], tree: ast.FunctionDef, functions: dict[str, ir.Function]) -> None:
        self.target = functions[function.__name__]
        self.functions = functions
        self.constants = function.__globals__
        self.tree = tree
        self.builder = ir.IRBuilder(self.target.append_basic_block("entry"))
        self.cells: dict[str, ir.Value] = {}
        self.loop_heads: list[ir.Block] = []

    def emit(self) -> None:
        names = [argument.name for argument in self.target.args]
        nodes = [node for node in ast.walk(self.tree) if isinstance(node, ast.Name)]
        names += [node.id for node in nodes if isinstance(node.ctx, ast.Store)]
        for name in dict.fromkeys(names):
            self.cells[name] = self.builder.alloca(INT64, name=name)
        for argument in self.target.args:
            self.builder.store(argument, self.cells[argument.name])
        self.statements(self.tree.body)
        if not self.builder.block.is_terminated:
            self.builder.ret(INT64(0))

    # ------------------------------------------------------------------------------------------------------ statements

    def statements(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.builder.store(self.value(value), self.cells[name])
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                old = self.builder.load(self.cells[name])
                self.builder.store(_OPERATIONS[type(op)](self.builder, old, self.value(value)), self.cells[name])
            case ast.If():
                self.if_statement(node)
            case ast.While():
                self.loop(node.body, lambda: self.condition(node.test), lambda: None)
            case ast.For(target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range"), args=[count])):
                self.for_range(name, count, node.body)
            case ast.Return(value=value) if value is not None:
                self.builder.ret(self.value(value))
                self.start(self.block())
            case ast.Continue():
                self.builder.branch(self.loop_heads[-1])
                self.start(self.block())
            case ast.Expr(value=ast.Constant()):
                pass
            case ast.Expr(value=ast.Call() as expression):
                self.value(expression)
            case _:
                raise InternalError(f"{self.target.name}: not in the native subset: {ast.unparse(node)}")

    def if_statement(self, node: ast.If) -> None:
        then, otherwise, end = self.block(), self.block(), self.block()
        self.builder.cbranch(self.condition(node.test), then, otherwise)
        for block, body in ((then, node.body), (otherwise, node.orelse)):
            self.start(block)
            self.statements(body)
            self.builder.branch(end)
        self.start(end)

    def for_range(self, name: str, count: ast.expr, body: Sequence[ast.stmt]) -> None:
        cell, end = self.cells[name], self.value(count)
        self.builder.store(INT64(0), cell)

        def advance() -> None:
            self.builder.store(self.builder.add(self.builder.load(cell), INT64(1)), cell)

        self.loop(body, lambda: self.builder.icmp_signed("<", self.builder.load(cell), end), advance)

    def loop(self, body: Sequence[ast.stmt], test: Callable[[], ir.Value], advance: Callable[[], None]) -> None:
        head, inside, step, end = self.block(), self.block(), self.block(), self.block()
        self.builder.branch(head)
        self.start(head)
        self.builder.cbranch(test(), inside, end)
        self.loop_heads.append(step)
        self.start(inside)
        self.statements(body)
        self.builder.branch(step)
        self.loop_heads.pop()
        self.start(step)
        advance()
        self.builder.branch(head)
        self.start(end)

    def block(self) -> ir.Block:
        return self.target.append_basic_block()

    def start(self, block: ir.Block) -> None:
        self.builder.position_at_end(block)

    # ----------------------------------------------------------------------------------------------------- expressions

    def value(self, node: ast.expr) -> ir.Value:
        match node:
            case ast.Constant(value=int(number)):
                return INT64(number)
            case ast.Name(id=name) if name in self.cells:
                return self.builder.load(self.cells[name])
            case ast.Name(id=name) if isinstance(known := self.constants.get(name), int):
                return self.address(name) if isinstance(known, Address) and known else INT64(int(known))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.builder.neg(self.value(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
                return _OPERATIONS[type(op)](self.builder, self.value(left), self.value(right))
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                return self.builder.zext(self.condition(node), INT64)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.builder.select(self.condition(test), self.value(body), self.value(orelse))
            case ast.Call(func=ast.Name(id=name), args=args):
                return self.call(name, [self.value(arg) for arg in args])
        raise InternalError(f"{self.target.name}: not in the native subset: {ast.unparse(node)}")

    def address(self, name: str) -> ir.Value:
        module, symbol = self.builder.module, _symbol(name)
        return self.builder.ptrtoint(module.globals.get(symbol) or ir.GlobalVariable(module, INT64, symbol), INT64)

    def call(self, name: str, args: list[ir.Value]) -> ir.Value:
        builder = self.builder
        if name in _LOADS:
            value = builder.load(builder.inttoptr(args[0], _LOADS[name].as_pointer()))
            return value if _LOADS[name] is INT64 else builder.zext(value, INT64)
        if name == "store":
            return builder.store(args[1], builder.inttoptr(args[0], INT64.as_pointer()))
        if name in _ATOMICS:
            return _ATOMICS[name](builder, builder.inttoptr(args[0], INT64.as_pointer()), *args[1:])
        if name in _OVERFLOWS:
            return builder.zext(builder.extract_value(_OVERFLOWS[name](builder, *args), 1), INT64)
        if name == "stack_words":
            return builder.ptrtoint(builder.alloca(INT64, args[0]), INT64)
        if name == "divide":
            return builder.sdiv(*args)
        if name == "pause":
            return _emit_pause(builder)
        if name == "call":
            kind = ir.FunctionType(INT64, [INT64] * (len(args) - 1))
            return builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        if name in self.functions:
            return builder.call(self.functions[name], args)
        raise InternalError(f"{self.target.name}: not in the native subset: {name}(…)")

    def condition(self, node: ast.expr) -> ir.Value:
        """A truth value. ``and`` and ``or`` do not evaluate what they need not."""
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self.builder.icmp_signed(_COMPARISONS[type(op)], self.value(left), self.value(right))
            case ast.BoolOp(op=op, values=values):
                return self.short_circuit(isinstance(op, ast.And), values)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self.builder.not_(self.condition(operand))
            case ast.Constant(value=True):
                return ir.IntType(1)(1)
        return self.builder.icmp_signed("!=", self.value(node), INT64(0))

    def short_circuit(self, is_and: bool, values: Sequence[ast.expr]) -> ir.Value:
        end = self.block()
        reached: list[tuple[ir.Value, ir.Block]] = []
        for operand in values[:-1]:
            holds, following = self.condition(operand), self.block()
            reached.append((ir.IntType(1)(0 if is_and else 1), self.builder.block))
            self.builder.cbranch(holds, *((following, end) if is_and else (end, following)))
            self.start(following)
        reached.append((self.condition(values[-1]), self.builder.block))
        self.builder.branch(end)
        self.start(end)
        outcome = self.builder.phi(ir.IntType(1))
        for value, block in reached:
            outcome.add_incoming(value, block)
        return outcome
