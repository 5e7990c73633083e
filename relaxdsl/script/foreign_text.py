"""Printed programs that anyone may have written: reading one does nothing but make its program.

Two fences stand around the text, either of which would do. Its syntax is that of printed programs, in which a dotted
name is one of a list; and its names mean what is on that list, with no builtins beside.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from relaxdsl import tir
from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ScriptError, Span
from relaxdsl.operators import registry
from relaxdsl.script.parse import ParsedProgram
from relaxdsl.script.parse_text import is_kernel, parse_kernel_tree, parse_tree
from relaxdsl.script.scope import NOT_FOUND, Surroundings
from relaxdsl.script.source import Source, source_of_text
from relaxdsl.script.tensor_ir.parse import ParsedKernel

_TYPES = ("Tensor", "Shape", "Prim", "Tuple", "Callable", "Any")
_VALUES = ("const", "constant", "shape", "prim_value", "extern", "host")
_CALLS = ("match_cast", "call_tir", "call_tir_inplace", "call_dps_packed", "call_packed", "call_pure_packed")
_FORMS = ("function", "module", "prim_func", "dataflow", "output")
_AXES = ("axis.spatial", "axis.reduce", "axis.remap")
_NOT_FROM_OUTSIDE = ("axis", "call_extern")
_BUILTINS = ("min", "max", "float", "slice", "range", "abs")
_IMPORTS = ("import relaxdsl as relax", "from relaxdsl import tir as T")

_STATEMENTS = (
    ast.FunctionDef,
    ast.ClassDef,
    ast.Assign,
    ast.AnnAssign,
    ast.Return,
    ast.With,
    ast.If,
    ast.Expr,
    ast.Pass,
)
_EXPRESSIONS = (
    *(ast.Name, ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Call, ast.Attribute, ast.Subscript),
    *(ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare),
)
_PARTS = (ast.arguments, ast.arg, ast.keyword, ast.withitem)
_MARKS = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
_GROWING = (ast.Pow, ast.LShift)


@dataclass(frozen=True, slots=True)
class Origins:
    """Where a program was written that a text says again.

    Args:
        lines: by the text's lines, the place of what stands there.
        params: by the line of the ``def`` and the name, the place of a parameter.
    """

    lines: Mapping[int, Span]
    params: Mapping[tuple[int, str], Span]


class _RetoldSource(Source):
    """A text whose spans are those of what it says again; None where that is not known."""

    def __init__(self, text: Source, tree: ast.Module, origins: Origins) -> None:
        super().__init__(text.file, text.lines, text.offset)
        object.__setattr__(self, "_lines", _every_line(tree, origins.lines))
        object.__setattr__(self, "_params", dict(_every_param(tree, origins.params)))

    __slots__ = ("_lines", "_params")
    _lines: Mapping[int, Span]
    _params: Mapping[tuple[int, int], Span]

    def span(self, node: ast.AST) -> Span | None:
        if isinstance(node, ast.arg):
            return self._params.get((node.lineno, node.col_offset))
        return self._lines.get(getattr(node, "lineno", 0))

    def name_span(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Span | None:
        return self._lines.get(node.lineno)


class _Listed:
    """A module of which a text can use some names only."""

    def __init__(self, module: Any, names: Iterator[str] | Sequence[str]) -> None:
        listed = tuple(names)
        for first in {name.partition(".")[0] for name in listed}:
            inner = [name.partition(".")[2] for name in listed if name.startswith(f"{first}.")]
            found = getattr(module, first, None)
            if found is not None:
                setattr(self, first, _Listed(found, inner) if inner else found)


class _OnlyListed(Surroundings):
    """Names and nothing else: no builtins."""

    __slots__ = ()

    def find(self, name: str) -> Any:
        return self.globals.get(name, NOT_FOUND)

    def names(self, *, with_builtins: bool) -> Iterator[str]:
        yield from self.globals


def read_program(
    text: str, relax: Any, constants: Sequence[Any] = (), filename: str = "<relax>", origins: Origins | None = None
) -> ParsedProgram:
    """The program that a printed text means, whoever has written it.

    Args:
        relax: the package, whose operators the text calls.
        origins: what to say of the places in the text.

    Raises:
        RelaxError: the text is no printed program.
    """
    tree, source = _read(text, filename, origins)
    return parse_tree(tree, source, _surroundings(relax), constants)


def read_kernel(text: str, relax: Any, filename: str = "<relax>", origins: Origins | None = None) -> ParsedKernel:
    """The kernel that a printed text means, whoever has written it.

    Raises:
        RelaxError: the text is no printed kernel.
    """
    tree, source = _read(text, filename, origins)
    return parse_kernel_tree(tree, source, _surroundings(relax))


def _read(text: str, filename: str, origins: Origins | None) -> tuple[ast.Module, Source]:
    try:
        tree, source = source_of_text(text, filename)
    except (RecursionError, MemoryError, ValueError):
        raise ScriptError("the text is not Python: it is nested too deeply, or has a null character") from None
    _Fence(source, tree).check()
    return tree, source if origins is None else _RetoldSource(source, tree, origins)


def _surroundings(relax: Any) -> Surroundings:
    names = {name: getattr(builtins, name) for name in _BUILTINS}
    return _OnlyListed({}, {"relax": _Listed(relax, _relax_names()), "T": _Listed(tir, _tir_names()), **names})


def _relax_names() -> tuple[str, ...]:
    return (*_TYPES, *_VALUES, *_CALLS, *_FORMS, *(each.name for each in registry.all_operators()))


def _tir_names() -> tuple[str, ...]:
    return (*(name for name in tir.__all__ if name not in _NOT_FROM_OUTSIDE), *_AXES)


# -------------------------------------------------------------------------------------------------------------- places


def _every_line(tree: ast.Module, lines: Mapping[int, Span]) -> dict[int, Span]:
    """The places of lines, also of those on which a wrapped statement goes on."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.Return | ast.Expr) and node.lineno in lines:
            found.update(dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), lines[node.lineno]))
    return {**found, **lines}


