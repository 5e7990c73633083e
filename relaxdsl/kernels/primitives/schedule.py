"""``relax.Schedule``: a kernel and the steps that rearrange its loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from relaxdsl.errors import ScheduleError
from relaxdsl.ir.loops import Block
from relaxdsl.kernels.primitives import (
    caches,
    factor,
    facts,
    inline,
    kinds,
    layout,
    loops,
    moving,
    reductions,
    tensorize,
)
from relaxdsl.kernels.primitives.layout import IndexMap
from relaxdsl.kernels.primitives.record import RecordedSteps, block_name, loop_name, loop_names, recorded
from relaxdsl.kernels.primitives.trace import BlockRef, LoopRef
from relaxdsl.kernels.primitives.tree import block_path, blocks_in, loop_path, loops_on
from relaxdsl.tracebacks import short_tracebacks
from relaxdsl.types.dims import Dim

#: What to write instead of steps that TVM's schedules have.
_INSTEAD = {
    "bind": "kernels run on CPUs: sch.parallel(loop)",
    "tile": "split both loops, then reorder: i_0, i_1 = sch.split(i, [None, 8])",
    "vectorise": "write vectorize",
}


class UnknownStepError(ScheduleError, AttributeError):
    """Schedules have no step of this name."""


class Schedule(RecordedSteps):
    """A kernel whose loops are rearranged step by step; what it computes stays the same.

    Every step checks, from what the blocks read and write, that it changes no result (beyond the rounding of sums that
    are added up in another order), and refuses with a ScheduleError that shows the loops if that can't be proved.
    :attr:`func` is the kernel as it is now. It is compiled as it stands: no default rule touches its loops.

    Args:
        kernel: a kernel (a PrimFunc, what ``@relax.prim_func`` makes), or a module or function that calls one.
        name: which kernel of a module; it may be left out where there is only one.

    Raises:
        ScheduleError: there is no such kernel, or it writes an output in place of an input.

    Example:
        >>> from relaxdsl import te
        >>> n = relax.dims("n")
        >>> def double(x):
        ...     return te.compute(x.shape, lambda i: x[i] * 2.0, name="y")
        >>> @relax.function
        ... def program(x: relax.Tensor[(n,), "float32"]):
        ...     return relax.emit_te(double, x)
        >>> sch = relax.Schedule(program)
        >>> (i,) = sch.get_loops("y")
        >>> outer, inner = sch.split(i, factors=[None, 8])
        >>> sch.vectorize(inner)
        >>> print(sch)
        @relax.prim_func(attrs={'scheduled': True})
        def double(x: T.Buffer(("n",), "float32"), y: T.Buffer(("n",), "float32"), n: T.int64):
            T.outputs(y)
            for i_0 in range((n + 7) // 8):
                for i_1 in T.vectorized(8):
                    if (8 * i_0 + i_1) < n:
                        with T.block("y"):
                            v_i = T.axis.spatial(n, 8 * i_0 + i_1)
                            y[v_i] = x[v_i] * T.float32(2.0)
        >>> relax.prim_func(sch.func)(np.ones(3, "float32"))
        array([2., 2., 2.], dtype=float32)
    """

    if not TYPE_CHECKING:  # for mypy, an attribute that is not defined stays an error

        @short_tracebacks
        def __getattr__(self, name: str) -> NoReturn:
            instead = f": {_INSTEAD[name]}" if name in _INSTEAD else ""
            error = UnknownStepError(f"a schedule has no step {name!r}{instead}")
            error.name, error.obj = name, self  # Python suggests a name then
            raise error

    # ----------------------------------------------------------------------------------------------------- finding

    @recorded
    def get_loops(self, block: BlockRef | str) -> tuple[LoopRef, ...]:
        """The loops around a block, outermost first."""
        path, _ = block_path(self._func, block_name("get_loops", block), "get_loops")
        return tuple(LoopRef(loop.var) for loop in loops_on(path))

    @recorded
    def get_child_blocks(self, loop: LoopRef) -> tuple[BlockRef, ...]:
        """The blocks inside of a loop, in the order they run."""
        _, found = loop_path(self._func, loop_name("get_child_blocks", loop), "get_child_blocks")
        return tuple(BlockRef(block.name) for block in blocks_in(found.body))

    @recorded
    def get_producers(self, block: BlockRef | str) -> tuple[BlockRef, ...]:
        """The blocks that write what a block reads, in the order they run."""
        _, found = block_path(self._func, block_name("get_producers", block), "get_producers")
        return self._blocks_that(lambda other: bool({*facts.writes_of(other)} & {*facts.reads_of(found)}))

    @recorded
    def get_consumers(self, block: BlockRef | str) -> tuple[BlockRef, ...]:
        """The blocks that read what a block writes, in the order they run."""
        _, found = block_path(self._func, block_name("get_consumers", block), "get_consumers")
        return self._blocks_that(lambda other: bool({*facts.reads_of(other)} & {*facts.writes_of(found)}))

    @recorded
    def get_output_blocks(self) -> tuple[BlockRef, ...]:
        """The blocks that write outputs of the kernel, in the order they run."""
        return self._blocks_that(lambda block: bool({*facts.writes_of(block)} & {*self._func.outputs}))

    def _blocks_that(self, holds: Callable[[Block], bool]) -> tuple[BlockRef, ...]:
        return tuple(BlockRef(block.name) for block in blocks_in(self._func.body) if holds(block))

    # ------------------------------------------------------------------------------------------------------- loops

    @recorded
    def split(self, loop: LoopRef, factors: Sequence[Dim | None]) -> tuple[LoopRef, ...]:
        """The loop as several, one inside the other, as many as there are factors: their extents, one of which may be
        None.

        before::

            for i in range(n):
                y[i] = x[i]

        after ``split(i, [None, 4])``; there is no condition if 4 is known to divide ``n``::

            for i_0 in range((n + 3) // 4):
                for i_1 in range(4):
                    if i_0 * 4 + i_1 < n:
                        y[i_0 * 4 + i_1] = x[i_0 * 4 + i_1]

        Raises:
            ScheduleError: a factor may be less than 1; the factors are too small, or too few.
        """
        self._func, new = loops.split(self._func, self._names, loop_name("split", loop), factors)
        return tuple(map(LoopRef, new))

    @recorded
    def fuse(self, *loops_: LoopRef) -> LoopRef:
        """Directly nested loops as one.

        before::

            for i in range(m):
                for j in range(n):
                    y[i, j] = x[i, j]

        after ``fuse(i, j)``::

            for i_j_fused in range(m * n):
                y[i_j_fused // n, i_j_fused % n] = x[i_j_fused // n, i_j_fused % n]

        Raises:
            ScheduleError: something else stands between them; the range of one depends on another; one runs over a
                reduction, the other does not.
        """
        self._func, new = loops.fuse(self._func, self._names, loop_names("fuse", loops_))
        return LoopRef(new)

    @recorded
    def reorder(self, *loops_: LoopRef) -> None:
        """The loops in the given order; others between them stay where they are.

        before::

            for i in range(m):
                for j in range(n):
                    y[i, j] = x[i, j]

        after ``reorder(j, i)``::

            for j in range(n):
                for i in range(m):
                    y[i, j] = x[i, j]

        Raises:
            ScheduleError: they are not nested directly; the range of one depends on another that would come later; an
                element would be read or written too early; steps of a reduction that need the one before, as those of
                ``s[i] * 0.5 + x[i, k]`` do, would come in another order.
        """
        self._func = loops.reorder(self._func, loop_names("reorder", loops_))

    @recorded
    def parallel(self, loop: LoopRef) -> None:
        """Threads share the loop's iterations, if it is an outermost one; inside of another loop it runs serially.

        before: ``for i in range(n):``, after: ``for i in T.parallel(n):``

        Raises:
            ScheduleError: it runs over a reduction; two iterations may touch an element that one of them writes; it is
                vectorized or unrolled already.
        """
        self._func = kinds.parallel(self._func, loop_name("parallel", loop))

    @recorded
    def vectorize(self, loop: LoopRef) -> None:
        """The loop's iterations may run side by side, in vectors; it should be the innermost one.

        before: ``for i in range(8):``, after: ``for i in T.vectorized(8):``

        Raises:
            ScheduleError: as for :meth:`parallel`.
        """
        self._func = kinds.vectorize(self._func, loop_name("vectorize", loop))

    @recorded
    def unroll(self, loop: LoopRef) -> None:
        """The loop's iterations are written out one after the other.

        before: ``for i in range(4):``, after: ``for i in T.unrolled(4):``

        Raises:
            ScheduleError: how often it runs is no number, or too large a one; it is parallel or vectorized already.
        """
        self._func = kinds.unroll(self._func, loop_name("unroll", loop))

    # ------------------------------------------------------------------------------------------------------ blocks

    @recorded
    def compute_at(self, block: BlockRef | str, loop: LoopRef) -> None:
        """The block runs in ``loop``, which reads its result: each iteration computes the part that it needs.

        before::

            for i in range(n):
                t[i] = exp(x[i])
            for i_0 in range(n // 4):
                for i_1 in range(4):
                    y[4 * i_0 + i_1] = t[4 * i_0 + i_1] + 1

        after ``compute_at("t", i_0)``::

            for i_0 in range(n // 4):
                for ax0 in range(4):
                    t[4 * i_0 + ax0] = exp(x[4 * i_0 + ax0])
                for i_1 in range(4):
                    y[4 * i_0 + i_1] = t[4 * i_0 + i_1] + 1

        Raises:
            ScheduleError: the block is read outside of the loop, or not at all; it writes an output, or what others
                write too; its loops may run over a part of its axes; what it reads is written again before; steps of a
                reduction that need the one before might come in another order.
        """
        self._func = moving.compute_at(
            self._func, self._names, block_name("compute_at", block), loop_name("compute_at", loop)
        )

    @recorded
    def reverse_compute_at(self, block: BlockRef | str, loop: LoopRef) -> None:
        """The block runs at the end of each iteration of ``loop``, which makes what it reads.

        before::

            for i_0 in range(n // 4):
                for i_1 in range(4):
                    t[4 * i_0 + i_1] = exp(x[4 * i_0 + i_1])
            for i in range(n):
                y[i] = t[i] + 1

        after ``reverse_compute_at("y", i_0)``::

            for i_0 in range(n // 4):
                for i_1 in range(4):
                    t[4 * i_0 + i_1] = exp(x[4 * i_0 + i_1])
                for ax0 in range(4):
                    y[4 * i_0 + ax0] = t[4 * i_0 + ax0] + 1

        Raises:
            ScheduleError: what the block reads is not complete there, or a part of it is made elsewhere, or by
                statements outside of blocks; the block needs more of it; its loops may run over a part of its axes.
        """
        self._func = moving.reverse_compute_at(
            self._func, self._names, block_name("reverse_compute_at", block), loop_name("reverse_compute_at", loop)
        )

    @recorded
    def compute_inline(self, block: BlockRef | str) -> None:
        """The block disappears: its value is computed wherever it is read.

        before::

            for i in range(n):
                t[i] = exp(x[i])
            for i in range(n):
                y[i] = t[i] + 1

        after ``compute_inline("t")``::

            for i in range(n):
                y[i] = exp(x[i]) + 1

        Raises:
            ScheduleError: the block is a reduction, or writes an output, or does not set each element at its own place,
                or only a part of them.
        """
        self._func = inline.compute_inline(self._func, block_name("compute_inline", block))

    @recorded
    def reverse_compute_inline(self, block: BlockRef | str) -> None:
        """The block disappears into the one whose result it reads, element by element.

        before::

            for i in range(n):
                t[i] = exp(x[i])
            for i in range(n):
                y[i] = t[i] + 1

        after ``reverse_compute_inline("y")``::

            for i in range(n):
                y[i] = exp(x[i]) + 1

        Raises:
            ScheduleError: either block is a reduction, or may run over a part of its axes; others read the same;
                elements are read at other places.
        """
        self._func = inline.reverse_compute_inline(self._func, block_name("reverse_compute_inline", block))

    # -------------------------------------------------------------------------------------------------- buffers

    @recorded
    def cache_read(self, block: BlockRef | str, buffer: str | int) -> BlockRef:
        """The block that copies a buffer, called by its name or its place among those read, for ``block`` to read.

        before::

            for i in range(n):
                y[i] = x[i]

        after ``cache_read("y", "x")``::

            for ax0 in range(n):
                x_cache[ax0] = x[ax0]
            for i in range(n):
                y[i] = x_cache[i]

        Raises:
            ScheduleError: the block does not read the buffer; it is written in the same loops.
        """
        self._func, copy = caches.cache_read(self._func, self._names, block_name("cache_read", block), buffer)
        return BlockRef(copy)

    @recorded
    def cache_write(self, block: BlockRef | str, buffer: str | int) -> BlockRef:
        """The block that copies what ``block`` now writes to scratch to the buffer that it wrote before.

        before::

            for i in range(n):
                y[i] = x[i]

        after ``cache_write("y", "y")``::

            for i in range(n):
                y_cache[i] = x[i]
            for ax0 in range(n):
                y[ax0] = y_cache[ax0]

        Raises:
            ScheduleError: the block does not write the buffer, or another one writes it too, or it is read in the same
                loops.
        """
        self._func, copy = caches.cache_write(self._func, self._names, block_name("cache_write", block), buffer)
        return BlockRef(copy)

    @recorded
    def transform_layout(
        self, block: BlockRef | str, buffer: str | int, index_map: IndexMap | Callable[..., Sequence[Any]]
    ) -> None:
        """Scratch that a block reads or writes, in another layout: ``index_map`` says where its elements go.

        before::

            for i in range(n):
                t[i] = x[i]

        after ``transform_layout("t", "t", lambda i: (i // 4, i % 4))``::

            for i in range(n):
                t[i // 4, i % 4] = x[i]

        Raises:
            ScheduleError: the buffer is an argument; the map takes another number of indices, or may send two elements
                to one place.
        """
        assert isinstance(index_map, IndexMap)
        self._func = layout.transform_layout(self._func, block_name("transform_layout", block), buffer, index_map)

    # -------------------------------------------------------------------------------------------------- reductions

    @recorded
    def decompose_reduction(self, block: BlockRef | str, loop: LoopRef) -> BlockRef:
        """The initial values of a reduction, set before ``loop`` by a block of their own, which is returned.

        before::

            for i in range(m):
                for k in range(n):
                    s[i] = s[i] + x[i, k]    init: s[i] = 0

        after ``decompose_reduction("s", k)``::

            for i in range(m):
                s[i] = 0
                for k in range(n):
                    s[i] = s[i] + x[i, k]

        Raises:
            ScheduleError: the block has no init; the loop is inside of one along which the block reduces; elements are
                computed more than once in the loop.
        """
        place = loop_name("decompose_reduction", loop)
        self._func, first = reductions.decompose_reduction(
            self._func, self._names, block_name("decompose_reduction", block), place
        )
        return BlockRef(first)

    @recorded
    def rfactor(self, loop: LoopRef, factor_axis: int = 0) -> BlockRef:
        """The block that makes a reduction's parts, one for each iteration of ``loop``, in scratch with one more axis.

        before::

            for k_0 in range(n // 4):
                for k_1 in range(4):
                    s[()] = s[()] + x[4 * k_0 + k_1]    init: s[()] = 0

        after ``rfactor(k_1)``::

            for k_0 in range(n // 4):
                for k_1 in range(4):
                    s_rf[k_1] = s_rf[k_1] + x[4 * k_0 + k_1]    init: s_rf[k_1] = 0
            for ax0 in range(4):
                s[()] = s[()] + s_rf[ax0]    init: s[()] = 0

        The reduction keeps its initial value, whatever it is; parts start with the value that changes nothing.

        Args:
            factor_axis: the place of the axis among those of the scratch; a negative one counts from the end.

        Raises:
            ScheduleError: the loop is none of a reduction; the reduction's steps can't be grouped; its result is used
                in the same loops, or its initial value changes there; how often a loop runs can't be told.
        """
        self._func, parts = factor.rfactor(self._func, self._names, loop_name("rfactor", loop), factor_axis)
        return BlockRef(parts)

    @recorded
    def tensorize(self, loop: LoopRef, intrinsic: str) -> None:
        """The loops from ``loop`` inwards, which do what an intrinsic is described to do, replaced by the intrinsic.

        before::

            for i_1 in range(4):
                y[4 * i_0 + i_1] = x[4 * i_0 + i_1] * 2

        after ``tensorize(i_1, "double4")``, whose implementation is written out::

            y[4 * i_0] = x[4 * i_0] + x[4 * i_0]
            y[4 * i_0 + 1] = x[4 * i_0 + 1] + x[4 * i_0 + 1]
            y[4 * i_0 + 2] = x[4 * i_0 + 2] + x[4 * i_0 + 2]
            y[4 * i_0 + 3] = x[4 * i_0 + 3] + x[4 * i_0 + 3]

        Raises:
            ScheduleError: the loops are not what the intrinsic is described to do, or are under a condition.
        """
        self._func = tensorize.tensorize(self._func, self._names, loop_name("tensorize", loop), intrinsic)
