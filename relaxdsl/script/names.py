"""What a name in a program means: a variable, a size, something captured, a builtin; or which was probably meant."""

from __future__ import annotations

import ast
import builtins
import sys
from types import ModuleType
from typing import Any, TypeVar

from relaxdsl import tir
from relaxdsl.errors import ScriptError, nearest
from relaxdsl.ir.graph import Expr
from relaxdsl.kernels import te
from relaxdsl.operators import registry
from relaxdsl.operators.numpy_protocol import ELSEWHERE
from relaxdsl.script.interpreter import Interpreter, expression
from relaxdsl.script.scope import NOT_FOUND, Missing
from relaxdsl.types.dims import SymInt

_PACKAGE = __name__.partition(".")[0]
_PACKED = "there is none yet; a Python function can do it: relax.call_pure_packed"
_SCAN = "write its loop as a kernel, @relax.prim_func; or a Python function can do it: relax.call_pure_packed"
_WINDOWS = "relax.reshape(x[:, :, :h // 2 * 2, :w // 2 * 2], (n, c, h // 2, 2, w // 2, 2))"
_POOLING = "reshape and reduce, with n, c, h, w = x.shape: relax.{}(" + _WINDOWS + ", axis=(3, 5))"
_VALUES = "leave it out: a tensor of a program has values only when it runs, so compute with the tensor, or return it"
#: What there is elsewhere and not here, and what to do instead.
ABSENT = {
    **dict.fromkeys(("argsort", "sort", "topk"), _PACKED),
    **dict.fromkeys(("cumprod", "cumsum"), _SCAN),
    **dict.fromkeys(("item", "numpy", "tolist"), _VALUES),
    "avg_pool2d": _POOLING.format("mean"),
    "max_pool2d": _POOLING.format("max"),
    "dropout": "leave it out: programs compute results, not gradients",
    "pad": "join zeros to it, here two rows: relax.concat([x, relax.zeros((2, *x.shape[1:]), x.dtype)], axis=0)",
}

#: The same for elements, in kernels and tensor expressions.
ABSENT_FOR_ELEMENTS = {
    "clip": "{}.minimum({}.maximum(x, low), high)",
    "prange": "{}.parallel(n)",
    "range": "range(n)",
    "relu": "{}.maximum(x, 0)",
    "sum": "s += x[i, j] in a loop, with s = {}.float32(0) before it",
    "where": "{}.if_then_else(condition, a, b)",
}


@expression(ast.Name)
def evaluate_name(interp: Interpreter, node: ast.Name) -> Any:
    """The value of a name: local variables first, then sizes, then what Python would find."""
    value = interp.frame.scope.find(node.id)
    return value if value is not NOT_FOUND else _free_name(interp, node)


def _free_name(interp: Interpreter, node: ast.Name) -> Any:
    name = node.id
    if name == interp.options.name and not interp.in_annotation and not interp.options.exact:
        return _itself(interp, name)
    if interp.options.module_name is not None and name in (interp.options.module_name, "cls"):
        return ModuleNames(interp)
    captured = _captured(interp, name)
    if isinstance(captured, TypeVar):
        captured = interp.size(captured.__name__)
    elif isinstance(captured, SymInt):
        captured = interp.known_size(captured)
    size = interp.symbols.get(name)
    if size is not None:
        return size if interp.options.exact else _size_or_captured(name, size, captured)
    if captured is not NOT_FOUND:
        return captured
    if interp.names_symbols:
        return interp.size(name)
    return _undefined(interp, name, is_called=interp.called is node)


def _itself(interp: Interpreter, name: str) -> Any:
    if interp.options.module_name is not None:
        return _undefined(interp, name)
    return Missing(*_without_type(name)) if interp.itself is None else interp.itself


def _without_type(name: str) -> tuple[str, str]:
    """What is wrong with a call of a function whose result has no type yet, and what to do."""
    return (
        f"{name} calls itself, so the type of its result must be declared",
        f'write it after the parameters, for example def {name}(…) -> relax.Tensor[("n", 4), "float32"]',
    )


def _captured(interp: Interpreter, name: str) -> Any:
    """What Python would find outside of the function; annotations also see the variables around the definition."""
    around = interp.around
    if interp.in_annotation and name not in around.closure and name in around.enclosing:
        return around.enclosing[name]
    return around.find(name)


