"""Whether a program is legal, by the rules of :mod:`relaxdsl.ir.rules`. Tests check after every pass."""

from __future__ import annotations

from collections.abc import Iterator

from relaxdsl.errors import InternalError, ScriptError
from relaxdsl.ir.check_graph import function_violations
from relaxdsl.ir.check_loops import kernel_violations
from relaxdsl.ir.graph import Function, Var
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.rules import Stage, Violation
from relaxdsl.ir.visit import bound_vars
from relaxdsl.types.counts import counted


def check_module(module: IRModule, stage: Stage = "graph") -> None:
    """Does nothing if every function and kernel of the module obeys the rules of ``stage``.

    Raises:
        InternalError: lists every violation.
    """
    _raise_if_any([*module_violations(module, stage)])


def require_well_formed(module: IRModule) -> None:
    """Returns if a module that a user has built obeys the rules.

    Raises:
        ScriptError: lists every violation.
    """
    violations = [*module_violations(module)]
    if violations:
        raise ScriptError("compile: the program is not well formed", details=map(str, violations))


def check_function(function: Function, module: IRModule | None = None, stage: Stage = "graph") -> None:
    """Does nothing if the function obeys the rules; without ``module`` the functions it uses are not looked up.

    Raises:
        InternalError: lists every violation.
    """
    _raise_if_any([*function_violations(function, function.name, module, stage)])


def check_kernel(kernel: PrimFunc, stage: Stage = "graph") -> None:
    """Does nothing if the kernel obeys the rules.

    Raises:
        InternalError: lists every violation.
    """
    _raise_if_any([*kernel_violations(kernel, kernel.name, stage)])


def module_violations(module: IRModule, stage: Stage = "graph") -> Iterator[Violation]:
    """Every violation in the module."""
    owners: dict[Var, str] = {}
    for name, function in module.functions.items():
        if isinstance(function, PrimFunc):
            yield from kernel_violations(function, name, stage)
            continue
        yield from function_violations(function, name, module, stage)
        for var in dict.fromkeys(bound_vars(function)):
            owner = owners.setdefault(var, name)
            if owner != name:
                yield Violation(3, name, f"variable {var.name} is defined in function {owner} too")


def _raise_if_any(violations: list[Violation]) -> None:
    if violations:
        count = counted(len(violations), "rule is", "rules are")
        raise InternalError(f"the program is not well formed: {count} broken", details=map(str, violations))
