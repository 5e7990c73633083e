"""Programs built by hand, with kernels that are Python functions behind the kernels' C signature."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from relaxdsl.errors import ShapeError
from relaxdsl.runtime.binding import bind_sizes
from relaxdsl.runtime.executable import Executable
from relaxdsl.runtime.program import Arith, CallKernel, Check, Instruction, Program, TensorLeaf, Tree, TupleTree
from relaxdsl.runtime.slots import DimCompiler, SlotAllocator
from relaxdsl.types.dims import Dim
from relaxdsl.types.match import plan_binding
from relaxdsl.types.types import ShapeType, TensorType, TupleType, Type

_C_KERNEL = ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_int64), ctypes.c_int64, ctypes.c_int64)


class PythonKernel:
    """A kernel whose body is a Python function of ``(args, lo, hi)``."""

    def __init__(self, function: Callable[[Any, int, int], None], name: str | None = None) -> None:
        self.name = name or function.__name__
        self._callback = _C_KERNEL(function)
        self.address = ctypes.cast(self._callback, ctypes.c_void_p).value or 0


def at(address: int, count: int, dtype: str) -> np.ndarray:
    """The array of ``count`` elements at an address."""
    size = count * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(address), dtype) if size else np.empty(0, dtype)


def elementwise(compute: Callable[..., Any], dtype: str, out_dtype: str | None = None, name: str = "") -> PythonKernel:
    """A kernel ``out[lo:hi] = compute(*inputs[lo:hi])``; its arguments are the inputs' pointers, then the output's."""
    count = compute.__code__.co_argcount

    def body(args: Any, lo: int, hi: int) -> None:
        inputs = [at(args[i], hi, dtype)[lo:hi] for i in range(count)]
        at(args[count], hi, out_dtype or dtype)[lo:hi] = compute(*inputs)

    return PythonKernel(body, name or "elementwise")


@dataclass
class Builder:
    """A program under construction."""

    name: str
    params: Sequence[tuple[str, Type]]
    result: Type
    slots: SlotAllocator = field(default_factory=SlotAllocator)
    prologue: list[Instruction] = field(default_factory=list)
    body: list[Instruction] = field(default_factory=list)
    constants: list[np.ndarray] = field(default_factory=list)
    objects: dict[int, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.arguments = [self.slots.tree(name, kind) for name, kind in self.params]
        self.output = self.slots.tree("out", self.result)
        self.dims = DimCompiler(self.slots, self.prologue)
        spans = [None] * len(self.params)
        bind_sizes(plan_binding(self.params), self.arguments, self.dims, self.name, spans)
        self.assign_sizes(self.output, self.result)

    def assign_sizes(self, tree: Tree, kind: Type) -> None:
        """Computes the sizes of a tree as its type gives them, where they are known from the arguments."""
        if isinstance(tree, TupleTree) and isinstance(kind, TupleType):
            for part, part_kind in zip(tree.fields, kind.fields, strict=True):
                self.assign_sizes(part, part_kind)
        sizes = kind.shape if isinstance(kind, TensorType) else kind.values if isinstance(kind, ShapeType) else None
        for slot, dim in zip(getattr(tree, "sizes", None) or getattr(tree, "slots", ()), sizes or (), strict=True):
            if self.dims.can_compute(dim):
                self.dims.assign(dim, slot)

    def workspace(self, size_bytes: Dim) -> None:
        self.dims.assign(size_bytes, 1)

    def call(self, kernel: PythonKernel, leaves: Sequence[TensorLeaf | int], extent: Dim, *sizes: Dim) -> None:
        """Calls a kernel with the leaves' pointers and some sizes."""
        args = [leaf if isinstance(leaf, int) else leaf.pointer for leaf in leaves]
        args += [self.dims.slot_of(size) for size in sizes]
        self.body.append(CallKernel(kernel, tuple(args), self.dims.slot_of(extent)))

    def call_over(self, kernel: PythonKernel, leaves: Sequence[TensorLeaf], extent: int) -> None:
        """Calls a kernel over the range that a slot holds."""
        self.body.append(CallKernel(kernel, tuple(leaf.pointer for leaf in leaves), extent))

    def copy_slot(self, source: int, target: int) -> None:
        self.body.append(Arith("add", target, source, self.slots.constant(0)))

    def subtract(self, source: int, number: int, target: int) -> None:
        self.body.append(Arith("sub", target, source, self.slots.constant(number)))

    def stop_unless_positive(self, slot: int, message: str) -> None:
        self.body.append(Check("at_least", slot, self.slots.constant(1), lambda values: ShapeError(message)))

    def constant(self, array: np.ndarray, name: str) -> TensorLeaf:
        self.constants.append(array)
        sizes = tuple(self.slots.constant(size) for size in array.shape)
        return TensorLeaf(name, array.dtype.name, self.slots.add(name, array.ctypes.data), sizes)

    def program(self) -> Program:
        return Program(
            self.name,
            self.slots.slots(),
            tuple(self.arguments),
            self.output,
            tuple(self.prologue),
            tuple(self.body),
            tuple(self.constants),
            tuple(self.objects.get(index) for index in range(self.slots.object_count)),
        )

    def executable(self) -> Executable:
        return Executable(self.program(), self.params)
