"""Kernels with several results that only move data: readers take their parts in place, where all of them can."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from relaxdsl.ir.graph import Call, Tuple, TupleGetItem
from relaxdsl.ir.visit import used_vars
from relaxdsl.kernels import te
from relaxdsl.passes import fuse
from relaxdsl.passes.comparison import compare
from relaxdsl.trace.kernel_calls import CALL_TIR
from relaxdsl.types.constructors import Tensor
from relaxdsl.types.dims import dims

from .build import OP, Built, build
from .test_lower import array

b, s, m, n = dims("b s m n")
HEADS, DIM = 3, 8
WIDTH = HEADS * DIM
MATRIX = {"x": Tensor((m, 6), "float32")}
SEVERAL = "it has several results"


def kernel_calls(built: Built) -> list[Call]:
    values = [binding.value for binding in built.compiled.stage("fuse").body.bindings]
    return [each for each in values if isinstance(each, Call) and each.op is CALL_TIR]


def boundaries(built: Built) -> list[str]:
    return [call.attrs["boundary"] for call in kernel_calls(built)]


def groups(built: Built) -> list[list[str]]:
    """The names of the kernels that each kernel of the fused program is made of."""
    module = built.compiled.module_after("fuse")
    kernels = [module[call.args[0].name] for call in kernel_calls(built)]  # type: ignore[attr-defined]
    return [list(kernel.attrs.get("fused", (kernel.name,))) for kernel in kernels]  # type: ignore[union-attr]


def assert_runs(built: Built, *shapes: tuple[int, ...]) -> None:
    assert_agrees(built, [array(*shape, seed=seed) * np.float32(0.3) for seed, shape in enumerate(shapes)])


def assert_agrees(built: Built, values: Sequence[Any]) -> None:
    assert_close(built.run(*values), built.reference(values))


def assert_close(result: Any, wanted: Any) -> None:
    if isinstance(wanted, tuple):
        for each, reference in zip(result, wanted, strict=True):
            assert_close(each, reference)
    else:
        np.testing.assert_allclose(result, wanted, rtol=2e-4, atol=2e-5)


# ----------------------------------------------------------------------------------------------------------- attention


def heads(x: Any) -> Any:
    return OP["reshape"](x, (b, s, HEADS, DIM))


def operator_attention(q: Any, k: Any, v: Any) -> Any:
    return OP["attention"](q, k, v)


def attention_from_parts(q: Any, k: Any, v: Any) -> Any:
    q, k, v = (OP["permute_dims"](each, (0, 2, 1, 3)) for each in (q, k, v))
    scores = OP["matmul"](q, OP["permute_dims"](k, (0, 1, 3, 2)))
    made = OP["matmul"](OP["softmax"](OP["multiply"](scores, 0.3), axis=-1), v)
    return OP["permute_dims"](made, (0, 2, 1, 3))


@pytest.mark.parametrize("attention", [operator_attention, attention_from_parts])
def test_attention_reads_queries_keys_and_values_in_place(attention: Callable[..., Any]) -> None:
    def body(bb: Any, x: Any, into: Any, bias: Any, out: Any) -> Any:
        parts = bb.emit(OP["split"](OP["add"](OP["matmul"](x, into), bias), 3, axis=-1))
        made = attention(*(heads(parts[place]) for place in range(3)))
        return OP["matmul"](OP["reshape"](made, (b, s, WIDTH)), out)

    tokens, square = Tensor((b, s, WIDTH), "float32"), Tensor((WIDTH, WIDTH), "float32")
    into, bias = Tensor((WIDTH, 3 * WIDTH), "float32"), Tensor((3 * WIDTH,), "float32")
    built = build({"x": tokens, "into": into, "bias": bias, "out": square}, body)
    first, middle, last = groups(built)
    assert first == ["matmul", "add"]
    assert middle.count("split") == middle.count("reshape") == 3
    assert last == ["reshape", "matmul"]
    product, attending, _ = built.compiled.kernels
    assert "table" not in attending.source
    assert {scratch.name for scratch in product.scheduled.scratch} == {"into_panels", "block"}  # no product
    for batch, length in ((0, 3), (3, 0), (1, 1), (2, 7), (1, 130)):
        assert_runs(built, (batch, length, WIDTH), (WIDTH, 3 * WIDTH), (3 * WIDTH,), (WIDTH, WIDTH))


# -------------------------------------------------------------------------------------------------- what can be joined


def test_a_gated_unit_is_one_kernel() -> None:
    def body(bb: Any, x: Any, w: Any) -> Any:
        gate = bb.emit(OP["split"](OP["matmul"](x, w), 2, axis=-1))
        return OP["multiply"](OP["silu"](gate[0]), gate[1])

    built = build({"x": Tensor((m, WIDTH), "float32"), "w": Tensor((WIDTH, 2 * n), "float32")}, body)
    assert groups(built) == [["matmul", "split", "silu", "split", "multiply"]]
    for rows, columns in ((0, 4), (1, 1), (7, 9), (200, 50)):
        assert_runs(built, (rows, WIDTH), (WIDTH, 2 * columns))


def test_each_part_joins_its_own_reader() -> None:
    def body(bb: Any, x: Any) -> Any:
        parts = bb.emit(OP["split"](x, 3, axis=1))
        return [OP["exp"](parts[0]), OP["softmax"](parts[2])]

    built = build(MATRIX, body)
    assert groups(built) == [["split", "exp"], ["split", "softmax"]]
    for rows in (0, 1, 5):
        assert_runs(built, (rows, 6))


def test_parts_of_parts() -> None:
    def body(bb: Any, x: Any) -> Any:
        first = bb.emit(OP["split"](OP["sin"](x), 2, axis=1))
        second = bb.emit(OP["split"](first[0], 3, axis=1))
        rest = OP["sum"](first[1], axis=1, keepdims=True)
        return OP["add"](OP["multiply"](second[0], second[2]), rest)

    built = build(MATRIX, body)
    assert groups(built) == [["sin", "split", "split", "split", "multiply", "split", "sum", "add"]]
    for rows in (0, 1, 5):
        assert_runs(built, (rows, 6))


def test_a_part_taken_twice_is_read_twice() -> None:
    def body(bb: Any, x: Any) -> Any:
        parts = bb.emit(OP["split"](x, 2, axis=1))
        return OP["add"](OP["exp"](bb.emit(parts[1])), OP["sin"](bb.emit(parts[1])))

    built = build(MATRIX, body)
    assert sorted(groups(built)[0]) == ["add", "exp", "sin", "split", "split"]
    assert_runs(built, (4, 6))


@pytest.mark.parametrize(
    ("shape", "cuts", "axis"),
    [
        ((2 * m, 3), 2, 0),
        ((m, 7), 3, 1),  # 3, 3 and 1 columns
        ((m, 3), 3, 0),  # the last ones may be empty
        ((m + n, 3), (m,), 0),
        ((m, n), (2, 5), 1),
        ((m, n), (5, 2, -1), 1),
        ((m, n), 1, 1),
        ((n, 2 * m), (m,), 1),
    ],
)
def test_sizes(shape: tuple[Any, ...], cuts: Any, axis: int) -> None:
    def body(bb: Any, m_and_n: Any, x: Any) -> Any:
        parts = bb.emit(OP["split"](OP["multiply"](x, 2.0), cuts, axis=axis))
        return [OP["exp"](OP["flatten"](parts[place])) for place in range(len(parts.type.fields))]

    built = build({"m_and_n": Tensor((m, n), "float32"), "x": Tensor(shape, "float32")}, body)
    assert not any("split" in names and "exp" not in names for names in groups(built))
    for rows, columns in ((0, 0), (0, 3), (1, 1), (2, 7), (7, 2), (9, 6)):
        sizes = {"m": rows, "n": columns}
        actual = [eval(str(size), {}, sizes) for size in shape]
        assert_runs(built, (rows, columns), tuple(actual))


# -------------------------------------------------------------------------------------------------- tensor expressions


def halves_and_ends(x: te.Tensor, y: te.Tensor, count: Any) -> tuple[te.Tensor, ...]:
    """Three results: columns of x, the same again with y's rows, and an end of y that only ``count`` tells."""
    left = te.compute((x.shape[0], 3), lambda i, j: x[i, j], name="left")
    again = te.compute((x.shape[0], 2), lambda i, j: left[i, j + 1], name="again")
    end = te.compute((count,), lambda i: y[y.shape[0] - count + i], name="end")
    return left, again, end


