"""The module: graph functions and kernels by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.graph import Function
from relaxdsl.ir.loops import PrimFunc


@dataclass(frozen=True, eq=False, slots=True)
class IRModule:
    """Functions by name, in order of definition. Passes map a module to a module."""

    functions: Mapping[str, Function | PrimFunc]
    attrs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __getitem__(self, name: str) -> Function | PrimFunc:
        return self.functions[name]

    def __contains__(self, name: object) -> bool:
        return name in self.functions

    def __iter__(self) -> Iterator[str]:
        return iter(self.functions)

    @property
    def graph_functions(self) -> dict[str, Function]:
        return {name: function for name, function in self.functions.items() if isinstance(function, Function)}

    @property
    def kernels(self) -> dict[str, PrimFunc]:
        return {name: function for name, function in self.functions.items() if isinstance(function, PrimFunc)}

    def with_functions(self, functions: Mapping[str, Function | PrimFunc]) -> IRModule:
        """This module with its functions replaced."""
        return IRModule(MappingProxyType(dict(functions)), self.attrs)
