"""Modules written as classes: ``@relax.module class Model``, whose functions call each other as ``cls.other(x)``, and
kernels as ``relax.call_tir(cls.kernel, (x,))``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import FunctionType, MappingProxyType
from typing import Any, Literal, NoReturn, TypedDict, cast

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ScriptError
from relaxdsl.ir.graph import GlobalVar
from relaxdsl.ir.module import IRModule
from relaxdsl.script.interpreter import Options
from relaxdsl.script.parameters import declare_signature
from relaxdsl.script.parse import Request, evaluated_annotations, interpreter_of, parse_request
from relaxdsl.script.scope import surroundings_of
from relaxdsl.script.source import source_of
from relaxdsl.script.tensor_ir.parse import parse_kernel
from relaxdsl.script.trees import callees_first
from relaxdsl.trace.builder import BlockBuilder
from relaxdsl.trace.debug import is_debug
from relaxdsl.tracebacks import short_tracebacks
from relaxdsl.types.types import AnyType, FuncType


class FunctionOptions(TypedDict):
    """The options of ``@relax.function``."""

    pure: bool
    checks: Literal["strict", "runtime"]
    private: bool
    dataflow: bool
    attrs: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class KernelOptions:
    """The options of ``@relax.prim_func``."""

    attrs: Mapping[str, Any] | None = None
    debug: bool | None = None


@dataclass(frozen=True, slots=True, repr=False)
class ModuleMember:
    """A function or a kernel in the body of a class, waiting for ``@relax.module`` around the class to parse it."""

    function: FunctionType
    options: FunctionOptions | KernelOptions

    @short_tracebacks
    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        found = source_of(cast(FunctionType, self.function))
        raise ScriptError(
            f"{self.function.__qualname__} is a function of a class that is no module",
            hint="put @relax.module on the class, or define the function outside of it",
            span=found.source.name_span(found.node),
        )

    def __repr__(self) -> str:
        return f"<{self.function.__qualname__}, waiting for @relax.module on its class>"


def is_in_class(function: FunctionType) -> bool:
    """Whether a function is defined directly in the body of a class."""
    *around, _ = function.__qualname__.split(".")
    return bool(around) and around[-1] != "<locals>"


def parse_module(cls: type) -> IRModule:
    """The module of the functions in a class, in the order they stand, after what they call that is defined elsewhere.

    They may call each other in any order; those that call themselves, or one another, declare their results.

    Raises:
        ScriptError: the class has no ``@relax.function``.
        RelaxError: a function is no program.
    """
    members = {name: value for name, value in vars(cls).items() if isinstance(value, ModuleMember)}
    if not members:
        raise ScriptError(f"{cls.__name__} has no @relax.function", hint="decorate its functions with @relax.function")
    undecorated = [name for name, value in vars(cls).items() if isinstance(value, FunctionType)]
    reader = _ModuleReader(cls.__name__, members, undecorated)
    built = reader.read()
    made = {name: function for name, function in built.functions.items() if name not in members}
    return IRModule(MappingProxyType({**made, **{name: built[name] for name in members}}))


class _ModuleReader:
    def __init__(self, name: str, members: Mapping[str, ModuleMember], undecorated: Collection[str]) -> None:
        self._name = name
        self._members = members
        self._undecorated = undecorated
        self._builder = BlockBuilder()
        self._functions: dict[str, GlobalVar] = {}
        self._untyped: set[str] = set()

    def read(self) -> IRModule:
        requests = {}
        for name, member in self._members.items():
            function = cast(FunctionType, member.function)  # for mypy, a function in a class is a method
            if isinstance(member.options, KernelOptions):
                self._add_kernel(name, function, member.options)
            else:
                requests[name] = self._request(function, member.options)
                self._builder.keep_name(name)
        for name, request in requests.items():
            self._functions[name] = self._declared(name, request)
        by_node = {request.node: name for name, request in requests.items()}
        for name in map(by_node.__getitem__, callees_first(list(by_node))):
            parse_request(requests[name], self._builder)
            self._functions[name] = self._builder.get_global_var(name)
            self._untyped.discard(name)
        return self._builder.get()

    def _add_kernel(self, name: str, function: FunctionType, options: KernelOptions) -> None:
        parsed = parse_kernel(function, options.attrs)
        self._functions[name] = self._builder.add_named(name, parsed.prim_func)
        self._builder.debug_kernels[name] = parsed.in_debug_mode() if is_debug(options.debug) else None

    def _request(self, function: FunctionType, chosen: FunctionOptions) -> Request:
        found = source_of(function)
        options = Options(
            function.__name__,
            is_pure=chosen["pure"],
            runtime_checks=chosen["checks"] == "runtime",
            module_name=self._name,
            module_functions=self._functions,
            undecorated=self._undecorated,
            untyped=self._untyped,
        )
        return Request(
            found.node,
            found.source,
            surroundings_of(function),
            options,
            private=chosen["private"],
            attrs=chosen["attrs"] or {},
            forms_dataflow=chosen["dataflow"],
            evaluated=evaluated_annotations(function),
        )

    def _declared(self, name: str, request: Request) -> GlobalVar:
        """The function's name with its type, for calls of it that are parsed before it is."""
        interp = interpreter_of(request, self._builder)
        signature = declare_signature(interp, request.node, request.evaluated)
        params = tuple(param.type for param in signature.params)
        if signature.result is None:
            self._untyped.add(name)
        return GlobalVar(name, FuncType(params, signature.result or AnyType(), request.options.is_pure))
