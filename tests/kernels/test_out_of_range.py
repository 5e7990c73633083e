"""Which accesses are proved to be in range, which are shown not to be, and which are left undecided."""

from __future__ import annotations

import pytest

from relaxdsl.ir.loops import Buffer, PrimFunc, Store, walk
from relaxdsl.kernels.access_sites import Site, sites_of
from relaxdsl.kernels.out_of_range import find_example, is_proved
from relaxdsl.script.parse_text import parse_kernel_source

HEAD = (
    '@relax.prim_func\ndef f(x: T.Buffer((n, m), "float32"), at: T.Buffer((n,), "int64"), y: T.Buffer((n,), "float32"),'
    " n: T.int64, m: T.int64):\n"
)


def kernel_of(body: str) -> PrimFunc:
    """The kernel with these statements."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return parse_kernel_source(HEAD + lines, {})


def sites_in_x(kernel: PrimFunc) -> list[Site]:
    return [site for site in sites_of(kernel) if isinstance(site.what, Buffer) and site.what.name == "x"]


@pytest.mark.parametrize(
    "body",
    [
        "for i, j in T.grid(n, m):\n    y[i] = x[n - 1 - i, m - 1 - j]",
        "for i in range(1, n):\n    for j in range(m - 1):\n        y[i] = x[i - 1, j + 1]",
        "for i, j in T.grid(n, m):\n    if i + 1 < n and j >= 1:\n        y[i] = x[i + 1, j - 1]",
        "for i in range(n):\n    if i + 1 >= n or m <= 0:\n        pass\n    else:\n        y[i] = x[i + 1, 0]",
        "for i in range(n):\n    if not (i + 2 > n - 1) and m > 3:\n        y[i] = x[i + 2, 3]",
        "for i in range(n):\n    for j in range(m // 2):\n        y[i] = x[i, 2 * j + 1]",
        "for i in range(n):\n    for j in range(2 * m):\n        y[i] = x[i, j % m]",
        "for i in range(n):\n    for j in range(i, n):\n        for k in range(m):\n            y[i] = x[j - i, k]",
        "for i0, i1, j in T.grid(T.ceildiv(n, 8), 8, m):\n    if i0 * 8 + i1 < n:\n        y[i0] = x[i0 * 8 + i1, j]",
    ],
)
def test_proved(body: str) -> None:
    assert all(map(is_proved, sites_in_x(kernel_of(body))))


@pytest.mark.parametrize(
    ("body", "example"),
    [
        ("for i in range(n):\n    y[i] = x[i, 0]", {"n": 1, "m": 0, "i": 0}),
        ("for i in range(n):\n    if i != 0:\n        y[i] = x[i, i - 2]", {"n": 2, "m": 0, "i": 1}),
        (
            "for i in range(n):\n    y[i] = x[i, T.min(m, 3) - 1] if m % 2 == 0 else T.float32(0)",
            {"n": 1, "m": 0, "i": 0},
        ),
        ("for i in range(n):\n    y[i] = x[i, T.if_then_else(i < 1, 7, m - 1)]", {"n": 1, "m": 0, "i": 0}),
        ("for i in range(n):\n    y[i] = x[i, T.maximum(T.int64(i), m) * 2]", {"n": 1, "m": 0, "i": 0}),
    ],
)
def test_shown(body: str, example: dict[str, int]) -> None:
    kernel = kernel_of(body)
    undecided = [site for site in sites_in_x(kernel) if not is_proved(site)]
    found = [each for site in undecided if (each := find_example(kernel, site)) is not None]
    assert found[:1] == [example]


@pytest.mark.parametrize(
    "body",
    [
        "for i in range(n):\n    for j in range(m):\n        y[i] = x[at[i], j]",
        "for i in range(n):\n    if at[i] > 0:\n        y[i] = x[i, 9]",
        "for i in range(n):\n    if at[i] > 0 and i > 0:\n        y[i] = x[i, m]",
        "for i in range(n):\n    y[i] = x[i, T.if_then_else(at[i] > 0, 0, 5)]",
        "for i in range(n):\n    for j in range(m):\n        if T.floordiv(m, m - 1) > 1:\n            y[i] = x[i, j]",
    ],
)
def test_neither(body: str) -> None:
    kernel = kernel_of(body)
    assert all(find_example(kernel, site) is None for site in sites_in_x(kernel))


def test_long_loops_are_not_tried_to_their_end() -> None:
    loops = "for i, j, k in T.grid(1000, 1000, 1000):\n"
    kernel = kernel_of(f"{loops}    if i + j + k < 0:\n        y[0] = x[0, i * j - k]")
    assert all(find_example(kernel, site) is None for site in sites_in_x(kernel))


def test_every_index_is_a_site() -> None:
    kernel = kernel_of("for i in range(n):\n    if at[i] > 0:\n        y[at[i]] = x[at[at[i]], 0] + x[0, i]")
    stores = [stmt for stmt in walk(kernel.body) if isinstance(stmt, Store)]
    assert len([site for site in sites_of(kernel) if site.node in stores]) == 1
    assert len(sites_in_x(kernel)) == 4
    assert len(list(sites_of(kernel))) == 1 + 4 + 1 + 2 + 1
