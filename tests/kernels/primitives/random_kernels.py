"""Kernels of random stages that operators do not make: loops over a part of an axis, initial values that are not
neutral, buffers that two blocks make, statements outside of blocks.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from schedule_kernels import Array, Kernel

import relaxdsl as relax
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.script.parse_text import parse_kernel_source


@dataclass(frozen=True)
class Stage:
    """A vector ``t`` of ``n`` elements made of another one, ``s``: in the words of kernels, and in NumPy."""

    text: str
    numpy: Callable[[Array], Array]


def _is_in_first_half(s: Array) -> Array:
    return np.arange(len(s)) < len(s) // 2


STAGES = {
    "doubled": Stage(
        """
        for i in range(n):
            with T.block("t"):
                v = T.axis.spatial(n, i)
                t[v] = s[v] * T.float32(2.0)
        """,
        lambda s: s * 2,
    ),
    "backwards": Stage(
        """
        for i in range(n):
            with T.block("t"):
                v = T.axis.spatial(n, n - 1 - i)
                t[v] = s[v] + T.float32(1.0)
        """,
        lambda s: s + 1,
    ),
    "mirrored": Stage(
        """
        for i in range(n):
            with T.block("t"):
                v = T.axis.spatial(n, i)
                t[v] = s[n - 1 - v]
        """,
        lambda s: s[::-1],
    ),
    "sum": Stage(
        """
        for i, k in T.grid(n, n):
            with T.block("t"):
                v, vk = T.axis.remap("SR", [i, k])
                with T.init():
                    t[v] = T.float32(3.0)
                t[v] = t[v] + s[vk]
        """,
        lambda s: np.full_like(s, 3 + s.sum()),
    ),
    "most so far": Stage(
        """
        for i in range(n):
            for k in range(i + 1):
                with T.block("t"):
                    v = T.axis.spatial(n, i)
                    vk = T.axis.reduce(n, k)
                    with T.init():
                        t[v] = T.float32(0.5)
                    t[v] = T.maximum(t[v], s[vk])
        """,
        lambda s: np.maximum(np.maximum.accumulate(s), 0.5),
    ),
    "sum of a window": Stage(
        """
        for i in range(n):
            for k in range(T.min(3, n - i)):
                with T.block("t"):
                    v = T.axis.spatial(n, i)
                    vk = T.axis.reduce(3, k)
                    with T.init():
                        t[v] = T.float32(0.0)
                    t[v] = t[v] + T.if_then_else(v + vk < n, s[v + vk], T.float32(9.0))
        """,
        lambda s: np.array([s[i : i + 3].sum() for i in range(len(s))], s.dtype),
    ),
    "halves": Stage(
        """
        for i in range(n // 2):
            with T.block("t_first"):
                v = T.axis.spatial(n, i)
                t[v] = s[v]
        for i in range(n - n // 2):
            with T.block("t_second"):
                v = T.axis.spatial(n, i + n // 2)
                t[v] = s[v] * T.float32(3.0)
        """,
        lambda s: np.where(_is_in_first_half(s), s, s * 3),
    ),
    "changed in part": Stage(
        """
        for i in range(n):
            with T.block("t"):
                v = T.axis.spatial(n, i)
                t[v] = s[v]
        for i in range(n // 2):
            with T.block("t_half"):
                v = T.axis.spatial(n, i)
                t[v] = t[v] + T.float32(1.0)
        """,
        lambda s: s + _is_in_first_half(s),
    ),
    "statements": Stage(
        """
        for i in range(n):
            t[i] = T.float32(5.0)
            for k in range(2):
                t[i] = t[i] + s[i]
        """,
        lambda s: 5 + 2 * s,
    ),
    "statements in a block's loop": Stage(
        """
        for i in range(n):
            with T.block("t"):
                v = T.axis.spatial(n, i)
                t[v] = s[v]
            t[i] = t[i] * T.float32(2.0)
        """,
        lambda s: s * 2,
    ),
}


def random_kernel(names: Sequence[str], sources: Sequence[int]) -> Kernel:
    """The kernel of these stages; each takes the result of the one at its place in ``sources``, 0 being the input."""
    results = ["x", *(f"t{number}" for number in range(1, len(names))), "y"]
    stages = [
        _renamed(STAGES[name].text, number, results[source], results[number + 1])
        for number, (name, source) in enumerate(zip(names, sources, strict=True))
    ]
    scratch = [f'    {name} = T.alloc_buffer((n,), "float32", scope="scratch")' for name in results[1:-1]]
    head = 'def kernel(x: T.Buffer(("n",), "float32"), y: T.Buffer(("n",), "float32"), n: T.int64):\n    T.outputs(y)'
    text = "\n".join(["@relax.prim_func", head, *scratch, *stages])

    def build() -> PrimFunc:
        return parse_kernel_source(text, {"relax": relax})

    def numpy(x: Array) -> Array:
        found = [x]
        for name, source in zip(names, sources, strict=True):
            found.append(STAGES[name].numpy(found[source]).astype("float32"))
        return found[-1]

    return Kernel(build, numpy)


def _renamed(text: str, number: int, source: str, target: str) -> str:
    """A stage's text with names of its own."""
    words = {"s": source, "t": target, **{each: f"{each}{number}" for each in ("i", "k", "v", "vk")}}
    words |= {each: f"{each}{number}" for each in ("t_first", "t_second", "t_half")}
    tokens = re.split(r"(\w+(?:\.\w+)*)", textwrap.indent(textwrap.dedent(text).strip(), "    "))
    return "".join(words.get(each, each) for each in tokens)


@st.composite
def random_kernels(draw: st.DrawFn) -> Kernel:
    """Some stages, one after the other, and a block; some of them do not take the last result."""
    names = [*draw(st.lists(st.sampled_from(sorted(STAGES)), min_size=1, max_size=3)), "doubled"]
    places = [draw(st.sampled_from([number, number, max(0, number - 1)])) for number in range(len(names))]
    return random_kernel(names, places)
