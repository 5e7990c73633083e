"""The user's source: where a function's text comes from, its syntax tree, and the span of every node in it."""

from __future__ import annotations

import ast
import inspect
import linecache
import re
from collections.abc import Sequence
from types import FunctionType

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ScriptError, Span


@dataclass(frozen=True, slots=True)
class Source:
    """A piece of a file that was parsed by itself.

    Args:
        file: the file's name.
        lines: the lines that were parsed.
        offset: what to add to a node's line to get the file's.
    """

    file: str
    lines: Sequence[str]
    offset: int

    def span(self, node: ast.AST) -> Span | None:
        """The node's place in the file, in characters; None for nodes that have none."""
        line = getattr(node, "lineno", None)
        if line is None:
            return None
        end_line, end_column = node.end_lineno or line, node.end_col_offset or 0  # type: ignore[attr-defined]
        return Span(
            self.file,
            line + self.offset,
            self._column(line, node.col_offset),  # type: ignore[attr-defined]
            end_line + self.offset,
            self._column(end_line, end_column),
        )

    def name_span(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Span | None:
        """The place of the name in a definition's first line; the whole node's where it is not found."""
        found = re.search(rf"\b(?:def|class)\s+(?={node.name}\b)", self.lines[node.lineno - 1])
        if found is None:
            return self.span(node)
        start, line = found.end(), node.lineno + self.offset
        return Span(self.file, line, start + 1, line, start + 1 + len(node.name))

    def _column(self, line: int, byte_offset: int) -> int:
        """Python counts columns in bytes of UTF-8, people in characters."""
        return len(self.lines[line - 1].encode()[:byte_offset].decode(errors="replace")) + 1


@dataclass(frozen=True, slots=True)
class FunctionSource:
    """A function's syntax tree, and the source it is in."""

    node: ast.FunctionDef
    source: Source


def source_of(function: FunctionType) -> FunctionSource:
    """The source of a Python function.

    Raises:
        ScriptError: there is no source, or it is not that of a ``def`` of this name.
    """
    if hasattr(function, "__wrapped__"):
        raise ScriptError(
            f"{function.__name__}: another decorator has wrapped it, and would have no effect",
            hint="write that decorator above @relax.function, or leave it out",
        )
    try:
        lines, first_line = inspect.getsourcelines(function)
    except (OSError, TypeError, IndentationError, SyntaxError):
        raise ScriptError(
            f"{function.__name__}: its source is not available",
            hint="define it in a file or a notebook cell",
        ) from None
    # An indented block stands alone below `if True:`, and its columns stay the file's.
    indented = lines[0][:1].isspace()
    parsed = ["if True:\n", *lines] if indented else lines
    source = Source(inspect.getsourcefile(function) or function.__code__.co_filename, parsed, first_line - 1 - indented)
    return FunctionSource(_find_definition("".join(parsed), function, source), source)


def _find_definition(text: str, function: FunctionType, source: Source) -> ast.FunctionDef:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        tree = ast.Module([], [])
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    found = next((node for node in nodes if node.name == function.__name__), None)
    if found is None:
        what = "a lambda has no statements" if function.__name__ == "<lambda>" else "its source has changed"
        raise ScriptError(f"{function.__name__}: {what}", hint="write it as a def, and define it again")
    if isinstance(found, ast.AsyncFunctionDef):
        raise ScriptError(f"{found.name}: an async function cannot be a program", span=source.name_span(found))
    return found


def source_of_text(text: str, filename: str) -> tuple[ast.Module, Source]:
    """The syntax tree of a text; errors can show its lines from now on.

    Raises:
        ScriptError: the text is not Python.
    """
    lines = text.splitlines(keepends=True)
    linecache.cache[filename] = (len(text), None, lines, filename)
    try:
        return ast.parse(text), Source(filename, lines, 0)
    except SyntaxError as error:
        line, column = error.lineno or 1, error.offset or 1
        span = Span(filename, line, column, line, column + 1)
        raise ScriptError(f"the text is not Python: {error.msg}", span=span) from None


def parse_annotation_text(text: str, node: ast.expr) -> ast.expr:
    """The expression in a string annotation; all of it has the place of the string.

    Raises:
        ScriptError: the text is not an expression.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise ScriptError(f"the annotation {text!r} is not a Python expression") from None
    for each in ast.walk(tree):
        if isinstance(each, ast.expr):
            ast.copy_location(each, node)
    return tree