@pytest.mark.parametrize("used", [(0, 1, 2), (1,), (2,), (0, 2), (1, 2)])
def test_results_of_tensor_expressions(used: tuple[int, ...]) -> None:
    def body(bb: Any, x: Any, y: Any, z: Any) -> Any:
        made = bb.emit_te(halves_and_ends, OP["sin"](x), y, m)
        return [OP["exp"](made[place]) for place in used]

    types = {"x": Tensor((n, 6), "float32"), "y": Tensor((m + 4,), "float32"), "z": Tensor((m,), "float32")}
    built = build(types, body)
    found = groups(built)
    assert [names[-2:] for names in found if "exp" in names] == [["halves_and_ends", "exp"]] * len(used)
    assert sum(names.count("halves_and_ends") for names in found) == len(used)
    if 2 not in used:  # nothing else reads y
        assert not any(var.name == "y" for call in kernel_calls(built) for var in used_vars(call))
    for rows, count in ((0, 0), (1, 1), (3, 5)):
        assert_runs(built, (rows, 6), (count + 4,), (count,))


def test_gathered_rows() -> None:
    def rows_and_columns(x: te.Tensor, at: te.Tensor) -> tuple[te.Tensor, ...]:
        rows = te.compute((at.shape[0], 6), lambda i, j: x[at[i], j], name="rows")
        columns = te.compute((x.shape[0], at.shape[0]), lambda i, j: x[i, at[j]], name="columns")
        return rows, columns

    def body(bb: Any, x: Any, at: Any) -> Any:
        made = bb.emit_te(rows_and_columns, x, at)
        return [OP["exp"](made[0]), OP["sin"](made[1])]

    built = build({**MATRIX, "at": Tensor((n,), "int64")}, body)
    assert groups(built) == [["rows_and_columns", "exp"], ["rows_and_columns", "sin"]]
    for places in ([], [0], [4, 0, 4, 2]):
        values = [array(5, 6), np.array(places, "int64")]
        assert_agrees(built, values)


