"""The program of an executable: what the VM runs, as data that prints.

A program works on *slots*, a flat array of int64. A slot holds a size, a pointer or a constant. The first slots have
fixed places, so that the entry knows where to put arguments::

    0                    address of the workspace
    1                    bytes of workspace the program needs (computed by the prologue)
    2 …                  each argument leaf: pointer, then its sizes (a prim: its value; a shape: its values)
    …                    each output leaf: pointer, then its sizes (a prim: its value)
    …                    everything else: constants, symbols, dims, temporaries

The *prologue* binds symbols, checks sizes and computes all sizes that depend on nothing but the arguments' sizes. Then
outputs and workspace exist, and the *body* calls kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any, Protocol

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import RelaxError, Span
from relaxdsl.types.dims import Dim
from relaxdsl.types.types import Type

WORKSPACE_SLOT = 0
WORKSPACE_SIZE_SLOT = 1
FIRST_ARGUMENT_SLOT = 2


class Kernel(Protocol):
    """What the VM needs of a compiled kernel, ``void(int64* args, int64 lo, int64 hi)``."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> int: ...


# -------------------------------------------------------------------- leaves: arguments and outputs


@dataclass(frozen=True, slots=True)
class TensorLeaf:
    """A tensor argument, output or temporary: slots of its pointer and of its sizes."""

    name: str
    dtype: str
    pointer: int
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class IntLeaf:
    """An integer passed by value (a prim)."""

    name: str
    slot: int


@dataclass(frozen=True, slots=True)
class ShapeLeaf:
    """A shape: a tuple of integers passed by value."""

    name: str
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ObjectLeaf:
    """A Python object that host calls receive as it is (a string, a dtype, an opaque packed result).

    ``index`` is its place in the frame's object list.
    """

    name: str
    index: int


Leaf = TensorLeaf | IntLeaf | ShapeLeaf | ObjectLeaf


@dataclass(frozen=True, slots=True)
class TupleTree:
    """A (nested) tuple of leaves."""

    fields: tuple[Leaf | TupleTree, ...]


Tree = Leaf | TupleTree


def leaves_of(tree: Tree) -> Iterator[Leaf]:
    """The leaves of a tree, left to right."""
    if isinstance(tree, TupleTree):
        for part in tree.fields:
            yield from leaves_of(part)
    else:
        yield tree


def tensors_of(tree: Tree) -> Iterator[TensorLeaf]:
    """The tensors of a tree, left to right."""
    return (leaf for leaf in leaves_of(tree) if isinstance(leaf, TensorLeaf))


def slots_of(leaf: Leaf) -> tuple[int, ...]:
    """The slots of a leaf, in order."""
    match leaf:
        case TensorLeaf():
            return (leaf.pointer, *leaf.sizes)
        case ShapeLeaf():
            return leaf.slots
        case ObjectLeaf():
            return ()
        case _:
            return (leaf.slot,)


def value_slots(tree: Tree) -> tuple[int, ...]:
    """Every slot of a value; objects have none."""
    return tuple(slot for leaf in leaves_of(tree) for slot in slots_of(leaf))


# ------------------------------------------------------------------------------------- instructions


@dataclass(frozen=True, slots=True)
class Arith:
    """``slots[target] = slots[left] op slots[right]``; op is add, sub, mul, floordiv, min or max, as in Python,
    or align: the least multiple of ``right``, a power of 2, that is not less than ``left``.

    A division by zero fails, and so does a result that does not fit 64 bits. No instruction writes to a slot with an
    initial value.
    """

    op: str
    target: int
    left: int
    right: int
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Check:
    """Fails unless the relation holds.

    ``equal``: left == right; ``at_least``: left >= right; ``divisible``: right != 0 and left % right == 0.
    ``failure`` builds the rich error from a list of the slots' values.
    """

    relation: str
    left: int
    right: int
    failure: Callable[[Any], RelaxError] = field(compare=False)
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CheckTrue:
    """Fails unless the bool at address ``slots[pointer]`` is true."""

    pointer: int
    failure: Callable[[Any], RelaxError] = field(compare=False)
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class KernelNote:
    """What is told to people of a kernel call; all its phases have the same one.

    Args:
        facts: what the kernel is made of, and why it ends there: a text each.
        sizes: what the kernel's sizes are in the program's.
    """

    facts: tuple[str, ...] = ()
    sizes: Mapping[str, Dim] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallKernel:
    """Calls a phase of a kernel over its whole range: ``kernel([slots[a] for a in args], 0, slots[extent])``.

    With ``sharing``, threads may share the range. ``note`` is for people; ``phase`` says which one it is, which the
    kernel reads from its arguments.
    """

    kernel: Kernel
    args: tuple[int, ...]
    extent: int
    span: Span | None = field(default=None, compare=False)
    note: KernelNote = field(default=KernelNote(), compare=False)
    sharing: Sharing | None = None
    phase: int = 0


