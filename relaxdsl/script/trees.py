"""Questions about syntax trees: which names a piece of code assigns and which are read after it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

_OWN_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def walk_own(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it, but not what is inside nested functions and classes."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _OWN_SCOPES):
            yield from walk_own(child)


def stored_names(statements: Iterable[ast.stmt]) -> list[str]:
    """The variables that the statements assign, in order."""
    names: dict[str, None] = {}
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names[statement.name] = None
            continue
        for node in walk_own(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names[node.id] = None
    return list(names)


def always_returns(statements: Sequence[ast.stmt]) -> bool:
    """Whether they certainly end with a return, whatever the conditions in them."""
    match statements:
        case [*_, ast.Return()]:
            return True
        case [*_, ast.If(body=body, orelse=orelse)]:
            return always_returns(body) and always_returns(orelse)
    return False


def names_read_after(function: ast.AST, node: ast.stmt, loops: Sequence[ast.AST]) -> set[str]:
    """The names that may be read after ``node`` has run: below it in the function, or anywhere in a loop around it."""
    end = (node.end_lineno or node.lineno, node.end_col_offset or 0)
    later = {each.id for each in _loads(function) if (each.lineno, each.col_offset) >= end}
    return later.union(each.id for loop in loops for each in _loads(loop))


def _loads(node: ast.AST) -> Iterator[ast.Name]:
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load):
            yield each
        elif isinstance(each, ast.AugAssign) and isinstance(each.target, ast.Name):
            yield each.target


def has_dataflow_block(function: ast.AST) -> bool:
    """Whether a ``with relax.dataflow():`` stands anywhere in the function."""
    return any(is_dataflow_with(node) for node in ast.walk(function))


def is_dataflow_with(node: ast.AST) -> bool:
    """Whether the node is ``with relax.dataflow():``."""
    if not isinstance(node, ast.With) or len(node.items) != 1:
        return False
    call = node.items[0].context_expr
    if not isinstance(call, ast.Call):
        return False
    return getattr(call.func, "attr", getattr(call.func, "id", None)) == "dataflow"


def callees_first(functions: Sequence[ast.FunctionDef]) -> list[ast.FunctionDef]:
    """The functions of a module, each after those that it calls as ``cls.name``, unless they call it, too.

    Those that declare their results may be anywhere.
    """
    named = {each.name: each for each in functions if each.returns is None}
    ordered: dict[ast.FunctionDef, None] = {}
    begun: set[ast.FunctionDef] = set()

    def visit(function: ast.FunctionDef) -> None:
        if function in begun:
            return
        begun.add(function)
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and node.attr in named:
                visit(named[node.attr])
        ordered[function] = None

    for each in functions:
        visit(each)
    return list(ordered)


def mentioned_names(node: ast.AST) -> set[str]:
    """Every name in the code, in string annotations and sizes too: what a new symbol must not be called."""
    names: set[str] = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            names.add(each.id)
        elif isinstance(each, ast.Constant) and isinstance(each.value, str):
            names.update(_identifiers(each.value))
    return names


def _identifiers(text: str) -> Iterator[str]:
    word = ""
    for character in f"{text} ":
        if (word + character).isidentifier():
            word += character
            continue
        if word:
            yield word
        word = character if character.isidentifier() else ""
