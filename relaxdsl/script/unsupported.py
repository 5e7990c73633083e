"""Python syntax that a program cannot contain, and what to write instead. Whatever is not supported is an error."""

from __future__ import annotations

import ast

from relaxdsl.errors import ScriptError, Span

#: Kinds of nodes by class name (some exist only in later Pythons): what to call them, what to write instead.
UNSUPPORTED: dict[str, tuple[str, str]] = {
    "AsyncFunctionDef": ("an async function", "write a plain def"),
    "ClassDef": ("a class definition", "define the class outside of the function"),
    "Delete": ("del", "leave the variable; it costs nothing"),
    "TypeAlias": ("a type statement", "define the type outside of the function"),
    "AsyncFor": ("async for", "write a plain for"),
    "AsyncWith": ("async with", "write a plain with"),
    "Match": ("match", "write if and else"),
    "Raise": ("raise", "write assert for a condition on Python values"),
    "Try": ("try", "call a plain Python function that contains it"),
    "TryStar": ("try", "call a plain Python function that contains it"),
    "Import": ("import", "import at the top of the file"),
    "ImportFrom": ("import", "import at the top of the file"),
    "Global": ("global", "return the value instead"),
    "Nonlocal": ("nonlocal", "return the value instead"),
    "Await": ("await", "a program has no concurrency of its own"),
    "Yield": ("yield", "collect the values in a list"),
    "YieldFrom": ("yield from", "collect the values in a list"),
    "TemplateStr": ("a template string", "write an f-string"),
    "Interpolation": ("a template string", "write an f-string"),
}


def unsupported_syntax(node: ast.AST, span: Span | None) -> ScriptError:
    """The error for a node of a kind that has no handler."""
    kind = type(node).__name__
    what, instead = UNSUPPORTED.get(kind, (f"the syntax `{kind}`", "call a plain Python function that contains it"))
    return ScriptError(f"{what} cannot be used inside a program", hint=instead, span=span)
