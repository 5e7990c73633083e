"""What errors say of an access that is out of range: which one, for which sizes, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from relaxdsl.errors import KernelError
from relaxdsl.ir.loops import Block, PrimFunc, walk
from relaxdsl.ir.print_loops import format_scalar
from relaxdsl.ir.scalar import Index, ScalarExpr
from relaxdsl.ir.te import Compute
from relaxdsl.kernels.access_sites import AxisValue, Fact, LoopRange, Site
from relaxdsl.kernels.accesses import index_dims, loads_of
from relaxdsl.kernels.create import hint_of
from relaxdsl.kernels.out_of_range import Values, index_at, size_at
from relaxdsl.types.bounds import declaration
from relaxdsl.types.dims import free_symbols


def error_of_access(
    kernel: PrimFunc, site: Site, example: Values, shown: Mapping[str, str], hint: str
) -> KernelError:
    """The error of an access that is out of range for the values of ``example``.

    Args:
        shown: what the user calls loops and axes.
    """
    return KernelError(
        headline_of(kernel, site, shown), details=[_reason(kernel, site, example, shown)], hint=hint
    )


def names_of_axes(kernel: PrimFunc) -> dict[str, str]:
    """What tensor expressions call the axes of blocks, by the names of their symbols."""
    axes = (axis for block in walk(kernel.body) if isinstance(block, Block) for axis in block.iter_vars)
    return {axis.var: axis.var.removeprefix("v_") for axis in axes}


def names_in_stage(kernel: PrimFunc, block: Block, stage: Compute) -> dict[str, str]:
    """What the stage of a block calls its axes, by the names of their symbols, where that names nothing else there."""
    names = names_of_axes(kernel)
    given = [hint_of(axis) for axis, _ in stage.all_axes]
    for axis, name in zip(block.iter_vars, given, strict=True):
        if given.count(name) == 1 and name not in kernel.symbols:
            names[axis.var] = name
    return names


def headline_of(kernel: PrimFunc, site: Site, shown: Mapping[str, str]) -> str:
    """Which access is out of range."""
    index = renamed(_text(site.index), shown)
    if isinstance(site.node, Block):
        axis = shown.get(str(site.what), str(site.what))
        what = f"the axis {axis} of the block {site.node.name}"
        return f"{kernel.name}: {what} is bound to {index}, which leaves its range"
    return f"{kernel.name}: {site.node.buffer.name}, axis {site.axis}: the index {index} is out of range"


def hint_for(site: Site, shown: Mapping[str, str]) -> str:
    """What to do about an access out of range."""
    if isinstance(site.node, Block):
        return f"put `if {renamed(_text(site.index), shown)} < {site.size}:` around the block"
    if isinstance(site.index, int) and site.index < 0:
        from_start = site.size + site.index
        if not isinstance(from_start, int) or from_start >= 0:
            return f"indices do not count from the end: write {from_start}"
    return f"guard it with `if` or T.if_then_else, or {declaration_for(site) or 'loop over fewer elements'}"


def declaration_for(site: Site) -> str | None:
    """How a size can be declared such that it has the index, where that is a number."""
    if not isinstance(site.index, int) or site.index < 0:
        return None
    declared = declaration(site.size, ">", site.index)
    return f"say that {site.size} is at least {site.index + 1}: {declared}" if declared is not None else None


def _reason(kernel: PrimFunc, site: Site, example: Values, shown: Mapping[str, str]) -> str:
    """``for n = 1, i = 0 it is 1, and the size n is 1``."""
    names = [name for name in _mentioned(kernel, site) if name in example]
    values = ", ".join(f"{shown.get(name, name)} = {example[name]}" for name in names)
    what = "extent" if isinstance(site.node, Block) else "size"
    size = f"{what} is {site.size}" if isinstance(site.size, int) else f"{what} {site.size} is {size_at(site, example)}"
    return f"{f'for {values} ' if values else ''}it is {index_at(site, example)}, and the {size}"


def _mentioned(kernel: PrimFunc, site: Site) -> list[str]:
    """The names that the index and the size depend on: sizes first, then loops and axes."""
    needed = dict.fromkeys([*_symbols_of(site.index), *free_symbols(site.size)])
    for fact in reversed(site.facts):
        if isinstance(fact, LoopRange | AxisValue) and fact.var in needed:
            needed.update(dict.fromkeys(_sizes_in(fact)))
    sizes = [name for name in kernel.symbols if name in needed]
    return sizes + [name for name in _symbols_of(site.index) if name not in sizes]


def _sizes_in(fact: Fact) -> Iterator[str]:
    match fact:
        case LoopRange(_, start, extent):
            yield from (*free_symbols(start), *free_symbols(extent))
        case AxisValue(_, binding):
            yield from free_symbols(binding)


def _symbols_of(index: Index) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for dim in index_dims(index) for name in free_symbols(dim)))


def _text(index: Index) -> str:
    """The index as it is written; local variables by their names."""
    if not isinstance(index, ScalarExpr):
        return str(index)
    text = format_scalar(index)
    for load in loads_of(index):
        if load.buffer.scope == "register":
            text = text.replace(f"{load.buffer.name}[()]", load.buffer.name)
    return text


def renamed(text: str, shown: Mapping[str, str]) -> str:
    """The text with the user's names of loops and axes."""
    return re.sub(r"[^\W\d]\w*", lambda match: shown.get(match[0], match[0]), text)