@dataclass(frozen=True, slots=True)
class Sharing:
    """Slots that say whether and how threads share a kernel's range.

    Args:
        work: of the estimate of the kernel's work; a small one is left to the calling thread.
        threads: of the greatest number of threads, as :class:`CountThreads` left it.
        per_thread: of how many parts of the range there are for each of them.
        scratch_bytes: for each of the kernel's last arguments, of the size of the scratch that one thread needs. As
        many pieces of that size as threads lie one after the other; the argument is the first one's address.
    """

    work: int
    threads: int
    per_thread: int
    scratch_bytes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CountThreads:
    """``slots[target]`` becomes the number of threads that kernels may use from here on."""

    target: int


@dataclass(frozen=True, slots=True)
class Branch:
    """Continues at ``target`` (an index into the body) if the bool at address ``slots[pointer]`` is false."""

    pointer: int
    target: int
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Jump:
    """Continues at ``target`` (an index into the body)."""

    target: int


@dataclass(frozen=True, slots=True)
class Allocate:
    """Allocates a tensor whose sizes are known only now; stores its pointer.

    The array stays alive until the call returns; it may be an output.
    """

    leaf: TensorLeaf
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class HostCall:
    """Leaves compiled code and calls a Python function.

    ``function(*args)`` gets arrays (views on the frame's memory), ints, tuples and objects as ``args`` lists them.
    With ``results``, the returned value (matched against the tree) is stored: pointers and sizes into the leaf's
    slots, so a size that was unknown is bound here. Rank and dtype are checked against the leaf.
    Destination-passing calls fill ``outputs``, allocated before, which they get after ``args``. Only those are
    writable. ``subject`` is what errors call it, if it is no packed function.
    """

    name: str
    function: Callable[..., Any]
    args: tuple[Tree, ...]
    results: Tree | None
    span: Span | None = field(default=None, compare=False)
    outputs: tuple[TensorLeaf, ...] = ()
    subject: str = ""


class Callee(Protocol):
    """A function that is a program of its own, compiled when it is first called."""

    def __call__(self, *args: Any) -> Any: ...

    @property
    def executable(self) -> Linkable: ...


class Linkable(Protocol):
    """What the caller of a program needs of it."""

    @property
    def program(self) -> Program: ...

    def link(self) -> int:
        """Sees to it that the program can be called; returns the address of its state."""
        ...


@dataclass(frozen=True, slots=True)
class CallFunction:
    """Calls another program: its arguments are the leaves of ``args``, its outputs become those of ``results``.

    The leaves are of the same kinds and dtypes on both sides. Arrays that it returns stay alive until the call returns.
    """

    name: str
    callee: Callee = field(compare=False)
    args: tuple[Tree, ...]
    results: Tree
    span: Span | None = field(default=None, compare=False)


Instruction = Arith | Check | CheckTrue | CallKernel | CountThreads | Branch | Jump | Allocate | HostCall | CallFunction


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot: what it is, as the printed table names it, and its initial value (constants; 0 otherwise)."""

    name: str
    initial: int = 0


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the user wrote, for the messages of calls: where the function and its parameters are, and its result.

    ``is_kernel``: it is a kernel, whose tensors are declared as buffers.
    """

    span: Span | None = None
    params: Mapping[str, Span | None] = field(default_factory=dict)
    result: Type | None = None
    is_kernel: bool = False

    def span_of(self, param: str) -> Span | None:
        """What errors of an argument point at: its parameter; the function where that is not known."""
        return self.params.get(param) or self.span


@dataclass(frozen=True, slots=True)
class Program:
    """A function, ready to run.

    ``constants`` are the arrays whose addresses the slots' initial values hold. ``objects`` is the frame's object
    list at the start of a call: as long as the largest index needs, None where a leaf gets its object during the
    call. ``symbols`` are the names of sizes and the slots that hold them after the prologue. ``computed`` are slots of
    sizes that must have a value, though no step may read it.
    """

    name: str
    slots: tuple[Slot, ...]
    arguments: tuple[Tree, ...]
    output: Tree
    prologue: tuple[Instruction, ...]
    body: tuple[Instruction, ...]
    constants: tuple[np.ndarray, ...] = ()
    objects: tuple[Any, ...] = ()
    symbols: tuple[tuple[str, int], ...] = ()
    declaration: Declaration = field(default_factory=lambda: Declaration())
    computed: tuple[int, ...] = ()

    @property
    def leaves_compiled_code(self) -> bool:
        """Whether any step runs in Python."""
        return any(isinstance(instruction, HostCall) for instruction in self.body)
