"""Where sizes are symbols: in a function, a kernel or a tensor expression. Messages say what to write there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from relaxdsl.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """What to write instead of Python that needs a size's number; ``{size}`` stands for it, ``{dtype}`` for its dtype.

    Args:
        words: the module whose functions are those of elements.
        count: instead of a loop over it, or of an array of that size.
        number: instead of ``float(size)`` and functions of ``math``.
        choose: instead of an ``if`` on it.
        join: instead of ``&`` and ``|`` of conditions.
    """

    words: str
    count: str
    number: str
    choose: str
    join: str

    @property
    def functions(self) -> str | None:
        """What computes with elements; None where there are none."""
        return None if self is FUNCTION else f"functions of elements are those of {self.words}: {self.words}.exp(x[i])"

    def instead_of_count(self, size: str) -> str:
        """What to write instead of a loop over the size, or of an array of so many elements."""
        return self.count.format(size=size)

    def instead_of_number(self, size: str, dtype: str = "float32") -> str:
        """What to write where the size is wanted as a number of that dtype."""
        return self.number.format(size=size, dtype=dtype)


FUNCTION = Reading(
    "te",
    "compute with whole tensors, given as arguments or made by relax.zeros(({size},)); loops are for @relax.prim_func",
    'for a size as a number, write relax.astype({size}, "{dtype}")',
    "sizes are run-time values: min(a, b) and max(a, b) give sizes, relax.where picks values",
    "write relax.logical_and(a, b) or relax.logical_or(a, b)",
)
KERNEL = Reading(
    "T",
    "write the loop as a statement, `for j in range({size}):`, with s = T.float32(0) before it for a sum; "
    "an array is T.alloc_buffer(({size},), dtype)",
    'for a size as a number, write T.cast({size}, "{dtype}")',
    "write `if` in the kernel itself, or T.if_then_else(condition, a, b)",
    "write T.logical_and(a, b) or T.logical_or(a, b)",
)
TE = Reading(
    "te",
    "te.compute has an element for each; for a sum, write j = te.reduce_axis({size}) before it "
    "and te.sum(x[i, j], axis=j)",
    'for a size as a number, write te.cast({size}, "{dtype}")',
    "write te.if_then_else(condition, a, b); where two are equal: te.equal(i, 0)",
    "write te.logical_and(a, b) or te.logical_or(a, b)",
)

_reading: ContextVar[Reading] = ContextVar("relaxdsl_reading", default=FUNCTION)


def reading() -> Reading:
    """What is being read; a function where nothing else is."""
    return _reading.get()


@contextmanager
def while_reading(what: Reading) -> Iterator[None]:
    """Within the block, messages are about code of this kind."""
    token = _reading.set(what)
    try:
        yield
    finally:
        _reading.reset(token)
