"""Nested functions, lambdas and comprehensions: run while parsing, with the same rules as the program around them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from typing import Any

from relaxdsl.errors import ScriptError
from relaxdsl.script.expressions import evaluate_truth, items_of
from relaxdsl.script.interpreter import Flow, Frame, Interpreter, expression, statement
from relaxdsl.script.scope import Scope
from relaxdsl.script.targets import assign
from relaxdsl.types.symint import user_compares


class Macro:
    """A function defined inside a program. Calling it runs its body in place."""

    def __init__(self, interp: Interpreter, node: ast.FunctionDef | ast.Lambda, name: str) -> None:
        self._interp = interp
        self._node = node
        self._scope = interp.frame.scope
        self.__name__ = name
        self.__signature__ = _signature(interp, node.args)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self.__signature__.bind(*args, **kwargs)
        bound.apply_defaults()
        interp, outer = self._interp, self._interp.frame
        interp.frame = Frame(self._node, Scope(dict(bound.arguments), self._scope))
        try:
            with user_compares(False):  # the interpreter runs it, also where a helper calls it
                return self._run(interp)
        finally:
            interp.frame = outer

    def _run(self, interp: Interpreter) -> Any:
        if isinstance(self._node, ast.Lambda):
            return interp.evaluate(self._node.body)
        flow = interp.execute(self._node.body)
        return interp.settle(interp.frame.result) if flow is Flow.RETURN else None


def _signature(interp: Interpreter, args: ast.arguments) -> inspect.Signature:
    """Python's signature for a definition's parameters, with the defaults evaluated now."""
    kinds = inspect.Parameter
    positional: list[tuple[str, Any]] = [(arg.arg, kinds.POSITIONAL_ONLY) for arg in args.posonlyargs]
    positional += [(arg.arg, kinds.POSITIONAL_OR_KEYWORD) for arg in args.args]
    defaults = [interp.evaluate(default) for default in args.defaults]
    missing: list[Any] = [kinds.empty] * (len(positional) - len(defaults))
    parameters = [
        inspect.Parameter(name, kind, default=default)
        for (name, kind), default in zip(positional, missing + defaults, strict=True)
    ]
    if args.vararg is not None:
        parameters.append(inspect.Parameter(args.vararg.arg, kinds.VAR_POSITIONAL))
    for arg, node in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        default = kinds.empty if node is None else interp.evaluate(node)
        parameters.append(inspect.Parameter(arg.arg, kinds.KEYWORD_ONLY, default=default))
    if args.kwarg is not None:
        parameters.append(inspect.Parameter(args.kwarg.arg, kinds.VAR_KEYWORD))
    return inspect.Signature(parameters)


@expression(ast.Lambda)
def evaluate_lambda(interp: Interpreter, node: ast.Lambda) -> Macro:
    """``lambda x: …``."""
    return Macro(interp, node, "<lambda>")


@statement(ast.FunctionDef)
def run_function_definition(interp: Interpreter, node: ast.FunctionDef) -> Flow:
    """A nested ``def``: a macro."""
    if node.decorator_list:
        raise ScriptError(
            f"{node.name}: a function inside a program cannot have decorators",
            hint="define it outside of the program and call it",
            span=interp.source.span(node.decorator_list[0]),
        )
    interp.frame.scope.variables[node.name] = Macro(interp, node, node.name)
    return Flow.NEXT


# ------------------------------------------------------------------------------------------------------- comprehensions


@expression(ast.ListComp)
def evaluate_list_comprehension(interp: Interpreter, node: ast.ListComp) -> list[Any]:
    """``[f(x) for x in xs]``."""
    return [interp.evaluate(node.elt) for _ in _rounds(interp, node.generators)]


@expression(ast.GeneratorExp)
def evaluate_generator(interp: Interpreter, node: ast.GeneratorExp) -> Iterator[Any]:
    """``(f(x) for x in xs)``; all of it is computed now."""
    return iter([interp.evaluate(node.elt) for _ in _rounds(interp, node.generators)])


@expression(ast.SetComp)
def evaluate_set_comprehension(interp: Interpreter, node: ast.SetComp) -> set[Any]:
    """``{f(x) for x in xs}``."""
    return {interp.as_key(interp.evaluate(node.elt)) for _ in _rounds(interp, node.generators)}


@expression(ast.DictComp)
def evaluate_dict_comprehension(interp: Interpreter, node: ast.DictComp) -> dict[Any, Any]:
    """``{key: value for x in xs}``."""
    rounds = _rounds(interp, node.generators)
    return {interp.as_key(interp.evaluate(node.key)): interp.evaluate(node.value) for _ in rounds}


def _rounds(interp: Interpreter, generators: list[ast.comprehension]) -> Iterator[None]:
    """One turn for each element, with the comprehension's variables set."""
    with interp.in_scope(interp.frame.scope.child()):
        yield from _nested_rounds(interp, generators)


def _nested_rounds(interp: Interpreter, generators: list[ast.comprehension]) -> Iterator[None]:
    if not generators:
        yield
        return
    first, *others = generators
    if first.is_async:
        raise ScriptError("an async comprehension cannot be used inside a program", hint="write a plain for")
    for item in items_of(interp, interp.evaluate(first.iter), first.iter):
        assign(interp, first.target, item)
        if all(evaluate_truth(interp, condition) for condition in first.ifs):
            yield from _nested_rounds(interp, others)
