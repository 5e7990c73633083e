"""Printed programs: from script text back to a function or a module."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from relaxdsl import tir
from relaxdsl.errors import ScriptError
from relaxdsl.ir.graph import GlobalVar
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.operators.calls import call_context
from relaxdsl.script.interpreter import Frame, Interpreter, Options
from relaxdsl.script.parameters import declare_signature
from relaxdsl.script.parse import ParsedProgram, Request, parse_request
from relaxdsl.script.scope import Scope, Surroundings
from relaxdsl.script.source import Source, source_of_text
from relaxdsl.script.tensor_ir.parse import ParsedKernel, parse_kernel_node
from relaxdsl.script.trees import callees_first
from relaxdsl.trace.builder import BlockBuilder
from relaxdsl.types.bounds import sizes_of_attributes
from relaxdsl.types.types import AnyType, FuncType

_OPTIONS = ("pure", "dataflow", "attrs", "private")


def parse_source(
    text: str,
    namespace: Mapping[str, Any],
    constants: Sequence[Any] = (),
    filename: str = "<relax>",
    *,
    module: IRModule | None = None,
) -> ParsedProgram:
    """The program that a printed text means: a function, or a module (of which the last function is given).

    Args:
        namespace: what names mean; at least ``relax``.
        constants: what ``relax.constant(i)`` in the text stands for.
        filename: the text's name in messages.
        module: where a function alone finds the functions and kernels that it calls.

    Raises:
        RelaxError: the text is no program.
    """
    tree, source = source_of_text(text, filename)
    return parse_tree(tree, source, Surroundings({}, {"T": tir, **namespace}), constants, module)


def parse_tree(
    tree: ast.Module,
    source: Source,
    around: Surroundings,
    constants: Sequence[Any] = (),
    module: IRModule | None = None,
) -> ParsedProgram:
    """The program that the syntax tree of a printed text means; what names mean is ``around``.

    Raises:
        RelaxError: the text is no program.
    """
    reader = _Reader(source, around, constants, module)
    statements = _without_imports(tree)
    match statements:
        case [ast.FunctionDef() as node]:
            return reader.function(node)
        case [ast.ClassDef() as node]:
            return reader.module(node)
    span = source.span(statements[-1]) if statements else None
    raise ScriptError("a program's text is one function, or one `@relax.module class`", span=span)


def parse_kernel_source(text: str, namespace: Mapping[str, Any], filename: str = "<relax>") -> PrimFunc:
    """The kernel that a printed text means.

    Raises:
        RelaxError: the text is no kernel.
    """
    tree, source = source_of_text(text, filename)
    return parse_kernel_tree(tree, source, Surroundings({}, {"T": tir, **namespace})).prim_func


def parse_kernel_tree(tree: ast.Module, source: Source, around: Surroundings) -> ParsedKernel:
    """The kernel that the syntax tree of a printed text means; what names mean is ``around``.

    Raises:
        RelaxError: the text is no kernel.
    """
    statements = _without_imports(tree)
    match statements:
        case [ast.FunctionDef() as node] if is_kernel(node):
            return _Reader(source, around, (), None).kernel(node)
    span = source.span(statements[-1]) if statements else None
    raise ScriptError("a kernel's text is one `@relax.prim_func`", span=span)


def _without_imports(tree: ast.Module) -> list[ast.stmt]:
    return [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]


class _Reader:
    """Reads one text; ``functions`` are the names of its module as expressions."""

    def __init__(self, source: Source, around: Surroundings, constants: Sequence[Any], module: IRModule | None) -> None:
        self.source = source
        self.around = around
        self.constants = constants
        self.given = module
        self.builder = BlockBuilder(debug=False)  # a printed program has its checks in its text
        self.functions: dict[str, GlobalVar] = {}
        self.untyped: set[str] = set()
        self.module_name: str | None = None

    def function(self, node: ast.FunctionDef) -> ParsedProgram:
        """A function alone; the functions it calls come from the module given."""
        if self.given is not None:
            self.module_name = "cls"
            for name in self.given:
                self.functions[name] = self.builder.add_named(name, self.given[name])
        return self.parse(node)

    def module(self, node: ast.ClassDef) -> ParsedProgram:
        """All functions of a module, in the order of the text; they may call each other in any order."""
        self.module_name = node.name
        definitions = [each for each in node.body if not isinstance(each, ast.Pass)]
        for each in definitions:
            self.declare(each)
        functions = [each for each in definitions if isinstance(each, ast.FunctionDef)]
        graphs = [each for each in functions if not is_kernel(each)]
        parsed = {each: self.typed(each) for each in callees_first(graphs)}
        if not parsed:
            raise ScriptError("the module has no graph function", span=self.source.name_span(node))
        built = self.builder.get()
        attrs = MappingProxyType(self.options_of(node).get("attrs", {}))
        ordered = MappingProxyType({each.name: built[each.name] for each in functions})
        last = parsed[graphs[-1]]
        return ParsedProgram(last.function, IRModule(ordered, attrs), last.name)

    def declare(self, node: ast.stmt) -> None:
        """Makes a function's name known with its type, before any body is parsed."""
        if not isinstance(node, ast.FunctionDef):
            raise ScriptError("a module contains functions only", span=self.source.span(node))
        if is_kernel(node):
            self.functions[node.name] = self.builder.add_named(node.name, self.kernel(node).prim_func)
            return
        interp = self.interpreter(node, is_pure=True)
        interp.bounded = sizes_of_attributes(self.options_of(node).get("attrs", {}))
        signature = declare_signature(interp, node, {})
        if signature.result is None:
            self.untyped.add(node.name)
        params = tuple(param.type for param in signature.params)
        pure = bool(self.options_of(node).get("pure", True))
        self.functions[node.name] = GlobalVar(node.name, FuncType(params, signature.result or AnyType(), pure))

    def kernel(self, node: ast.FunctionDef) -> ParsedKernel:
        """A kernel of the text."""
        attrs = self.options_of(node).get("attrs", {})
        return parse_kernel_node(node, self.source, self.around, attrs, is_checked=False)

    def typed(self, node: ast.FunctionDef) -> ParsedProgram:
        """One function of the text; those parsed after it know the type of its result."""
        parsed = self.parse(node)
        self.functions[node.name] = self.builder.get_global_var(node.name)
        self.untyped.discard(node.name)
        return parsed

    def parse(self, node: ast.FunctionDef) -> ParsedProgram:
        """One function of the text."""
        options = self.options_of(node)
        request = Request(
            node,
            self.source,
            self.around,
            self.interpreter_options(node, bool(options.get("pure", True))),
            private=bool(options.get("private", False)),
            attrs=options.get("attrs", {}),
            forms_dataflow=bool(options.get("dataflow", True)),
        )
        return parse_request(request, self.builder)

    def options_of(self, node: ast.FunctionDef | ast.ClassDef) -> dict[str, Any]:
        """The keyword arguments of the definition's decorator."""
        if not node.decorator_list or not isinstance(node.decorator_list[0], ast.Call):
            return {}
        interp = self.interpreter(node, is_pure=True)
        keywords = node.decorator_list[0].keywords
        unknown = next((each for each in keywords if each.arg not in _OPTIONS), None)
        if unknown is not None:
            raise ScriptError(f"unknown option {unknown.arg!r}", span=self.source.span(unknown))
        with call_context(span=self.source.span(node)):
            return {str(each.arg): interp.evaluate(each.value) for each in keywords}

    def interpreter(self, node: ast.FunctionDef | ast.ClassDef, is_pure: bool) -> Interpreter:
        """An interpreter for what stands around a function's body."""
        interp = Interpreter(self.builder, self.source, self.around, self.interpreter_options(node, is_pure))
        interp.frame = Frame(node, Scope())
        return interp

    def interpreter_options(self, node: ast.FunctionDef | ast.ClassDef, is_pure: bool) -> Options:
        return Options(
            node.name,
            is_pure=is_pure,
            exact=True,
            constants=self.constants,
            module_name=self.module_name,
            module_functions=self.functions,
            untyped=self.untyped,
        )


def is_kernel(node: ast.FunctionDef) -> bool:
    """Whether a definition of the text is a kernel's."""
    decorators = (each.func if isinstance(each, ast.Call) else each for each in node.decorator_list)
    return any(getattr(each, "attr", getattr(each, "id", None)) == "prim_func" for each in decorators)