@pytest.mark.parametrize("rows", [0, 3])
def test_a_tuple_of_one(rows: int) -> None:
    """The result of a split into one section stays a tuple, also where a kernel has it as its only result."""
    params = {"x": Tensor((m, 16), "float32"), "w": Tensor((16, 24), "float32")}

    def body(bb: Any, x: Any, w: Any) -> Any:
        parts = bb.emit(OP["split"](OP["multiply"](OP["matmul"](x, w), 0.5), 1, axis=-1))
        return Tuple((TupleGetItem(parts, 0, parts.type.fields[0]), bb.emit(OP["exp"](x))))

    built = build(params, body)
    assert_runs(built, (rows, 16), (16, 24))
    values = [np.ones((rows, 16), "float32"), np.ones((16, 24), "float32")]
    assert compare(built.main, built.module, built.compiled, values, built.run).difference is None


def test_what_computes_is_no_part() -> None:
    def sine_and_self(x: te.Tensor) -> tuple[te.Tensor, ...]:
        return te.compute(x.shape, lambda i, j: te.sin(x[i, j])), te.compute(x.shape, lambda i, j: x[i, j])

    def body(bb: Any, x: Any) -> Any:
        made = bb.emit_te(sine_and_self, x)
        return OP["add"](made[0], made[1])

    built = build(MATRIX, body)
    assert groups(built) == [["sine_and_self"], ["add"]]
    assert boundaries(built)[0] == SEVERAL


def test_requirements_are_kept() -> None:
    requires = ((m, 1, "there is nothing to split"),)

    def body(bb: Any, x: Any) -> Any:
        call = bb.call_te(lambda x: halves_and_ends(x, te.compute((9,), lambda i: x[0, 0]), 1)[:2], x)
        made = bb.emit(replace(call, attrs=MappingProxyType({"requires": requires})))
        return OP["add"](OP["sum"](made[0], axis=1), OP["sum"](made[1], axis=1))

    built = build(MATRIX, body)
    (kernel,) = groups(built)
    assert kernel.count("sum") == 2
    (binding,) = built.compiled.stage("fuse").body.bindings
    assert isinstance(binding.value, Call)
    assert binding.value.attrs["requires"] == requires
    assert_runs(built, (3, 6))


# ------------------------------------------------------------------------------------------------------- what stays


def returned(bb: Any, parts: Any) -> Any:
    return [OP["exp"](parts[0]), parts[1]]


def returned_whole(bb: Any, parts: Any) -> Any:
    return [OP["exp"](parts[0]), parts]


def read_by_several(bb: Any, parts: Any) -> Any:
    part = bb.emit(parts[1])
    return [OP["exp"](parts[0]), OP["sin"](part), OP["cos"](part)]


def cast(bb: Any, parts: Any) -> Any:
    return OP["sum"](OP["exp"](bb.match_cast(bb.emit(parts[1]), Tensor((n, 3), "float32"))))


def cast_as_it_is_taken(bb: Any, parts: Any) -> Any:
    return OP["sum"](OP["exp"](bb.match_cast(parts[1], Tensor((n, 3), "float32"))))


def read_by_no_kernel(bb: Any, parts: Any) -> Any:
    return [OP["exp"](parts[0]), OP["unique"](parts[1])]


