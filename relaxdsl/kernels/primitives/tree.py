"""Finding loops and blocks in a kernel, and putting other statements in their place.

Loops and blocks are found by name; every primitive looks them up anew, since rewriting makes new statements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NoReturn

from relaxdsl.errors import ScheduleError, nearest
from relaxdsl.ir.conditions import may_fail
from relaxdsl.ir.layout import Lines
from relaxdsl.ir.loops import (
    Block,
    Buffer,
    For,
    IfThenElse,
    PrimFunc,
    Seq,
    Stmt,
    Store,
    loop_variable,
    map_statements,
    sequence,
    sub_statements,
    substitute_variables,
    walk,
)
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.print_loops import add_prim_func
from relaxdsl.ir.visit_loops import used_buffers
from relaxdsl.types.dims import Dim, SymInt

#: From the kernel's body down to a statement, both included.
Path = tuple[Stmt, ...]


def names_in(func: PrimFunc) -> UniqueNames:
    """Gives names that nothing in the kernel has."""
    taken = [*func.symbols, *(each.name for each in (*func.params, *func.scratch, *used_buffers(func.body)))]
    for stmt in walk(func.body):
        if isinstance(stmt, For):
            taken.append(stmt.var)
        elif isinstance(stmt, Block):
            taken += [stmt.name, *(axis.var for axis in stmt.iter_vars)]
    return UniqueNames(taken)


# ------------------------------------------------------------------------------------------------------------ finding


def loop_path(func: PrimFunc, name: str, step: str) -> tuple[Path, For]:
    """The path to the loop called ``name``, and the loop. ``step`` asks for it."""
    found = ((path, path[-1]) for path in paths_in(func.body))
    place = next(((path, stmt) for path, stmt in found if isinstance(stmt, For) and stmt.var == name), None)
    if place is None:
        refuse(func, f"{step}: there is no loop {name} (any more)", hint="ask for the loops anew: sch.get_loops(block)")
    return place


def block_path(func: PrimFunc, name: str, step: str) -> tuple[Path, Block]:
    """The path to the block called ``name``, and the block. ``step`` asks for it."""
    found = ((path, path[-1]) for path in paths_in(func.body))
    place = next(((path, stmt) for path, stmt in found if isinstance(stmt, Block) and stmt.name == name), None)
    if place is None:
        refuse(func, f"{step}: there is no block {name}", hint=_blocks_there_are(func, name))
    return place


def _blocks_there_are(func: PrimFunc, name: str) -> str:
    known = [block.name for block in blocks_in(func.body)]
    if not known:
        return 'the kernel has none; write `with T.block("name"):` around its statements'
    close = nearest(name, known)
    return f"did you mean {close}?" if close else f"the kernel has {', '.join(known)}"


def paths_in(root: Stmt, above: Path = ()) -> Iterator[Path]:
    """The path to each statement in ``root``, in the order they begin."""
    path = (*above, root)
    yield path
    for inner in sub_statements(root):
        yield from paths_in(inner, path)


def loops_on(path: Path) -> tuple[For, ...]:
    """The loops of a path, outermost first."""
    return tuple(stmt for stmt in path if isinstance(stmt, For))


def blocks_in(stmt: Stmt) -> list[Block]:
    """The outermost blocks in a statement, in the order they run."""
    if isinstance(stmt, Block):
        return [stmt]
    return [block for inner in sub_statements(stmt) for block in blocks_in(inner)]


def written_by(stmt: Stmt) -> tuple[Buffer, ...]:
    """The buffers that stand after the statement as it leaves them: all it writes but registers."""
    stores = (each.buffer for each in walk(stmt) if isinstance(each, Store))
    return tuple(dict.fromkeys(each for each in stores if each.scope != "register"))


# ---------------------------------------------------------------------------------------------------------- replacing


def with_statement(root: Stmt, old: Stmt, new: Stmt) -> Stmt:
    """``root`` with ``new`` in place of the statement ``old``."""
    if root is old:
        return new
    return map_statements(root, lambda inner: with_statement(inner, old, new))


def replaced(func: PrimFunc, old: Stmt, new: Stmt) -> PrimFunc:
    """The kernel with ``new`` in place of the statement ``old``; loops that have nothing left to do are dropped."""
    return replace(func, body=without_empty(with_statement(func.body, old, new)))


def without_empty(stmt: Stmt) -> Stmt:
    """``stmt`` without loops and conditions around nothing."""
    stmt = map_statements(stmt, without_empty)
    if isinstance(stmt, For | IfThenElse) and all(_is_empty(each) for each in sub_statements(stmt)):
        return Seq(())
    return stmt


def _is_empty(stmt: Stmt) -> bool:
    return isinstance(stmt, Seq) and not stmt.body


def at_leaves(stmt: Stmt, visit: Callable[[Stmt], Stmt]) -> Stmt:
    """``stmt`` with ``visit`` applied to what stands inside of its loops and conditions: blocks and stores.

    A condition that may fail, since it reads, is visited as a whole.
    """
    if isinstance(stmt, For | Seq) or (
        isinstance(stmt, IfThenElse) and stmt.else_body is None and not may_fail(stmt.condition)
    ):
        return map_statements(stmt, lambda inner: at_leaves(inner, visit))
    return visit(stmt)


def nest(loops: list[For] | tuple[For, ...], body: Stmt) -> Stmt:
    """The loops, the first one outermost, around ``body``."""
    for loop in reversed(loops):
        body = replace(loop, body=body)
    return body


def variable(loop: For) -> SymInt:
    """The loop's variable as a dim."""
    return loop_variable(loop.var, loop.extent)


