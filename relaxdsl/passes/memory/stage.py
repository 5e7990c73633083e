"""PlanMemory: the pass that makes memory explicit in a program of kernel calls."""

from __future__ import annotations

from relaxdsl.ir.graph import Function
from relaxdsl.ir.module import IRModule
from relaxdsl.passes.memory.emit import with_memory
from relaxdsl.passes.memory.kernels import KernelTable
from relaxdsl.passes.memory.plan import Plan, make_plan


def plan_memory(function: Function, module: IRModule, table: KernelTable) -> tuple[Function, IRModule, Plan]:
    """``function`` with explicit memory, its kernels as they are called, and the plan."""
    plan = make_plan(function, module, table)
    planned = with_memory(function, plan)
    return planned, plan.variants.module(module), plan
