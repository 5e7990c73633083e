"""What is wrong with a kernel as a whole, at the user's lines.

Accesses out of range, axes that promise too much, steps that meet, memory read before it is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from relaxdsl.errors import KernelError, RelaxError
from relaxdsl.ir.loops import Buffer, For, PrimFunc, Store, walk
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.print_loops import format_element
from relaxdsl.ir.scalar import Load, ScalarExpr
from relaxdsl.kernels.access_errors import error_of_access, hint_for, renamed
from relaxdsl.kernels.access_sites import sites_of
from relaxdsl.kernels.dtypes import unsupported_dtype, unsupported_nodes
from relaxdsl.kernels.first_reads import unset_reads_of
from relaxdsl.kernels.independence import Conflict, conflicts_of
from relaxdsl.kernels.out_of_range import Values, find_example, is_proved
from relaxdsl.kernels.races import Race, races_of
from relaxdsl.runtime.arguments import shown_type
from relaxdsl.script.tensor_ir.interpreter import Places
from relaxdsl.trace.kernel_programs import tensor_type_of


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
        yield _of_unset_read(kernel, load, places, shown)
    seen = set()
    for site in sites_of(kernel):
        if site.node in seen or is_proved(site):
            continue
        example = find_example(kernel, site)
        if example is not None:
            seen.add(site.node)
            yield error_of_access(kernel, site, example, shown, hint_for(site, shown)).at(places.get(site.node))


def _of_unsupported_dtypes(kernel: PrimFunc, places: Places) -> Iterator[RelaxError]:
    for stmt, node in unsupported_nodes(kernel):
        place = places.get(node) if isinstance(node, Load) else None
        yield unsupported_dtype(kernel.name, node.dtype).at(place or places.get(stmt))


def _of_conflict(kernel: PrimFunc, conflict: Conflict, places: Places, shown: Mapping[str, str]) -> RelaxError:
    headline, hint = (renamed(text, shown) for text in (conflict.headline, conflict.hint))
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


def _of_unset_read(kernel: PrimFunc, load: Load, places: Places, shown: Mapping[str, str]) -> RelaxError:
    name = load.buffer.name
    is_output = load.buffer in kernel.outputs
    own = f"{name} is an output, since the kernel writes it: it is new in every call, and holds nothing before that"
    hint = "write it first, in loops before or under T.init() of a block"
    if is_output and not kernel.inputs:
        hint = _instead_of_in_place(kernel, load, shown)
    elif is_output:
        hint = f"{hint}; if {name} is meant to be an input, write another output: a kernel never changes its inputs"
    return KernelError(
        f"{kernel.name}: {name} is read before anything is written to it",
        details=[own if is_output else f"{name} is new in every call"],
        hint=hint,
        span=places.get(load),
    )


def _instead_of_in_place(kernel: PrimFunc, load: Load, shown: Mapping[str, str]) -> str:
    """What to write where a kernel has no inputs, since it writes what was to be one."""
    old = load.buffer
    like = (each for each in kernel.outputs if each is not old and each.shape == old.shape and each.dtype == old.dtype)
    new = next(like, None)
    if new is None:
        names = UniqueNames(each.name for each in (*kernel.params, *kernel.scratch))
        new = replace(old, name=names.fresh("y"))
    stores = (each.indices for each in walk(kernel.body) if isinstance(each, Store) and each.buffer is old)
    indices = next(stores, load.indices)
    first, then = (renamed(format_element(Load(buffer, indices)), shown) for buffer in (old, new))
    declared = shown_type(tensor_type_of(new), is_kernel=True)
    added = "" if new in kernel.outputs else f"add an output, {new.name}: {declared}, and "
    instead = f"a kernel never changes its inputs: {added}write {then} = ... in place of {first} = ..."
    return f"{instead}; if {old.name} is not meant to be an input, write it first"