def renamed(stmt: Stmt, names: UniqueNames, suffix: str = "") -> Stmt:
    """A copy of ``stmt`` whose loops, axes and blocks have names of their own."""
    values: dict[str, Dim] = {}

    def visit(inner: Stmt) -> Stmt:
        if isinstance(inner, For):
            new = names.fresh(inner.var + suffix)
            values[inner.var] = loop_variable(new, inner.extent)
            inner = replace(inner, var=new)
        elif isinstance(inner, Block):
            axes = [(axis, names.fresh(axis.var + suffix)) for axis in inner.iter_vars]
            values.update({axis.var: loop_variable(new, axis.extent) for axis, new in axes})
            moved = tuple(replace(axis, var=new) for axis, new in axes)
            inner = replace(inner, name=names.fresh(inner.name + suffix), iter_vars=moved)
        return map_statements(inner, visit)

    copy = visit(stmt)
    return substitute_variables(copy, values)


def inserted_before(func: PrimFunc, place: Stmt, new: Stmt) -> PrimFunc:
    """The kernel with ``new`` right before the statement ``place``."""
    return replace(func, body=with_statement(func.body, place, sequence(new, place)))


def inserted_after(func: PrimFunc, place: Stmt, new: Stmt) -> PrimFunc:
    """The kernel with ``new`` right after the statement ``place``."""
    return replace(func, body=with_statement(func.body, place, sequence(place, new)))


def top_statement(path: Path) -> Stmt:
    """The statement of the kernel's body that a path leads through."""
    return path[1] if isinstance(path[0], Seq) else path[0]


# ----------------------------------------------------------------------------------------------------------- refusing


def refuse(
    func: PrimFunc, headline: str, *marked: str, hint: str | None = None, example: Sequence[str] = ()
) -> NoReturn:
    """Raises the ScheduleError that shows an example, and the kernel's loops, with those called ``marked`` pointed at.

    Raises:
        ScheduleError: always.
    """
    raise ScheduleError(headline, details=(*example, *_shown_loops(func, marked)), hint=hint)


def _shown_loops(func: PrimFunc, marked: tuple[str, ...]) -> list[str]:
    """The kernel's loops as script; of several nests, those in which something is marked."""
    lines = Lines()
    add_prim_func(lines, func)
    start = next(number for number, line in enumerate(lines.text) if line.strip().startswith("T.outputs("))
    nests: list[list[str]] = []
    for line in (line[4:] for line in lines.text[start + 1 :]):
        found = [name for name in marked if _names(line, name)]
        if not line.startswith(" ") or not nests:
            nests.append([])
        nests[-1].append(f"{line}  # <-- {', '.join(found)}" if found else line)
    chosen = [nest for nest in nests if any("  # <-- " in line for line in nest)]
    return [line for nest in chosen or nests for line in nest]


def _names(line: str, name: str) -> bool:
    """Whether a line of script opens the loop or the block called ``name``."""
    text = line.strip()
    if text.startswith("for "):
        return name in text.removeprefix("for ").split(" in ")[0].split(", ")
    return text == f'with T.block("{name}"):'
