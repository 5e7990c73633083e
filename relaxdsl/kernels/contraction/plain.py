"""Loops that are not the engine's: scheduled on their own, then put on the buffers they share with its calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import TypeAlias

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Buffer, PrimFunc, Stmt, sequence, substitute_buffers
from relaxdsl.kernels.accesses import accesses

Scheduler: TypeAlias = Callable[[PrimFunc], PrimFunc]


@dataclass(eq=False, slots=True)
class PlainLoops:
    """Schedules the loops of one kernel.

    Args:
        flat: the flat buffers that stand for the kernel's parameters, and for scratch that several segments use.
        scratch: all flat scratch so far.
    """

    prim_func: PrimFunc
    schedule: Scheduler
    flat: Mapping[Buffer, Buffer]
    scratch: list[Buffer] = field(default_factory=list)

    @property
    def constants(self) -> frozenset[Buffer]:
        """The parameters that are the same in every call."""
        return frozenset(self.prim_func.params[place] for place in self.prim_func.attrs.get("constants", ()))

    def scheduled(self, statements: Sequence[Stmt], local: Mapping[Buffer, Buffer]) -> Stmt:
        """The statements in their final form.

        Args:
            local: more buffers that others use too, with their flat ones; scratch that is not among them is theirs.
        """
        body = sequence(*statements)
        known = {**self.flat, **local}
        touched = dict.fromkeys(access.buffer for access in accesses(body))
        params = tuple(each for each in touched if each in known)
        own = tuple(each for each in touched if each not in known and each.scope == "scratch")
        kernel = replace(self.prim_func, params=params, num_outputs=1, scratch=own, body=body)
        made = self.schedule(kernel)
        self.scratch += made.scratch
        buffers = {old: known[each] for each, old in zip(params, made.params, strict=True)}
        return substitute_buffers(made.body, buffers, buffers)


def flat_buffer(buffer: Buffer) -> Buffer:
    """A buffer of one axis for the same elements."""
    return replace(buffer, shape=(math.prod(buffer.shape, start=1),))