def _every_param(tree: ast.Module, params: Mapping[tuple[int, str], Span]) -> Iterator[tuple[tuple[int, int], Span]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for arg in node.args.args:
                if (node.lineno, arg.arg) in params:
                    yield (arg.lineno, arg.col_offset), params[node.lineno, arg.arg]


# --------------------------------------------------------------------------------------------------------------- syntax


class _Fence:
    """Refuses what printed programs do not contain."""

    def __init__(self, source: Source, tree: ast.Module) -> None:
        self._source = source
        self._tree = tree
        kernels = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and is_kernel(node))
        self._of_kernels = {each for kernel in kernels for each in ast.walk(kernel)}
        functions = (node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
        relax = (f"relax.{name}" for name in _relax_names())
        words = (f"T.{name}" for name in _tir_names())
        self._dotted = frozenset([*relax, *words, *(f"cls.{name}" for name in functions)])
        annotations = (*(f"relax.{name}" for name in _TYPES), "T.Buffer", *(f"T.{name}" for name in _DTYPE_WORDS))
        self._annotations = frozenset(annotations)

    def check(self) -> None:
        """Goes through the whole tree.

        Raises:
            ScriptError: at the first node that does not belong there.
        """
        inner: set[ast.AST] = set()
        for node in ast.walk(self._tree):
            if node in inner or node is self._tree:
                continue
            refused = node if not self._is_printed(node) else self._annotation_of_no_type(node)
            if refused is not None:
                raise self._refusal(refused)
            if isinstance(node, ast.Attribute | ast.Import | ast.ImportFrom):
                inner.update(ast.walk(node))

    def _is_printed(self, node: ast.AST) -> bool:
        match node:
            case ast.Import() | ast.ImportFrom():
                return ast.unparse(node) in _IMPORTS
            case ast.Attribute():
                return _dotted_name(node) in self._dotted
            case ast.For(iter=ast.Call(), orelse=[]):
                return node in self._of_kernels
            case ast.BinOp():
                return _is_small_operation(node)
            case ast.Call(func=func, keywords=keywords):
                return isinstance(func, ast.Name | ast.Attribute) and all(each.arg for each in keywords)
            case ast.Dict(keys=keys):
                return None not in keys
            case ast.Constant(value=value):
                return value is None or isinstance(value, bool | int | float | str)
        return isinstance(node, (*_STATEMENTS, *_EXPRESSIONS, *_PARTS, *_MARKS))

    def _annotation_of_no_type(self, node: ast.AST) -> ast.expr | None:
        """The node's annotation, if it is not plainly a type: a text would be read as an expression."""
        annotation = node.returns if isinstance(node, ast.FunctionDef) else getattr(node, "annotation", None)
        named = annotation.func if isinstance(annotation, ast.Call) else annotation
        return None if named is None or _dotted_name(named) in self._annotations else annotation

    def _refusal(self, node: ast.AST) -> ScriptError:
        what = next(iter(ast.unparse(node).splitlines()), "") or type(node).__name__
        shown = what if len(what) <= 60 else f"{what[:57]}..."
        return ScriptError(f"a printed program cannot contain `{shown}`", span=self._source.span(node))


_DTYPE_WORDS = [name for name in tir.__all__ if isinstance(getattr(tir, name), tir.DTypeFunction)]


def _dotted_name(node: ast.expr) -> str:
    """``a.b.c``; nothing for any other expression."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            owner = _dotted_name(value)
            return owner and f"{owner}.{attr}"
    return ""


def _is_small_operation(node: ast.BinOp) -> bool:
    """Whether the operation is one on sizes or elements: repeated texts and towers of powers take all memory."""
    sides = (node.left, node.right)
    if isinstance(node.op, _GROWING) and any(_is_number(side) for side in sides):
        return False
    return not any(isinstance(each, ast.Tuple | ast.List | ast.Dict) or _is_text(each) for each in sides)


def _is_number(node: ast.expr) -> bool:
    """Whether the expression consists of plain numbers."""
    return all(isinstance(each, (ast.Constant, ast.UnaryOp, ast.BinOp, *_MARKS)) for each in ast.walk(node))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
