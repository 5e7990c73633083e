"""Which buffers are in the same bytes one after the other, because a kernel writes its output over an input."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import field

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.graph import GlobalVar
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.passes.memory.accesses import overwritable
from relaxdsl.passes.memory.offsets import Piece, place, reference_values
from relaxdsl.passes.memory.outputs import Results
from relaxdsl.passes.memory.values import Buffer, Group, have_same_size
from relaxdsl.passes.memory.walk import KernelStep
from relaxdsl.types.dims import evaluate, symbols_of

MAX_TRIED = 16
"""If more kernels could work in place, it is not tried which of them need not."""

Pair = tuple[int, int]
"""An output and the input that it is written over, as positions among outputs and inputs."""


@dataclass(slots=True)
class Sharing:
    """The group of each buffer that the program makes, and what each call of a kernel writes in place."""

    groups: dict[Buffer, Group] = field(default_factory=dict)
    in_place: dict[KernelStep, tuple[Pair, ...]] = field(default_factory=dict)

    def all_groups(self) -> list[Group]:
        """Every group once, in the order of the program."""
        return list(dict.fromkeys(self.groups.values()))


WORTH_ANOTHER_KERNEL = 0.6
"""To which part the workspace must shrink, at large sizes, for kernels that work in place in some of their calls."""


def choose_sharing(results: Results) -> Sharing:
    """The groups that make the workspace smallest: a kernel works in place where that saves memory.

    A kernel that does is another piece of machine code than one that does not. So those that can in all their calls
    are preferred, and the others must save much: a network's first layer would else need kernels of its own.
    """
    candidates = _Candidates(results)
    everywhere = candidates.without_needless(candidates.names(is_everywhere=True))
    wherever = candidates.without_needless(candidates.names(is_everywhere=False))
    sharing, other = candidates.sharing(everywhere), candidates.sharing(wherever)
    return other if _sizes(other)[0] < _sizes(sharing)[0] * WORTH_ANOTHER_KERNEL else sharing


@dataclass(slots=True)
class _Candidates:
    """What could be done in place, kernel by kernel."""

    results: Results
    pairs: dict[PrimFunc, tuple[Pair, ...]] = field(default_factory=dict)

    def names(self, *, is_everywhere: bool) -> set[str]:
        """The kernels of which some call, or every one, could work in place."""
        sharing = Sharing(_alone(self.results))
        able = [(_name(step), any(self._pairs(step, sharing))) for step in self.results.walk.kernel_steps]
        unable = {name for name, is_able in able if not is_able} if is_everywhere else set()
        return {name for name, is_able in able if is_able} - unable

    def without_needless(self, names: set[str]) -> set[str]:
        """The kernels without those whose working in place saves nothing."""
        best = _sizes(self.sharing(names)) if names else ()
        for name in sorted(names) if len(names) <= MAX_TRIED else ():
            sizes = _sizes(self.sharing(names - {name}))
            if all(new <= old for new, old in zip(sizes, best, strict=True)):
                names, best = names - {name}, sizes
        return names

    def sharing(self, chosen: Collection[str]) -> Sharing:
        """The groups if the chosen kernels work in place wherever they can."""
        sharing = Sharing(_alone(self.results))
        for step in self.results.walk.kernel_steps:
            taken: list[Pair] = []
            for output, given in self._pairs(step, sharing) if _name(step) in chosen else ():
                if not any(output == other[0] or given == other[1] for other in taken):
                    taken.append((output, given))
                    _join(sharing.groups, step.tensors[given].buffers[0], step.outputs[output])
            if taken:
                sharing.in_place[step] = tuple(taken)
        return sharing

    def _pairs(self, step: KernelStep, sharing: Sharing) -> Iterator[Pair]:
        if step.kernel not in self.pairs:
            self.pairs[step.kernel] = tuple(overwritable(step.kernel))
        for output, given in self.pairs[step.kernel]:
            if _may_overwrite(step, output, given, sharing.groups):
                yield output, given


def _may_overwrite(step: KernelStep, output: int, given: int, groups: Mapping[Buffer, Group]) -> bool:
    """Whether nothing but this input of this call needs the bytes any more."""
    made, old = step.outputs[output], step.tensors[given].whole
    if old is None or old.origin != "made" or old.last != step.position or not (old.is_early and made.is_early):
        return False
    readers = [place for place in step.tensors if old in place.buffers]
    is_free = len(readers) == 1 and groups[old].output is None
    return is_free and have_same_size(old, made)


def _join(groups: dict[Buffer, Group], old: Buffer, new: Buffer) -> None:
    group, joining = groups[old], groups[new]
    group.buffers += joining.buffers
    group.output = joining.output
    for each in joining.buffers:
        groups[each] = group


def _alone(results: Results) -> dict[Buffer, Group]:
    made = (each for each in results.walk.buffers if each.origin == "made")
    return {each: Group([each], each if each in results.owned else None) for each in made}


def _name(step: KernelStep) -> str:
    callee = step.call.args[0]
    return callee.name if isinstance(callee, GlobalVar) else step.kernel.name


def pieces_of(sharing: Sharing) -> dict[Group, Piece]:
    """What of the groups goes into the workspace: not results, nor what has a size that is known late."""
    return {
        group: Piece(group.buffers[-1].name, group.size_bytes, group.first, group.last)
        for group in sharing.all_groups()
        if group.output is None and group.buffers[0].is_early
    }


def _sizes(sharing: Sharing) -> tuple[int, ...]:
    """The bytes of the workspace without the kernels' own memory, at the reference values."""
    layout = place(list(pieces_of(sharing).values()))
    symbols = [each for group in sharing.all_groups() for each in symbols_of(group.size_bytes)]
    return tuple(evaluate(layout.size, values) for values in reference_values(symbols))
