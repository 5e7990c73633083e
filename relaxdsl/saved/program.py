"""A program as data that outlives its process: its printed text, the constants beside it, and where it was written."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any, Literal

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ArgumentError, InternalError, Span
from relaxdsl.ir.equal import structural_equal
from relaxdsl.ir.graph import Binding, ExternFunc, Function, HostObject
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.print_graph import script_with_constants
from relaxdsl.ir.visit import all_bindings, walk
from relaxdsl.saved.signature import signature_of
from relaxdsl.script.foreign_text import Origins, read_kernel, read_program
from relaxdsl.script.parse import ParsedProgram
from relaxdsl.script.tensor_ir.parse import ParsedKernel
from relaxdsl.types.dims import SymInt
from relaxdsl.types.types import Type

Kind = Literal["function", "module", "kernel"]
KINDS: tuple[Kind, ...] = ("function", "module", "kernel")


@dataclass(frozen=True, slots=True)
class SavedProgram:
    """A program as text.

    Args:
        name: of a function, the one that is called; of a kernel, its own; of a module, nothing.
        constants: what ``relax.constant(i)`` in the text stands for: arrays, NumPy's numbers, and dtypes.
        origins: the places in the user's files.
        accepted: equalities of sizes that were not decided when it was parsed, as ``explain()`` shows them.
        doc: the docstring.
        signatures: by the names of the functions, what they take and give, for readers without relaxdsl.
        is_debug: of a kernel, whether it checks its accesses.
    """

    kind: Kind
    name: str
    text: str
    constants: tuple[Any, ...] = ()
    origins: Origins = Origins({}, {})
    accepted: tuple[str, ...] = ()
    doc: str | None = None
    is_debug: bool = False
    signatures: Mapping[str, Any] = field(default_factory=dict)

    def read(self, filename: str) -> ParsedProgram:
        """The function or the module that this is.

        Args:
            filename: what to call the text in messages.

        Raises:
            RelaxError: the text is no printed program.
        """
        return read_program(self.text, _relax(), self.constants, filename, self.origins)

    def read_kernel(self, filename: str) -> ParsedKernel:
        """The kernel that this is.

        Raises:
            RelaxError: the text is no printed kernel.
        """
        return read_kernel(self.text, _relax(), filename, self.origins)


def saved_function(
    function: Function, module: IRModule, *, accepted: tuple[str, ...] = (), doc: str | None = None
) -> SavedProgram:
    """A function of a module, with all of the module.

    Raises:
        ArgumentError: it holds a Python object that is no data.
    """
    if len(module.functions) == 1:
        return _saved("function", function.name, function, accepted, doc)
    name = next((name for name, each in module.functions.items() if each is function), function.name)
    return _saved("function", name, module, accepted, doc)


def saved_module(module: IRModule) -> SavedProgram:
    """A module.

    Raises:
        ArgumentError: it holds a Python object that is no data.
    """
    return _saved("module", "", module)


def saved_kernel(kernel: PrimFunc, *, doc: str | None = None, is_debug: bool = False) -> SavedProgram:
    """A kernel alone."""
    text, _ = script_with_constants(kernel)
    saved = SavedProgram("kernel", kernel.name, text, doc=doc, is_debug=is_debug)
    _require_equal(kernel, saved.read_kernel("<saved>").prim_func, kernel.name)
    return saved


def _saved(
    kind: Kind, name: str, program: Function | IRModule, accepted: tuple[str, ...] = (), doc: str | None = None
) -> SavedProgram:
    for function in _graph_functions(program):
        _require_data(function)
    text, constants = script_with_constants(program)
    if (found := _first_of_no_data(constants)) is not None:
        raise _no_data(name or "the module", found)
    parsed = read_program(text, _relax(), constants, "<saved>")
    again = parsed.function if isinstance(program, Function) else parsed.module
    _require_equal(program, again, name or "the module")
    pairs = zip(_graph_functions(program), _graph_functions(again), strict=True)
    signatures = {each.name: signature_of(each) for each in _graph_functions(program)}
    return SavedProgram(kind, name, text, constants, _origins(list(pairs)), accepted, doc, signatures=signatures)


def _graph_functions(program: Function | IRModule) -> tuple[Function, ...]:
    return (program,) if isinstance(program, Function) else tuple(program.graph_functions.values())


def _require_equal(program: Any, again: Any, name: str) -> None:
    """Nothing is written that does not come back as it is."""
    if not structural_equal(program, again):
        raise InternalError(f"{name}.save: the text of the program does not read back as the program")


def _relax() -> Any:
    """The package, which imports this module."""
    return sys.modules["relaxdsl"]


# ---------------------------------------------------------------------------------------------------------------- data


def is_data(value: object) -> bool:
    """Whether the value beside a text can be written without knowing what made it."""
    if isinstance(value, np.ndarray | np.generic):
        return not value.dtype.hasobject
    return isinstance(value, np.dtype) and not value.hasobject


def _require_data(function: Function) -> None:
    """Refuses objects with the place where the program got them."""
    for expr in walk(function):
        if isinstance(expr, HostObject) and (found := _first_of_no_data(_items(expr.value))) is not None:
            raise _no_data(function.name, found).at(expr.span)
        if isinstance(expr, ExternFunc) and expr.function is not None:
            raise ArgumentError(
                f"{function.name}: a program that calls {expr.name} in debug mode cannot be saved",
                hint="define the kernel and the program without debug mode",
                span=expr.span,
            )


def _no_data(name: str, found: object) -> ArgumentError:
    return ArgumentError(
        f"{name}: a program that holds a {type(found).__name__} cannot be saved: that is no data",
        hint="arrays, numbers, texts and tuples of them can; let a packed function make the object",
    )


def _first_of_no_data(values: Iterable[object]) -> object | None:
    return next((value for value in values if not is_data(value)), None)


def _items(value: object) -> Iterator[object]:
    """What is in the value, without what the text itself says."""
    if isinstance(value, tuple | list):
        for item in value:
            yield from _items(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (*_items(key), *_items(item))
    elif value is not None and not isinstance(value, bool | int | float | str | slice | SymInt | Type):
        yield value


# -------------------------------------------------------------------------------------------------------------- places


def _origins(pairs: list[tuple[Function, Function]]) -> Origins:
    """Where the functions were written, by the lines of the text from which the others were read."""
    lines: dict[int, Span] = {}
    params: dict[tuple[int, str], Span] = {}
    for written, read in pairs:
        if read.span is None:
            continue
        if written.span is not None:
            lines[read.span.line] = written.span
        for old, new in zip(written.params, read.params, strict=True):
            if old.span is not None:
                params[read.span.line, new.name] = old.span
        for before, after in zip(all_bindings(written), all_bindings(read), strict=True):
            place, line = _place(before), _place(after)
            if place is not None and line is not None:
                lines[line.line] = place
    return Origins(lines, params)


def _place(binding: Binding) -> Span | None:
    return binding.value.span or binding.span