def read_many_times(bb: Any, parts: Any) -> Any:
    return [OP["exp"](parts[0]), OP["matmul"](parts[1], np.ones((3, 2), "float32"))]


@pytest.mark.parametrize(
    ("body", "boundary"),
    [
        (returned, SEVERAL),
        (returned_whole, "its result is returned"),
        (read_by_several, SEVERAL),
        (cast, SEVERAL),
        (cast_as_it_is_taken, SEVERAL),
        (read_by_no_kernel, SEVERAL),
        (read_many_times, SEVERAL),
    ],
)
def test_splits_that_stay(body: Callable[..., Any], boundary: str) -> None:
    built = build(MATRIX, lambda bb, x: body(bb, bb.emit(OP["split"](OP["exp"](x), 2, axis=1))))
    assert groups(built)[0] == ["exp", "split"]
    assert boundaries(built)[0] == boundary
    for rows in (0, 1, 5):
        assert_runs(built, (rows, 6))


def test_what_a_choice_reads_stays() -> None:
    def body(bb: Any, x: Any, flag: Any) -> Any:
        parts = bb.emit(OP["split"](x, 2, axis=1))
        first, second = OP["exp"](parts[0]), bb.emit(parts[1])
        with bb.branch() as close:
            then = close(OP["sin"](second))
        with bb.branch() as close:
            otherwise = close(first)
        return bb.emit_if(flag, then, otherwise)

    built = build({**MATRIX, "flag": Tensor((), "bool")}, body)
    assert ["split"] in groups(built)
    for flag in (True, False):
        values = [array(3, 6), np.array(flag)]
        assert_agrees(built, values)


def test_a_kernel_that_is_made_of_many_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def body(bb: Any, x: Any) -> Any:
        parts = bb.emit(OP["split"](x, 3, axis=1))
        return OP["exp"](OP["add"](OP["multiply"](parts[0], parts[1]), parts[2]))

    assert groups(build(MATRIX, body)) == [["split", "split", "multiply", "split", "add", "exp"]]
    monkeypatch.setattr(fuse, "MAX_KERNELS", 5)
    built = build(MATRIX, body)
    assert groups(built) == [["split"], ["multiply", "add", "exp"]]
    assert_runs(built, (3, 6))


# ------------------------------------------------------------------------------------------------------- random mixes


class Mix:
    """A random program of splits, what makes their operands and what reads their parts."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def __call__(self, bb: Any, x: Any, w: Any) -> Any:
        live = [x]
        for _ in range(self.random.randrange(4, 14)):
            live += self.step(bb, self.random.choice(live[-5:]), live, w)
        return live[-self.random.randrange(1, 4) :]

    def step(self, bb: Any, x: Any, live: Sequence[Any], w: Any) -> list[Any]:
        columns = x.type.shape[1]
        like = [each for each in live if each.type.shape == x.type.shape]
        choices: dict[str, Callable[[], list[Any]]] = {
            "split": lambda: self.split(bb, x),
            "sine": lambda: [bb.emit(OP["sin"](x))],
            "pair": lambda: [bb.emit(OP["add"](x, self.random.choice(like)))],
            "softmax": lambda: [bb.emit(OP["softmax"](x))],
            "mean": lambda: [bb.emit(OP["subtract"](x, OP["mean"](x, axis=self.random.randrange(2), keepdims=True)))],
            "flip": lambda: [bb.emit(OP["flip"](x, axis=self.random.randrange(2)))],
            "product": lambda: [bb.emit(OP["matmul"](x, OP["strided_slice"](w, (0,), (0,), (columns,))))],
        }
        names = [*choices, "split", "split", "pair"]
        return choices[self.random.choice(names)]()

    def split(self, bb: Any, x: Any) -> list[Any]:
        columns = x.type.shape[1]
        if columns < 2:
            return [bb.emit(OP["exp"](OP["minimum"](x, 1.0)))]
        cut = self.random.randrange(1, columns) if self.random.random() < 0.5 else columns // 2
        parts = bb.emit(OP["split"](x, (cut,), axis=1))
        return [bb.emit(parts[place]) for place in self.random.sample(range(2), self.random.randrange(1, 3))]


@pytest.mark.parametrize("seed", range(30))
def test_random_mixes(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The results are the reference's, and there are no more kernels than without taking splits apart."""
    types = {"x": Tensor((m, 8), "float32"), "w": Tensor((8, 8), "float32")}
    built = build(types, Mix(seed))
    for rows in (1, 2, 7):
        assert_runs(built, (rows, 8), (8, 8))
    monkeypatch.setattr(fuse._Fuser, "_parts", lambda *_: [])
    assert len(groups(built)) <= len(groups(build(types, Mix(seed))))
