"""The parser's entry point for Python functions: from a function to a typed graph program."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from types import FunctionType, MappingProxyType
from typing import Any, Literal

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import RelaxError, ScriptError, ShapeError
from relaxdsl.ir.graph import Function, GlobalVar
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.symbol_bounds import with_declared_bounds
from relaxdsl.operators import catalog
from relaxdsl.operators.calls import call_context

# Importing these makes the kinds of nodes they handle known to the interpreter, and the operators to expressions.
from relaxdsl.script import branches, calls, expressions, loops, macros, names, statements
from relaxdsl.script.interpreter import Flow, Frame, Interpreter, Options, Undecided
from relaxdsl.script.parameters import Signature, declare_signature
from relaxdsl.script.results import as_result, check_before_output, finish
from relaxdsl.script.scope import Scope, Surroundings, surroundings_of
from relaxdsl.script.source import Source, source_of
from relaxdsl.script.trees import has_dataflow_block, mentioned_names
from relaxdsl.trace.builder import BlockBuilder
from relaxdsl.types.bounds import sizes_of_attributes, without_bounds
from relaxdsl.types.types import FuncType

__all__ = ["ParsedProgram", "Request", "evaluated_annotations", "parse_function", "parse_request"]

_LOADED = (catalog, branches, calls, expressions, loops, macros, names, statements)


@dataclass(frozen=True, slots=True)
class ParsedProgram:
    """A parsed function, and the module it lives in.

    Args:
        undecided: sizes whose equality is checked at run time: both sizes, the message, the place.
    """

    function: Function
    module: IRModule
    name: str
    undecided: tuple[Undecided, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What to parse, and how.

    Args:
        evaluated: annotations that Python has evaluated already.
        forms_dataflow: whether pure bindings are put into dataflow blocks.
    """

    node: ast.FunctionDef
    source: Source
    around: Surroundings
    options: Options
    private: bool = False
    attrs: Mapping[str, Any] = field(default_factory=dict)
    evaluated: Mapping[str, Any] = field(default_factory=dict)
    forms_dataflow: bool = True


def parse_function(
    fn: FunctionType,
    *,
    pure: bool = True,
    checks: Literal["strict", "runtime"] = "strict",
    name: str | None = None,
    private: bool = False,
    attrs: Mapping[str, Any] | None = None,
    dataflow: bool = True,
) -> ParsedProgram:
    """The program that a Python function's source means.

    Args:
        pure: whether the function makes no impure calls.
        checks: ``"runtime"`` has equalities that cannot be decided checked when the program runs.
        name: the function's name in its module.
        private: whether it is hidden from callers of the module.
        attrs: the function's attributes.
        dataflow: whether maximal runs of pure calls are put into dataflow blocks.

    Raises:
        RelaxError: the source is no program; several errors are reported together.
    """
    if checks not in ("strict", "runtime"):
        raise ScriptError(f"checks is {checks!r}", hint='write checks="strict" or checks="runtime"')
    found = source_of(fn)
    options = Options(fn.__name__, is_pure=pure, runtime_checks=checks == "runtime", program_name=name)
    request = Request(
        found.node,
        found.source,
        surroundings_of(fn),
        options,
        private=private,
        attrs=attrs or {},
        evaluated=evaluated_annotations(fn),
        forms_dataflow=dataflow,
    )
    return parse_request(request, BlockBuilder())


def evaluated_annotations(fn: FunctionType) -> Mapping[str, Any]:
    """The annotations as Python made them; none where it has not evaluated them (then the source says it)."""
    return {} if sys.version_info >= (3, 14) else fn.__annotations__


def parse_request(request: Request, builder: BlockBuilder) -> ParsedProgram:
    """The program of a definition, added to the builder's module.

    Raises:
        RelaxError: the source is no program.
    """
    interp = interpreter_of(request, builder)
    try:
        return _parse(interp, request)
    except RelaxError as error:
        errors = [*interp.errors, error] if error not in interp.errors else interp.errors
        first, *others = [_explained(interp, each) for each in errors]
        raise first.with_others(others) from first.__cause__


def interpreter_of(request: Request, builder: BlockBuilder) -> Interpreter:
    """What reads the definition, from its parameters on."""
    interp = Interpreter(builder, request.source, request.around, request.options)
    interp.frame = Frame(request.node, Scope())
    interp.bounded = sizes_of_attributes(request.attrs)
    return interp


def _parse(interp: Interpreter, request: Request) -> ParsedProgram:
    node, options, builder = request.node, request.options, interp.builder
    signature = declare_signature(interp, node, request.evaluated)
    interp.itself = _itself(options, signature)
    interp.result_annotation_span = None if node.returns is None else interp.source.span(node.returns)
    building = builder.function(
        options.program_name or options.name,
        signature.params,
        pure=options.is_pure,
        private=request.private,
        attrs=without_bounds(request.attrs),
        span=interp.source.name_span(node),
        form_dataflow=request.forms_dataflow and not has_dataflow_block(node),
    )
    with building, _contexts(interp):
        for name in mentioned_names(node):
            builder.reserve_symbol(name)
        name = _run_body(interp, node, signature)
    function = builder.get()[name]
    assert isinstance(function, Function)
    finished = _with_attributes(finish(interp, function, signature.result), request.attrs)
    if finished is not function:
        builder.update_func(name, finished)
    return ParsedProgram(finished, builder.get(), name, tuple(interp.undecided))


def _with_attributes(function: Function, attrs: Mapping[str, Any]) -> Function:
    """The function with the bounds that its attributes declare; the result's annotation may have named their sizes."""
    return with_declared_bounds(replace(function, attrs=MappingProxyType({**function.attrs, **attrs})))


def _itself(options: Options, signature: Signature) -> GlobalVar | None:
    """The function's name as an expression, if its type is declared in full."""
    if signature.result is None:
        return None
    params = tuple(param.type for param in signature.params)
    return GlobalVar(options.program_name or options.name, FuncType(params, signature.result, options.is_pure))


def _contexts(interp: Interpreter) -> Any:
    return call_context(
        fresh_symbol=interp.fresh_symbol, accept_undecided=interp.accept_undecided, emit_impure=interp.bind_impure
    )


def _run_body(interp: Interpreter, node: ast.FunctionDef, signature: Signature) -> str:
    """Runs the body and ends the function with its result; the name it has in the module.

    Raises:
        RelaxError: what failed in the body, or there is no result.
    """
    flow = interp.execute(node.body)
    if interp.errors:
        raise interp.errors[0]
    if flow is not Flow.RETURN:
        raise ScriptError(
            f"{node.name} ends without a result",
            hint="end it with: return value",
            span=interp.source.span(node.body[-1]),
        )
    with call_context(span=interp.frame.result_span):
        try:
            value = as_result(interp.frame.result, signature.result)
            value = check_before_output(interp, interp.builder.normalize(value), signature.result)
        except RelaxError as error:
            error.at(interp.frame.result_span)
            raise
        return interp.builder.emit_func_output(value).name


def _explained(interp: Interpreter, error: RelaxError) -> RelaxError:
    """A ShapeError with a line for each symbol in it: where it is bound."""
    if isinstance(error, ShapeError):
        text = "\n".join([error.headline, *error.details])
        error.details += tuple(line for line in _origins(interp, text) if line not in error.details)
    return error


def _origins(interp: Interpreter, text: str) -> Iterator[str]:
    words = set(re.findall(r"[^\W\d]\w*", text))
    for name, place in interp.symbol_places.items():
        if name in words and f"{name} is bound by" not in text:
            yield place
