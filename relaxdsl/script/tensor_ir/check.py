"""What is wrong with a kernel as a whole, at the user's lines.

Accesses out of range, axes that promise too much, steps that meet, memory read before it is written.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import islice

from relaxdsl.errors import KernelError, RelaxError
from relaxdsl.ir.loops import Block, Buffer, For, PrimFunc, walk
from relaxdsl.ir.print_loops import format_scalar
from relaxdsl.ir.scalar import Index, Load, ScalarExpr
from relaxdsl.kernels.access_sites import AxisValue, Fact, LoopRange, Site, sites_of
from relaxdsl.kernels.accesses import expression_dims, expressions, loads_of, nodes
from relaxdsl.kernels.expression_source import unsupported_dtype
from relaxdsl.kernels.first_reads import unset_reads_of
from relaxdsl.kernels.independence import Conflict, conflicts_of
from relaxdsl.kernels.out_of_range import Values, find_example, index_at, is_proved, size_at
from relaxdsl.kernels.races import Race, races_of
from relaxdsl.script.tensor_ir.interpreter import Places
from relaxdsl.types.dims import free_symbols
from relaxdsl.types.dtype import UNSUPPORTED_BY_KERNELS


def errors_of(
    kernel: PrimFunc, places: Places, shown: Mapping[str, str], given: Collection[Buffer]
) -> Iterator[RelaxError]:
    """Every error of a kernel that was read from a user's source.

    Args:
        places: where its accesses are.
        shown: what the user calls its loops and axes.
        given: outputs that hold something when the kernel begins.
    """
    yield from islice(_of_unsupported_dtypes(kernel, places), 1)
    conflicts = list(conflicts_of(kernel))
    for conflict in conflicts:
        yield _of_conflict(kernel, conflict, places, shown)
    for race in () if conflicts else races_of(kernel):
        yield _of_race(kernel, race, places, shown)
    for load in () if conflicts else unset_reads_of(kernel, given):
        yield _of_unset_read(kernel, load, places)
    seen = set()
    for site in sites_of(kernel):
        if site.node in seen or is_proved(site):
            continue
        example = find_example(kernel, site)
        if example is not None:
            seen.add(site.node)
            yield _of_site(kernel, site, example, places, shown)


def _of_unsupported_dtypes(kernel: PrimFunc, places: Places) -> Iterator[RelaxError]:
    for stmt in walk(kernel.body):
        for node in (each for expr in expressions(stmt) for each in nodes(expr)):
            if node.dtype in UNSUPPORTED_BY_KERNELS:
                place = places.get(node) if isinstance(node, Load) else None
                yield unsupported_dtype(kernel.name, node.dtype).at(place or places.get(stmt))


def _of_conflict(kernel: PrimFunc, conflict: Conflict, places: Places, shown: Mapping[str, str]) -> RelaxError:
    headline, hint = (_renamed(text, shown) for text in (conflict.headline, conflict.hint))
    return KernelError(f"{kernel.name}: {headline}", hint=hint, span=places.get(conflict.node))


def _of_race(kernel: PrimFunc, race: Race, places: Places, shown: Mapping[str, str]) -> RelaxError:
    sizes = _values_shown(race.sizes, {})
    element = f"{race.buffer.name}[{', '.join(map(str, race.element)) or '()'}]"
    first, second = (_values_shown(each, shown) for each in race.steps)
    verb = "reads" if isinstance(race.other, ScalarExpr) else "writes"
    what = f"step {first} writes {element}, and step {second} {verb} it"
    where, hint = _where_steps_meet(race, shown)
    return KernelError(
        f"{kernel.name}: steps of {where} meet in {race.buffer.name}, so their order matters",
        details=[f"for {sizes}, {what}" if sizes else what],
        hint=hint,
        span=places.get(race.other),
    )


def _values_shown(values: Values, shown: Mapping[str, str]) -> str:
    return ", ".join(f"{shown.get(name, name)} = {value}" for name, value in values.items())


def _where_steps_meet(race: Race, shown: Mapping[str, str]) -> tuple[str, str]:
    """What the steps are of, and what to do."""
    if isinstance(race.where, For):
        return f"the parallel loop {shown.get(race.where.var, race.where.var)}", "make the loop serial, with range"
    first, second = race.steps
    axis = next(name for name in first if first[name] != second[name])
    hint = f"bind {shown.get(axis, axis)} by T.axis.reduce, whose steps run in order"
    return f"the spatial axes of the block {race.where.name}", hint


def _of_unset_read(kernel: PrimFunc, load: Load, places: Places) -> RelaxError:
    name = load.buffer.name
    is_output = load.buffer in kernel.outputs
    return KernelError(
        f"{kernel.name}: {name} is read before anything is written to it",
        details=[f"{name} is an output, new in every call" if is_output else f"{name} is new in every call"],
        hint="write it first, in loops before or under T.init() of a block",
        span=places.get(load),
    )


def _of_site(kernel: PrimFunc, site: Site, example: Values, places: Places, shown: Mapping[str, str]) -> RelaxError:
    return KernelError(
        headline_of(kernel, site, shown),
        details=[_reason(kernel, site, example, shown)],
        hint=hint_for(site, shown),
        span=places.get(site.node),
    )


def headline_of(kernel: PrimFunc, site: Site, shown: Mapping[str, str]) -> str:
    """Which access is out of range."""
    index = _renamed(_text(site.index), shown)
    if isinstance(site.node, Block):
        axis = shown.get(str(site.what), str(site.what))
        what = f"the axis {axis} of the block {site.node.name}"
        return f"{kernel.name}: {what} is bound to {index}, which leaves its range"
    return f"{kernel.name}: {site.node.buffer.name}, axis {site.axis}: the index {index} is out of range"


def hint_for(site: Site, shown: Mapping[str, str]) -> str:
    """What to do about an access out of range."""
    if isinstance(site.node, Block):
        return f"put `if {_renamed(_text(site.index), shown)} < {site.size}:` around the block"
    return "guard it with `if` or T.if_then_else, or loop over fewer elements"


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
    dims = expression_dims(index) if isinstance(index, ScalarExpr) else (index,)
    return tuple(dict.fromkeys(name for dim in dims for name in free_symbols(dim)))


def _text(index: Index) -> str:
    """The index as it is written; local variables by their names."""
    if not isinstance(index, ScalarExpr):
        return str(index)
    text = format_scalar(index)
    for load in loads_of(index):
        if load.buffer.scope == "register":
            text = text.replace(f"{load.buffer.name}[()]", load.buffer.name)
    return text


def _renamed(text: str, shown: Mapping[str, str]) -> str:
    """The text with the user's names of loops and axes."""
    return re.sub(r"[^\W\d]\w*", lambda match: shown.get(match[0], match[0]), text)
