"""Python's own values in kernels: a list that a loop appends to is appended to once, since the loop is read once."""

from __future__ import annotations

import ast
import builtins
import types
from collections.abc import Iterator, MutableMapping, MutableSequence, MutableSet
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from relaxdsl.errors import ScriptError, Span
from relaxdsl.script.scope import POISON, Scope

if TYPE_CHECKING:
    from relaxdsl.script.tensor_ir.interpreter import KernelInterpreter

WHAT_CHANGES = "what changes while the kernel runs is a buffer, t = T.alloc_buffer((4,), dtype), or a local variable"

_CHANGING = frozenset(
    {
        *("__delitem__", "__setitem__", "add", "append", "appendleft", "clear", "difference_update", "discard"),
        *("extend", "extendleft", "insert", "intersection_update", "pop", "popitem", "popleft", "remove", "reverse"),
        *("rotate", "setdefault", "sort", "subtract", "symmetric_difference_update", "update"),
    }
)
_ONLY_LOOKING = (
    builtins.id,
    builtins.isinstance,
    builtins.iter,
    builtins.len,
    builtins.print,
    builtins.repr,
    builtins.type,
)
_KNOWN = "has a value that is known when parsing, so a loop or a branch cannot change it"
_SHARED = "is an iterator from before the loop or the branch, of which all steps would get the same items"


def changes_once(name: str, hint: str, span: Span | None) -> ScriptError:
    """The error for a loop or a branch that would change a value of Python."""
    return ScriptError(f"{name} {_KNOWN}", hint=hint, span=span)


def require_fixed(interp: KernelInterpreter, node: ast.Call, function: Any, args: list[Any]) -> None:
    """Returns unless the call changes a list, a dict, a set or an iterator begun outside of the loop or the branch.

    Args:
        args: the values of all arguments, those with names last.

    Raises:
        ScriptError: it does.
    """
    changed = _changed_by(function, args)
    if changed is not None:
        written = _written(node, 0)
        if isinstance(node.func, ast.Attribute) and changed is getattr(function, "__self__", None):
            written = node.func.value
        _require_inside(interp, changed, written, node, _KNOWN, WHAT_CHANGES)
    elif not _only_looks(function):
        for place, each in enumerate(args):
            require_items_left(interp, each, _written(node, place), node)


def require_items_left(interp: KernelInterpreter, value: Any, written: ast.AST, node: ast.AST) -> None:
    """Returns unless items are taken from an iterator begun outside of the loop or the branch.

    Raises:
        ScriptError: they are: each step would get those of the first.
    """
    if isinstance(value, Iterator):
        is_target = isinstance(written, ast.Tuple | ast.List)  # a, b = iterator
        hint = f"keep its items in a list before: items = list({'iterator' if is_target else ast.unparse(written)})"
        _require_inside(interp, value, written, node, _SHARED, hint)


@contextmanager
def changing_nothing(interp: KernelInterpreter, node: ast.Call, function: Any, args: list[Any]) -> Iterator[None]:
    """Within the block, the function of Python runs; it may change what was begun in the loop or the branch.

    Raises:
        ScriptError: it has changed an argument begun outside.
    """
    if interp.fixed_scope is None or _only_looks(function):
        yield
        return
    before = [[(found, _contents(found)) for found in _reached(each, set()) if _may_change(found)] for each in args]
    yield
    for place, contents in enumerate(before):
        for value, copy in contents:
            if not _is_same(_contents(value), copy):
                _require_inside(interp, value, _written(node, place), node, _KNOWN, WHAT_CHANGES)


def _require_inside(
    interp: KernelInterpreter, changed: Any, written: ast.AST, node: ast.AST, why: str, hint: str
) -> None:
    """Returns unless what is changed was begun outside of the loop or the branch."""
    fixed = interp.fixed_scope
    if fixed is None:
        return
    name = _first_name(written)
    is_outside = name is not None and all(name not in each.variables for each in _inside(interp, fixed))
    if is_outside or _holds(interp, fixed, changed):
        if isinstance(written, ast.Name):
            _poison(fixed, written.id)
        name = "this" if isinstance(written, ast.Tuple | ast.List) else ast.unparse(written)
        raise ScriptError(f"{name} {why}", hint=hint, span=interp.source.span(node))


def _written(node: ast.Call, place: int) -> ast.expr:
    """How an argument is written; the whole call, where it is one of several behind a star."""
    written = [*node.args, *(each.value for each in node.keywords)]
    has_stars = any(isinstance(each, ast.Starred) for each in node.args) or any(not each.arg for each in node.keywords)
    return node if has_stars or place >= len(written) else written[place]


def _poison(fixed: Scope, name: str) -> None:
    """What is read from the variable after the error would be wrong, too: that stays silent."""
    scopes = list(fixed.chain())
    holder = next((each for each in scopes if name in each.variables), scopes[-1])
    holder.variables[name] = POISON


def _changed_by(function: Any, args: list[Any]) -> Any:
    """What the call changes; None if that is nothing, or not known."""
    name = getattr(function, "__name__", "")
    if function is builtins.next:
        return args[0] if args and isinstance(args[0], Iterator) else None
    owner = getattr(function, "__self__", None)
    if isinstance(owner, Iterator):
        return owner if name in ("__next__", "send") else None
    if isinstance(function, types.MethodDescriptorType | types.WrapperDescriptorType):  # list.append(t, 1)
        owner = args[0] if args else None
    return owner if isinstance(owner, MutableSequence | MutableMapping | MutableSet) and name in _CHANGING else None


def _only_looks(function: Any) -> bool:
    return any(function is each for each in _ONLY_LOOKING)


def _may_change(value: Any) -> bool:
    return isinstance(value, list | dict | set | np.ndarray)


def _contents(value: Any) -> bytes | list[Any]:
    """What a list, a dict, a set or an array holds now."""
    if isinstance(value, np.ndarray):
        return value.tobytes()
    return [each for pair in value.items() for each in pair] if isinstance(value, dict) else list(value)


def _is_same(contents: bytes | list[Any], before: bytes | list[Any]) -> bool:
    if isinstance(contents, bytes):
        return contents == before
    return len(contents) == len(before) and all(new is old for new, old in zip(contents, before, strict=True))


def _first_name(written: ast.AST) -> str | None:
    """The name that ``name.attribute[index]`` starts with; None where it starts with something else."""
    while isinstance(written, ast.Attribute | ast.Subscript):
        written = written.value
    return written.id if isinstance(written, ast.Name) else None


def _inside(interp: KernelInterpreter, fixed: Scope) -> Iterator[Scope]:
    """The scopes inside of the loop or the branch."""
    outside = set(map(id, fixed.chain()))
    return (each for each in interp.frame.scope.chain() if id(each) not in outside)


def _holds(interp: KernelInterpreter, scope: Scope, wanted: Any) -> bool:
    """Whether a variable that the scope sees has the value, or has it somewhere inside."""
    variables = [value for each in scope.chain() for value in each.variables.values()]
    outside = (interp.around.closure, interp.around.globals)
    values = (*variables, *(value for names in outside for value in names.values()))
    seen: set[int] = set()
    return any(each is wanted for value in values for each in _reached(value, seen))


def _reached(value: Any, seen: set[int]) -> Iterator[Any]:
    """The value, and what is in it if it is a list, a tuple, a set or a dict."""
    yield value
    if isinstance(value, list | tuple | set | dict) and id(value) not in seen:
        seen.add(id(value))
        for each in value.values() if isinstance(value, dict) else value:
            yield from _reached(each, seen)
