"""A program as text: its slots, then its instructions, one a line, with names instead of slot numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from relaxdsl.errors import Span, display_name
from relaxdsl.runtime.program import (
    Allocate,
    Arith,
    Branch,
    CallFunction,
    CallKernel,
    Check,
    CheckTrue,
    CountThreads,
    HostCall,
    Instruction,
    IntLeaf,
    Jump,
    ObjectLeaf,
    Program,
    ShapeLeaf,
    TensorLeaf,
    Tree,
    TupleTree,
)

_OPERATORS = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "floordiv": "{} // {}",
    "min": "min({}, {})",
    "max": "max({}, {})",
    "align": "{} aligned to {}",
}
_RELATIONS = {"equal": "{} == {}", "at_least": "{} >= {}", "divisible": "{} % {} == 0"}


def format_program(program: Program) -> str:
    """The program's text: the same for the same program, on every machine."""
    return "\n".join(_lines(program))


def _lines(program: Program) -> Iterator[str]:
    names = [slot.name for slot in program.slots]
    arguments = ", ".join(_tree(tree, names) for tree in program.arguments)
    yield f"program {program.name}({arguments}) -> {_tree(program.output, names)}"
    yield "slots"
    for number, slot in enumerate(program.slots):
        is_pointer = slot.initial and slot.name != str(slot.initial)
        yield f"  {number:>4}  {slot.name}{' (constant)' if is_pointer else ''}"
    for title, part in (("prologue", program.prologue), ("body", program.body)):
        yield title
        for number, step in enumerate(part):
            yield f"  {number:>4}  {_step(step, names)}{_place(step)}"


def _step(step: Instruction, names: Sequence[str]) -> str:
    match step:
        case Arith(op="add") if names[step.right] == "0":
            return f"{names[step.target]} = {names[step.left]}"
        case Arith():
            left, right = _operand(names[step.left]), _operand(names[step.right])
            return f"{names[step.target]} = {_OPERATORS[step.op].format(left, right)}"
        case Check():
            return f"check {_RELATIONS[step.relation].format(names[step.left], names[step.right])}"
        case CheckTrue():
            return f"check {names[step.pointer]}"
        case CallKernel():
            shared = "" if step.sharing is None else f", work {names[step.sharing.work]}"
            args = ", ".join(names[slot] for slot in step.args)
            phase = f"phase {step.phase} of " if step.phase else ""
            return f"call {phase}{step.kernel.name}({args}) over {names[step.extent]}{shared}"
        case CountThreads():
            return f"{names[step.target]} = number of threads"
        case Branch():
            return f"if not {names[step.pointer]} go to {step.target}"
        case Jump():
            return f"go to {step.target}"
        case Allocate():
            return f"allocate {_tree(step.leaf, names)}"
        case CallFunction():
            args = ", ".join(_tree(tree, names) for tree in step.args)
            return f"{_tree(step.results, names)} = function {step.name}({args})"
        case HostCall():
            results = "" if step.results is None else f"{_tree(step.results, names)} = "
            filled = f" into {', '.join(_tree(leaf, names) for leaf in step.outputs)}" if step.outputs else ""
            return f"{results}host {step.name}({', '.join(_tree(tree, names) for tree in step.args)}){filled}"


def _operand(name: str) -> str:
    """A slot's name as part of arithmetic."""
    return f"({name})" if " " in name else name


def _tree(tree: Tree, names: Sequence[str]) -> str:
    match tree:
        case TupleTree():
            return _tuple([_tree(part, names) for part in tree.fields])
        case TensorLeaf():
            return f"{tree.name}: {tree.dtype}{_tuple([names[slot] for slot in tree.sizes])}"
        case IntLeaf():
            return names[tree.slot]
        case ShapeLeaf():
            return _tuple([names[slot] for slot in tree.slots])
        case ObjectLeaf():
            return tree.name


def _tuple(parts: Sequence[str]) -> str:
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"


def _place(step: Instruction) -> str:
    # Sizes are shared by lines: the line that one was first computed for would say too little.
    span: Span | None = None if isinstance(step, Arith) else getattr(step, "span", None)
    return "" if span is None else f"   # {display_name(span.file)}:{span.line}"
