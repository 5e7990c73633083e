"""Machine code as an object file's bytes: loaded into this process by llvmlite alone, without numba.

A name that the linker does not know would end the process, so what code imports is kept along with it.

Importing this module imports llvmlite.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from llvmlite.binding.object_file import ObjectFileRef


class LoadedObject:
    """The code of an object file, in memory as long as this object lives."""

    def __init__(self, object_code: bytes) -> None:
        machine = native_target().create_target_machine(opt=1)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self._engine.add_object_file(ObjectFileRef.from_data(object_code))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """The address of the function called ``name``."""
        return int(self._engine.get_function_address(name))


def native_target() -> Any:
    """This machine and system, as LLVM's target."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple()


def parsed_for(machine: Any, module: ir.Module) -> Any:
    """The module, for that target machine; it has run through no passes."""
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    return llvm.parse_assembly(str(module))


def imports_of(module: Any) -> tuple[str, ...]:
    """The names that the code of an LLVM module expects the linker to know."""
    functions = [each.name for each in module.functions if each.is_declaration and not each.name.startswith("llvm.")]
    return (*functions, *(each.name for each in module.global_variables if each.is_declaration))


def are_known(names: tuple[str, ...]) -> bool:
    """Whether the linker knows all these names in this process."""
    return all(llvm.address_of_symbol(name) is not None for name in names)
