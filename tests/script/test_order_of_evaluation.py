"""Values are what they were where they were read: random scripts of kernels, against Python that runs the same text."""

from __future__ import annotations

import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from relaxdsl.errors import ScriptError
from relaxdsl.script.parse_text import parse_kernel_source
from relaxdsl.trace.loop_interpreter import interpret_loops

HEAD = """\
@relax.prim_func
def kernel(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64"), z: T.Buffer((n,), "int64"), n: T.int64):
    def pure(v):
        w = v + 1
        w, v = v, w
        return w * 2 - v
    def storing(v, i):
        y[i] = v + 3
        return v
    p = q = r = T.int64(1)
    for a in range(n):
        y[a], z[a] = x[a], 2 * x[a]
"""
TARGETS = ("p", "q", "r", "y[i]", "y[n - 1 - i]", "y[0]", "z[i]", "z[n - 1 - i]", "z[n - 1]")
PLACES = ("x[i]", "x[n - 1 - i]", *TARGETS)


class Writer:
    """Writes one kernel; ``rng`` decides. ``late`` are forms that may use a value after what it reads has changed."""

    def __init__(self, rng: random.Random, *, late: bool) -> None:
        self.rng = rng
        self.count = 0
        self.forms = [self.several, self.chain, self.augmented, self.branch, self.loop, self.kept_local]
        if late:
            self.forms += [self.container, self.call, self.each, self.named]

    def kernel(self) -> str:
        return HEAD + "    for i in range(n):\n" + self.body(2, 4) + "    y[0], z[0] = (p + y[0]) % 97, (q + r) % 97\n"

    def body(self, depth: int, most: int) -> str:
        forms = self.forms if depth < 4 else [form for form in self.forms if form not in (self.branch, self.loop)]
        lines = (line for _ in range(self.rng.randint(1, most)) for line in self.rng.choice(forms)(depth))
        return "".join(f"{'    ' * depth}{line}\n" for line in lines)

    def nested(self, depth: int) -> Iterator[str]:
        yield from (line[4 * depth :] for line in self.body(depth + 1, 2).splitlines())

    def value(self) -> str:
        a, b = self.rng.choice(PLACES), self.rng.choice(PLACES)
        forms = ("{a}", "({a} + {b}) % 97", "({a} - {b}) % 89", "({a} if {a} > {b} else {b} + 1)", "pure({a}) % 83")
        return self.rng.choice(forms).format(a=a, b=b)

    def fresh(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def several(self, depth: int) -> Iterator[str]:
        a, b, c = self.rng.sample(TARGETS, 3)
        u, v, w = (self.value() for _ in "uvw")
        forms = (f"{a}, {b} = {u}, {v}", f"{a}, {b} = {b}, {a}", f"{a}, ({b}, {c}) = {u}, ({v}, {w})")
        yield self.rng.choice(forms)

    def chain(self, depth: int) -> Iterator[str]:
        yield " = ".join([*self.rng.sample(TARGETS, 2), self.value()])

    def augmented(self, depth: int) -> Iterator[str]:
        yield f"{self.rng.choice(TARGETS)} {self.rng.choice(('+=', '-='))} {self.value()} % 13"

    def kept_local(self, depth: int) -> Iterator[str]:
        name = self.fresh()
        yield f"{name} = {self.value()}"
        yield from self.several(depth)
        yield f"{self.rng.choice(TARGETS)} = {name}"

    def branch(self, depth: int) -> Iterator[str]:
        yield f"if {self.value()} > {self.value()}:"
        yield from self.nested(depth)
        if self.rng.random() < 0.5:
            yield "else:"
            yield from self.nested(depth)

    def loop(self, depth: int) -> Iterator[str]:
        yield f"for {self.fresh()} in range({self.rng.choice(('2', 'n', 'i'))}):"
        yield from self.nested(depth)

    def container(self, depth: int) -> Iterator[str]:
        name = self.fresh()
        yield f"{name} = [{self.value()}, {self.value()}]"
        yield from self.rng.choice(self.forms[:6])(depth) if depth < 4 else self.several(depth)
        yield f"{self.rng.choice(TARGETS)} = {name}[0] - {name}[1]"

    def call(self, depth: int) -> Iterator[str]:
        yield f"{self.rng.choice(TARGETS)} = {self.rng.choice(('0', self.value()))} + storing({self.value()}, i)"

    def each(self, depth: int) -> Iterator[str]:
        name = self.fresh()
        yield f"for {name} in [{self.value()}, {self.value()}]:"
        yield f"    {self.rng.choice(TARGETS)} = {name} + 1"

    def named(self, depth: int) -> Iterator[str]:
        name = self.rng.choice("pqr")
        yield f"{self.rng.choice(TARGETS)} = {self.rng.choice('pqr')} + ({name} := {self.value()})"


def run_as_python(text: str, x: list[int]) -> list[list[int]]:
    """What Python computes."""
    words = SimpleNamespace(Buffer=lambda *_: None, int64=int)
    names: dict[str, Any] = {"relax": SimpleNamespace(prim_func=lambda f: f), "T": words, "n": len(x)}
    exec(text, names)
    y, z = [0] * len(x), [0] * len(x)
    names["kernel"](x, y, z, len(x))
    return [y, z]


def run_as_kernel(text: str, x: list[int]) -> list[list[int]]:
    kernel = parse_kernel_source(text, {})
    return [each.tolist() for each in interpret_loops(kernel, [np.array(x)], {"n": len(x)})]


@pytest.mark.parametrize("seed", range(12))
def test_values_of_assignments_are_those_before_it(seed: int) -> None:
    text = Writer(random.Random(seed), late=False).kernel()
    for x in ([5], [3, 1], [4, 8, 15, 16, 23]):
        assert run_as_kernel(text, x) == run_as_python(text, x)


def test_a_value_that_has_changed_is_an_error() -> None:
    rng, messages = random.Random(0), []
    for _ in range(48):
        text = Writer(rng, late=True).kernel()
        try:
            actual = run_as_kernel(text, [3, 1, 4])
        except ScriptError as error:
            messages.append(error.headline)
        else:
            assert actual == run_as_python(text, [3, 1, 4]), text
    assert 8 <= len(messages) <= 40
    assert all(each.startswith("a value that is read from") for each in messages)
