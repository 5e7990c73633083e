"""A judge of memory plans that knows nothing of planning: it runs a program with explicit memory on shadows of bytes.

Each byte remembers which write it belongs to. A tensor that is read must still have all bytes of the write that made
it, and what a kernel writes may not overlap what it reads or writes otherwise, unless it works in place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, product
from typing import Any

import numpy as np

from relaxdsl.ir.graph import Call, Constant, Expr, Function, GlobalVar, If, SeqExpr, Tuple, TupleGetItem, Var
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.signature import unbound_symbols
from relaxdsl.types.dims import Dim, evaluate, free_symbols
from relaxdsl.types.types import TensorType

Size = int | None
"""None: it depends on data."""


@dataclass(eq=False)
class Memory:
    """Bytes, each with the number of the write that it belongs to."""

    owners: np.ndarray


@dataclass(eq=False)
class Shadow:
    """A tensor: where it is, and the write that made it."""

    memory: Memory
    start: int
    size: int
    write: int = 0

    @property
    def owners(self) -> np.ndarray:
        return self.memory.owners[self.start : self.start + self.size]

    def overlaps(self, other: Shadow) -> bool:
        """Whether the two have a byte in common."""
        is_same = self.memory is other.memory
        return is_same and self.start < other.start + other.size and other.start < self.start + self.size


def judge(function: Function, module: IRModule, sizes: Mapping[str, int]) -> None:
    """Runs ``function`` on shadows, whichever ways its branches go. Raises AssertionError where bytes get lost."""
    choices = sum(isinstance(binding.value, If) for binding in function.body.bindings)
    for path in product((True, False), repeat=min(choices, 4)):
        _Run(module, dict(sizes), list(path)).function(function)


@dataclass
class _Run:
    module: IRModule
    sizes: dict[str, int]
    path: list[bool]
    values: dict[Var, Any] = field(default_factory=dict)
    writes: Iterator[int] = field(default_factory=lambda: count(1))

    def function(self, function: Function) -> None:
        results = list(_shadows(self.sequence(function.body)))
        for number, each in enumerate(results):
            assert len(np.unique(each.owners)) <= 1, "a result has bytes of several tensors"
            assert not any(each.overlaps(other) for other in results[:number]), "two results share memory"

    def sequence(self, sequence: SeqExpr) -> Any:
        for binding in sequence.bindings:
            self.values[binding.var] = self.value(binding.value, binding.var.name)
        return self.value(sequence.body, "the result")

    def value(self, expr: Expr, name: str) -> Any:
        match expr:
            case Var():
                return self.values.get(expr)
            case Tuple(fields=fields):
                return tuple(self.value(each, name) for each in fields)
            case TupleGetItem(value=whole, index=index):
                found = self.value(whole, name)
                return found[index] if isinstance(found, tuple) else None
            case If(then_branch=then_branch, else_branch=else_branch):
                return self.sequence(then_branch if self.path.pop() else else_branch)
            case Call():
                return self.call(expr, name)
        return None

    def call(self, call: Call, name: str) -> Any:
        if isinstance(call.op, GlobalVar):
            self.kernel(self.module[call.op.name], call.args, name)  # type: ignore[arg-type]
            return None
        match call.op.name:
            case "memory.alloc_storage":
                return self.new(self.size(call.attrs["size_bytes"]))
            case "memory.alloc_tensor" | "memory.view":
                return self.part(self.value(call.args[0], name), call, name)
            case "builtin.alloc_tensor":
                return self.new(self.bytes_of(call.type))
            case "memory.kill_tensor" | "memory.kill_storage" | "memory.count_threads":
                return None
            case "memory.call_dps_packed":
                self.fill(list(_shadows(self.value(call.args[1], name))), self.value(call.args[2], name), name)
                return None
        self.fill([each for arg in call.args for each in _shadows(self.value(arg, name))], (), name)
        return None

    def new(self, size: Size) -> Shadow | None:
        return None if size is None else Shadow(Memory(np.zeros(size, np.int64)), 0, size)

    def part(self, whole: Shadow | None, call: Call, name: str) -> Shadow | None:
        offset, size = self.size(call.attrs["offset"]), self.bytes_of(call.type)
        if whole is None or offset is None or size is None:
            return None
        assert offset >= 0, f"{name} starts before its memory"
        assert not size or offset + size <= whole.size, f"{name} ends after its memory"
        return Shadow(whole.memory, whole.start + offset, size, whole.write)

    def kernel(self, kernel: PrimFunc, args: Sequence[Expr], name: str) -> None:
        inputs, outputs = len(kernel.inputs), len(kernel.outputs)
        tensors = [None if isinstance(each, Constant) else self.value(each, name) for each in args]
        work = tensors[inputs + outputs + len(unbound_symbols(kernel)) :]
        in_place = {(output, place) for output, place in kernel.attrs.get("in_place", ())}
        for place, each in enumerate(tensors[: inputs + outputs]):
            for output in range(max(inputs, place + 1), inputs + outputs):
                if each is not None and tensors[output] is not None and (output, place) not in in_place:
                    assert not each.overlaps(tensors[output]), f"{kernel.name} writes over what it uses"
        for number, each in enumerate(work):
            others = [other for other in (*tensors[: inputs + outputs], *work[:number]) if other is not None]
            assert each is None or not any(each.overlaps(other) for other in others), f"{kernel.name}: its own memory"
        self.fill([each for each in tensors[:inputs] if each is not None], tensors[inputs : inputs + outputs], name)
        for each in work:
            if each is not None:
                each.owners[:] = next(self.writes)

    def fill(self, read: Sequence[Shadow], written: Sequence[Shadow | None], name: str) -> None:
        for each in read:
            assert (each.owners == each.write).all(), f"bytes that {name} reads belong to another tensor by now"
        for each in written:
            if each is not None:
                each.write = next(self.writes)
                each.owners[:] = each.write

    def size(self, dim: Dim) -> Size:
        return evaluate(dim, self.sizes) if all(name in self.sizes for name in free_symbols(dim)) else None

    def bytes_of(self, type_: Any) -> Size:
        assert isinstance(type_, TensorType)
        assert type_.shape is not None
        sizes = [self.size(dim) for dim in type_.shape]
        known = [size for size in sizes if size is not None]
        return math.prod(known) * np.dtype(type_.dtype).itemsize if len(known) == len(sizes) else None


def _shadows(value: Any) -> Iterator[Shadow]:
    if isinstance(value, tuple):
        for part in value:
            yield from _shadows(part)
    elif isinstance(value, Shadow):
        yield value