def _size_or_captured(name: str, size: SymInt, captured: Any) -> Any:
    is_other = captured is not NOT_FOUND and captured is not getattr(builtins, name, NOT_FOUND)
    if not is_other or (isinstance(captured, SymInt) and str(captured) == name):
        return size
    return Missing(
        f"{name} is the size {name} of this function, and also {_shown(captured)} outside of it",
        "rename one of them, or write the size from a shape: x.shape[0]",
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"a {type(value).__name__}"


def _undefined(interp: Interpreter, name: str, *, is_called: bool = True) -> Missing:
    if name in interp.options.module_functions:
        return Missing(f"{name} is a function of this module", f"write cls.{name}")
    if name in interp.options.undecorated:
        return Missing(*_undecorated(name))
    known = [*interp.frame.scope.names(), *interp.symbols, *interp.around.names(with_builtins=is_called)]
    close = nearest(name, known)
    return Missing(f"name {name!r} is not defined", f"did you mean {close!r}?" if close is not None else None)


def _undecorated(name: str) -> tuple[str, str]:
    """What is wrong with a call of a function in a module's class that is no program, and what to do."""
    return (
        f"{name} is a function of the class, but without @relax.function",
        "decorate it, or define it outside of the class if it is a plain Python helper",
    )


class ModuleNames:
    """What ``cls`` stands for in a printed program: the functions of its module by name."""

    def __init__(self, interp: Interpreter) -> None:
        self._functions = interp.options.module_functions
        self._undecorated = interp.options.undecorated
        self._untyped = interp.options.untyped

    def __getattr__(self, name: str) -> Any:
        if name in self._untyped:
            headline, hint = _without_type(name)
            raise ScriptError(headline, hint=hint)
        if name in self._functions:
            return self._functions[name]
        if name in self._undecorated:
            headline, hint = _undecorated(name)
            raise ScriptError(headline, hint=hint)
        close = nearest(name, self._functions)
        raise ScriptError(
            f"the module has no function {name!r}",
            hint=f"did you mean {close!r}?" if close is not None else None,
        )


@expression(ast.Attribute)
def evaluate_attribute(interp: Interpreter, node: ast.Attribute) -> Any:
    """``value.name``, as Python has it."""
    with interp.naming_symbols(False):
        value = interp.evaluate(node.value)
    with interp.at(node):
        try:
            return getattr(value, node.attr)
        except AttributeError as error:
            raise _unknown_attribute(value, node) from error


def _unknown_attribute(value: Any, node: ast.Attribute) -> ScriptError:
    owner = ast.unparse(node.value)
    return ScriptError(f"{owner} has no attribute {node.attr!r}", hint=instead_of(value, owner, node.attr))


def instead_of(value: Any, owner: str, name: str) -> str | None:
    """What to write for a name that ``value`` has not."""
    if (value is tir or value is te) and name in ABSENT_FOR_ELEMENTS:
        return f"write {ABSENT_FOR_ELEMENTS[name].replace('{}', owner)}"
    known = {name: name for name in dir(value) if not name.startswith("_")}
    if isinstance(value, ModuleType):
        known = {**_namespaced(value), **known}
    if name in ABSENT and isinstance(value, Expr | ModuleType):
        return ABSENT[name]
    if isinstance(value, ModuleType) and _is_outside_of_namespace(value, name):
        return f"write relax.{name}"
    operator = (registry.find(name) or registry.find(f"nn.{name}")) if isinstance(value, Expr) else None
    if operator is not None:
        needed = [each for each in operator.signature.parameters.values() if each.default is each.empty]
        others = ", …" if len(needed) > 1 else ""
        return f"write relax.{operator.name}({owner}{others})"
    elsewhere = ELSEWHERE.get(name)
    if elsewhere is not None and elsewhere not in known and isinstance(value, Expr):
        return f"write relax.{elsewhere}({owner}, …)"
    close = elsewhere if elsewhere in known else nearest(name, known)
    return f"did you mean `{owner}.{known[close]}`?" if close is not None else None


def _is_outside_of_namespace(module: ModuleType, name: str) -> bool:
    """Whether the module is a namespace such as ``relax.nn``, and the name is one of ``relax`` itself."""
    package, _, namespace = module.__name__.rpartition(".")
    namespaces = {each.name.partition(".")[0] for each in registry.all_operators() if "." in each.name}
    return package == _PACKAGE and namespace in namespaces and name in sys.modules[package].__all__


def _namespaced(module: ModuleType) -> dict[str, str]:
    """``softmax: nn.softmax`` and so on, for the operators in namespaces of the module."""
    split = [definition.name.rpartition(".") for definition in registry.all_operators()]
    return {name: f"{namespace}.{name}" for namespace, dot, name in split if dot and hasattr(module, namespace)}
