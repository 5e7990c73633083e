"""Executables on hand-built programs: what goes in, what comes out, and what is never touched."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numba
import numpy as np
import pytest
from hand_built import Builder, PythonKernel, at, elementwise
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from relaxdsl.errors import ArgumentError, ShapeError
from relaxdsl.runtime import machine
from relaxdsl.runtime.executable import Executable
from relaxdsl.runtime.program import Arith, Branch, CheckTrue, IntLeaf, Jump, TupleTree
from relaxdsl.types.dims import dims, symbol
from relaxdsl.types.types import PrimType, ShapeType, TensorType, TupleType

M, N = dims("m n")
DTYPES = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"]


@cache
def adder(dtype: str = "float32") -> Executable:
    """``x + y`` for two (m, n) arrays."""
    kind = TensorType((M, N), dtype)
    builder = Builder("add", [("x", kind), ("y", kind)], kind)
    builder.call(elementwise(lambda x, y: x + y, dtype, name="add"), [*builder.arguments, builder.output], M * N)
    return builder.executable()


@cache
def doubler_in_workspace() -> Executable:
    """``(x + x) * 2``, with the sum in the workspace."""
    kind = TensorType((M,), "float64")
    builder = Builder("double", [("x", kind)], kind)
    (x,) = builder.arguments
    builder.workspace(8 * M)
    builder.call(elementwise(lambda x: x + x, "float64"), [x, 0], M)
    builder.call(elementwise(lambda t: t * 2, "float64"), [0, builder.output], M)
    return builder.executable()


@pytest.fixture(params=["fast", "slow"])
def way(request: pytest.FixtureRequest) -> Callable[..., object]:
    """Calls an executable through the entry, or with arguments that Python has read."""
    if request.param == "fast":
        return lambda executable, *args: executable(*args)

    def call_slowly(executable: Executable, *args: object) -> object:
        executable.prepare()
        return executable._call_slowly(*args)

    return call_slowly


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (1, 1), (2, 3), (7, 40)])
def test_every_dtype_and_size(dtype: str, shape: tuple[int, int], way: Callable[..., np.ndarray]) -> None:
    x = (np.arange(np.prod(shape)).reshape(shape) % 50).astype(dtype)
    result = way(adder(dtype), x, x)
    assert type(result) is np.ndarray
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, x + x)


def test_the_entry_takes_plain_calls() -> None:
    executable = adder()
    x = np.ones((2, 3), np.float32)
    executable(x, x)
    executable._call_slowly = None  # type: ignore[method-assign, assignment]
    try:
        executable(x, x)
    finally:
        del executable._call_slowly


@pytest.mark.parametrize(
    "x",
    [
        np.arange(6, dtype=np.float32).reshape(3, 2).T,
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        np.arange(6, dtype=np.float32).reshape(2, 3)[::-1, ::-1],
        np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::2],
        np.broadcast_to(np.float32(3), (2, 3)),
        np.arange(6).astype(">f4").reshape(2, 3),
        np.frombuffer(b"\0" + np.arange(6, dtype=np.float32).tobytes(), np.uint8)[1:].view(np.float32).reshape(2, 3),
    ],
    ids=["transposed", "fortran", "negative", "strided", "broadcast", "swapped", "unaligned"],
)
def test_any_layout(x: np.ndarray) -> None:
    before = x.copy()
    np.testing.assert_array_equal(adder()(x, x), x + x)
    np.testing.assert_array_equal(x, before)


def test_read_only_and_memory_mapped_arrays(tmp_path: object) -> None:
    x = np.ones((2, 3), np.float32)
    x.flags.writeable = False
    np.testing.assert_array_equal(adder()(x, x), x + x)
    mapped = np.memmap(f"{tmp_path}/x", np.float32, "w+", shape=(2, 3))
    result = adder()(mapped, x)
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, x)


def test_keywords() -> None:
    x, y = np.ones((2, 3), np.float32), np.full((2, 3), 2, np.float32)
    np.testing.assert_array_equal(adder()(x, y=y), x + y)
    np.testing.assert_array_equal(adder()(y=y, x=x), x + y)


def test_workspace_grows_and_is_aligned(way: Callable[..., np.ndarray]) -> None:
    executable = doubler_in_workspace()
    for size in (3, 0, 1000, 10, 5000):
        x = np.arange(size, dtype=np.float64)
        np.testing.assert_array_equal(way(executable, x), 4 * x)
    (frame,) = executable.idle_frames()
    assert frame.workspace.nbytes >= 8 * 5000
    assert frame.slots[0] % 64 == 0


def test_a_negative_workspace_is_none() -> None:
    builder = Builder("f", [("x", TensorType((M,), "int8"))], TensorType((M,), "int8"))
    builder.workspace(M - 100)
    builder.call(elementwise(lambda x: x, "int8"), [*builder.arguments, builder.output], M)
    executable = builder.executable()
    for size in (3, 50, 150):
        assert executable(np.ones(size, np.int8)).tolist() == [1] * size


def test_sizes_that_numpy_refuses(way: Callable[..., np.ndarray]) -> None:
    executable = Builder("f", [("x", TensorType((M,), "int8"))], TensorType((M - 2,), "int8")).executable()
    assert way(executable, np.zeros(3, np.int8)).shape == (1,)
    with pytest.raises(ValueError, match="negative dimensions are not allowed"):
        way(executable, np.zeros(1, np.int8))


def test_zero_axes() -> None:
    kind = TensorType((), "float32")
    builder = Builder("negate", [("x", kind)], kind)
    builder.call(elementwise(lambda x: -x, "float32"), [*builder.arguments, builder.output], 1)
    negate = builder.executable()
    for value in (np.array(2, np.float32), np.float32(2), 2.0, 2):
        result = negate(value)
        assert type(result) is np.ndarray
        assert (result.shape, result.dtype, float(result)) == ((), np.float32, -2.0)
    assert np.isnan(negate(float("nan")))


@pytest.mark.parametrize(
    ("dtype", "numbers", "others"),
    [
        ("float32", (2.5, 2, -0.0, 2**24, np.float32(7.5), float("inf"), float("nan")), (2**24 + 2, -(2**30))),
        ("float64", (2.5, 2, 1e300, np.float64(7.5)), (2**40,)),
        ("int8", (5, -128, np.int8(3)), ()),
        ("uint64", (5, np.uint64(2**63)), (2**63,)),
        ("bool", (True, False, np.bool_(True)), ()),
    ],
)
def test_numbers_for_a_tensor_without_axes(dtype: str, numbers: tuple[object, ...], others: tuple[object, ...]) -> None:
    """Those that are certainly exact stay in the entry."""
    kind = TensorType((), dtype)
    builder = Builder("same", [("x", kind)], kind)
    builder.call(elementwise(lambda x: x, dtype), [*builder.arguments, builder.output], 1)
    same = builder.executable()
    for number in (*numbers, *others):
        result = same(number)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, np.array(number, dtype))
    fast = machine.make_entry((same._state, None))
    for number in numbers:
        before = sys.getrefcount(number)
        for _ in range(50):
            np.testing.assert_array_equal(fast(number), np.array(number, dtype))
        assert sys.getrefcount(number) - before < 50


def test_numbers_that_a_dtype_does_not_hold() -> None:
    for dtype, number in [("int8", 200), ("int64", 1.0), ("bool", 1), ("float32", True), ("uint8", -1)]:
        kind = TensorType((), dtype)
        builder = Builder("same", [("x", kind)], kind)
        builder.call(elementwise(lambda x: x, dtype), [*builder.arguments, builder.output], 1)
        with pytest.raises(ArgumentError) as caught:
            builder.executable()(number)
        assert caught.value.headline == f"same: argument x: {dtype} cannot hold {number!r}"


@cache
def several() -> Executable:
    """``((x, n), shape, (m, (y,)))`` from ``(x, (y,))``, a number k and a shape s: ints, shapes and nested tuples."""
    k, (a, b) = symbol("k", lower=-9), dims("a b")
    kind = TensorType((M,), "int32")
    params = [("t", TupleType((kind, TupleType((kind,))))), ("k", PrimType("int64", k)), ("s", ShapeType((a, b)))]
    copies = TupleType((kind, PrimType("int64"), ShapeType((a + k, b))))
    builder = Builder("several", params, TupleType((copies, TupleType((TupleType((kind,)), TupleType())))))
    source, number, _ = builder.arguments
    assert isinstance(source, TupleTree)
    x, y = source.fields[0], source.fields[1].fields[0]  # type: ignore[union-attr]
    first, second = builder.output.fields  # type: ignore[union-attr]
    builder.call(elementwise(lambda x: x, "int32"), [x, first.fields[0]], M)
    builder.call(elementwise(lambda x: x, "int32"), [y, second.fields[0].fields[0]], M)
    builder.prologue.append(Arith("add", first.fields[1].slot, number.slot, builder.slots.constant(0)))
    return builder.executable()


def test_tuples_ints_and_shapes(way: Callable[..., tuple]) -> None:
    x, y = np.arange(3, dtype=np.int32), np.arange(3, 6, dtype=np.int32)
    (copy, number, shape), ((other,), empty) = way(several(), (x, (y,)), 5, (7, 8))
    np.testing.assert_array_equal(copy, x)
    np.testing.assert_array_equal(other, y)
    assert (number, shape, empty) == (5, (12, 8), ())
    assert type(number) is int


def test_unusual_ints_and_tuples() -> None:
    x = np.arange(3, dtype=np.int32)
    (_, number, shape), _ = several()([x, [x]], np.int64(5), [np.int32(7), 8])
    assert (number, shape) == (5, (12, 8))
    (_, number, _), _ = several()((x, (x,)), -1, (7, 8))
    assert number == -1


# ------------------------------------------------------------------------------------------------------- control flow


@cache
def absolute_sum() -> Executable:
    """The sum of x if its first element is true, else zero; fails if the second is false."""
    params = [("flags", TensorType((2,), "bool")), ("x", TensorType((M,), "int64"))]
    builder = Builder("pick", params, TensorType((1,), "int64"))
    flags, x = builder.arguments
    second = builder.slots.add("second")
    builder.body += [
        Arith("add", second, flags.pointer, builder.slots.constant(1)),
        CheckTrue(second, lambda values: ShapeError(f"second is false, m = {values[x.sizes[0]]}")),
        Branch(flags.pointer, 5),
    ]

    def total(args: object, lo: int, hi: int) -> None:
        at(args[1], 1, "int64")[0] = at(args[0], hi, "int64").sum()

    def zero(args: object, lo: int, hi: int) -> None:
        at(args[0], 1, "int64")[0] = 0

    builder.call(PythonKernel(total), [x, builder.output], M)
    builder.body.append(Jump(6))
    builder.call(PythonKernel(zero), [builder.output], 1)
    return builder.executable()


def test_branch_and_check(way: Callable[..., np.ndarray]) -> None:
    x = np.arange(5)
    assert way(absolute_sum(), np.array([True, True]), x) == [10]
    assert way(absolute_sum(), np.array([False, True]), x) == [0]
    with pytest.raises(ShapeError) as caught:
        way(absolute_sum(), np.array([True, False]), x)
    assert str(caught.value) == "second is false, m = 5"


def test_a_size_that_divides_by_zero(way: Callable[..., np.ndarray]) -> None:
    builder = Builder("divide", [("x", TensorType((M, N), "int8"))], TensorType((M // N,), "int8"))
    executable = builder.executable()
    assert way(executable, np.zeros((6, 3), np.int8)).shape == (2,)
    with pytest.raises(ShapeError) as caught:
        way(executable, np.zeros((6, 0), np.int8))
    assert str(caught.value) == "divide: a size divides by zero: m // n"


# ---------------------------------------------------------------------------------------------------------------- out


def test_out_is_written_and_returned() -> None:
    x, out = np.ones((2, 3), np.float32), np.empty((2, 3), np.float32)
    assert adder()(x, x, out=out) is out
    np.testing.assert_array_equal(out, x + x)


def read_only(shape: tuple[int, ...]) -> np.ndarray:
    out = np.empty(shape, np.float32)
    out.flags.writeable = False
    return out


def misaligned(shape: tuple[int, ...]) -> np.ndarray:
    return np.empty(25, np.uint8)[1:].view(np.float32).reshape(shape)


FITTING = '   hint: out may be np.empty((2, 3), "float32")'


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ([1], f"expected an array, got list\n{FITTING}"),
        (
            np.empty((2, 3)),
            f"expected dtype float32, got float64\n   passed: float64 array of shape (2, 3)\n{FITTING}",
        ),
        (
            np.empty((2, 4), np.float32),
            f"expected shape (2, 3), got (2, 4)\n   passed: float32 array of shape (2, 4)\n{FITTING}",
        ),
        (np.empty((3, 2), np.float32).T, "expected a C-contiguous array, got strides (4, 8) of shape (2, 3)"),
        (misaligned((2, 3)), "expected an aligned array: the address is no multiple of 4"),
        (read_only((2, 3)), "is read-only"),
    ],
)
def test_out_that_does_not_fit(out: object, message: str) -> None:
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ArgumentError) as caught:
        adder()(x, x, out=out)
    assert str(caught.value) == f"add: out: {message}"


def test_out_must_not_overlap_an_argument() -> None:
    x = np.ones((4, 3), np.float32)
    with pytest.raises(ArgumentError) as caught:
        adder()(x[:2], x[:2], out=x[1:3])
    assert str(caught.value) == (
        "add: out: overlaps argument x in memory\n   hint: arguments are never written: pass another array"
    )
    adder()(x[:2], x[:2], out=x[2:])
    np.testing.assert_array_equal(x, [[1] * 3, [1] * 3, [2] * 3, [2] * 3])


def test_usual_keywords_and_outputs_stay_in_the_entry() -> None:
    slow_calls: list[tuple[object, ...]] = []

    def fast(executable: Executable) -> Callable[..., object]:
        executable.prepare()
        state = executable._state, lambda *args, **keywords: slow_calls.append((args, keywords))
        return machine.make_entry(state)

    x, y, out = np.ones((2, 3), np.float32), np.full((2, 3), 2, np.float32), np.empty((2, 3), np.float32)
    add = fast(adder())
    for result in (add(x=x, y=y), add(y=y, x=x), add(x, y=y), add(x, y, out=None)):
        np.testing.assert_array_equal(result, 3)
    for result in (add(x, y, out=out), add(x, out=out, y=x), add(y=y, out=out, x=y)):
        assert result is out
    np.testing.assert_array_equal(out, 4)
    assert not slow_calls
    for args, keywords in (
        ((x, y), {"z": 1}),
        ((x,), {}),
        ((x,), {"x": x}),
        ((x,), {"out": out}),
        ((x, y), {"out": x}),
        ((x, y), {"out": y[::-1]}),
        ((x, y), {"out": out[:1]}),
        ((x, y), {"out": out.view("int32")}),
        ((x, y), {"out": read_only((2, 3))}),
        ((x, y), {"out": (out,)}),
    ):
        add(*args, **keywords)
    assert len(slow_calls) == 10
    np.testing.assert_array_equal(x, 1)


def test_usual_tuples_of_outputs_stay_in_the_entry() -> None:
    x, buffer = np.ones(3, np.float32), np.zeros((2, 3), np.float32)
    executable = pair()
    executable(x)
    executable._call_slowly = None  # type: ignore[method-assign, assignment]
    out = (buffer[1], buffer[0])
    before = sys.getrefcount(out)
    for _ in range(10):
        assert executable(x=x, out=out) is out
    assert sys.getrefcount(out) == before
    np.testing.assert_array_equal(buffer, 1)


def test_empty_outputs_overlap_nothing() -> None:
    x = np.ones((0, 3), np.float32)
    assert adder()(x, x, out=x[:0]).shape == (0, 3)


def pair() -> Executable:
    kind = TensorType((M,), "float32")
    builder = Builder("pair", [("x", kind)], TupleType((kind, kind)))
    for leaf in builder.output.fields:  # type: ignore[union-attr]
        builder.call(elementwise(lambda x: x, "float32"), [*builder.arguments, leaf], M)
    return builder.executable()


def test_out_must_not_overlap_an_argument_in_a_tuple() -> None:
    x = np.zeros(3, np.int32)
    with pytest.raises(ArgumentError) as caught:
        several()((x, (x,)), 5, (7, 8), out=((x, 0, 0), ((x,), ())))
    assert caught.value.headline == "several: out[0][1]: this output is no array, so it cannot be written into one"
    builder = Builder("first", [("t", TupleType((TensorType((M,), "int32"),)))], TensorType((M,), "int32"))
    with pytest.raises(ArgumentError) as caught:
        builder.executable()((x,), out=x)
    assert caught.value.headline == "first: out: overlaps argument t[0] in memory"


def test_out_tuple() -> None:
    x, buffer = np.ones(3, np.float32), np.zeros((2, 3), np.float32)
    out = (buffer[0], buffer[1])
    assert pair()(x, out=out) is out
    np.testing.assert_array_equal(buffer, 1)
    for wrong, message in [
        (buffer, "pair: out: expected a tuple of 2, got ndarray"),
        ((buffer[0],), "pair: out: expected a tuple of 2, got a tuple of 1"),
        ((buffer[0], buffer[0]), "pair: out[1]: overlaps out[0] in memory"),
        ((buffer[0], buffer), "pair: out[1]: expected shape (3,), got (2, 3)"),
    ]:
        with pytest.raises(ArgumentError) as caught:
            pair()(x, out=wrong)
        assert caught.value.headline == message


def test_out_for_an_int() -> None:
    builder = Builder("size", [("x", TensorType((M,), "int8"))], PrimType("int64"))
    assert isinstance(builder.output, IntLeaf)
    builder.dims.assign(M * 2, builder.output.slot)
    executable = builder.executable()
    assert executable(np.zeros(4, np.int8)) == 8
    with pytest.raises(ArgumentError) as caught:
        executable(np.zeros(4, np.int8), out=np.zeros(1))
    assert str(caught.value) == "size: out: this output is no array, so it cannot be written into one"


# ----------------------------------------------------------------------------------------- threads, frames, constants


def test_constants() -> None:
    builder = Builder("scale", [("x", TensorType((3,), "float64"))], TensorType((3,), "float64"))
    weights = builder.constant(np.array([1.0, 2.0, 3.0]), "weights")
    builder.call(elementwise(lambda x, w: x * w, "float64"), [*builder.arguments, weights, builder.output], 3)
    np.testing.assert_array_equal(builder.executable()(np.full(3, 2.0)), [2.0, 4.0, 6.0])


def test_threads_have_their_own_workspaces() -> None:
    executable = doubler_in_workspace()
    wrong: list[int] = []

    def work(seed: int) -> None:
        x = np.full(2000, float(seed))
        for _ in range(50):
            if not np.array_equal(executable(x), 4 * x):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(executable.idle_frames()) <= 5


def test_first_calls_in_several_threads() -> None:
    executable = pair()
    threads = [threading.Thread(target=executable, args=(np.ones(3, np.float32),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(executable.idle_frames()) == len(executable._frames)


def test_a_call_within_a_call_takes_another_frame() -> None:
    kind = TensorType((M,), "float64")
    builder = Builder("outer", [("x", kind)], kind)
    builder.workspace(8 * M)
    (x,) = builder.arguments
    results: list[np.ndarray] = []

    def body(args: object, lo: int, hi: int) -> None:
        workspace = at(args[1], hi, "float64")
        workspace[:] = at(args[0], hi, "float64")
        if hi > 1:
            results.append(executable(np.zeros(hi - 1)))
        at(args[2], hi, "float64")[:] = workspace

    builder.call(PythonKernel(body), [x, 0, builder.output], M)
    executable = builder.executable()
    np.testing.assert_array_equal(executable(np.full(4, 7.0)), np.full(4, 7.0))
    assert [len(result) for result in results] == [1, 2, 3]


def test_prepare_compiles_once() -> None:
    executable = pair()
    executable.prepare()
    entry = executable.entry
    executable.prepare()
    assert executable.entry is entry
    assert executable.machine_seconds > 0
    assert repr(executable) == '<Executable pair(x: Tensor((m,), "float32"))>'


def test_the_entry_keeps_its_executable_alive() -> None:
    executable = pair()
    executable.prepare()
    entry = executable.entry
    del executable
    np.testing.assert_array_equal(entry(np.ones(3, np.float32))[0], np.ones(3))
    np.testing.assert_array_equal(entry(np.ones(6, np.float32)[::2])[0], np.ones(3))


def test_results_do_not_share_memory() -> None:
    x = np.ones(3, np.float32)
    first, second = pair()(x)
    assert not np.shares_memory(first, second)
    assert not np.shares_memory(first, x)
    assert first.flags.writeable


def test_calls_keep_nothing_and_executables_are_collected() -> None:
    executable = pair()
    x = np.ones(3, np.float32)
    executable(x)
    before = sys.getrefcount(x)
    for _ in range(100):
        executable(x)
        with pytest.raises(ArgumentError):
            executable(x, x)
    assert sys.getrefcount(x) == before
    gone = weakref.ref(executable)
    del executable
    gc.collect()
    assert gone() is None


def test_kernels_of_numba() -> None:
    @numba.cfunc("void(CPointer(intp), int64, int64)")
    def add_one(args, lo, hi):  # type: ignore[no-untyped-def]
        source = numba.carray(address_as_void_pointer(args[0]), hi, np.float64)
        target = numba.carray(address_as_void_pointer(args[1]), hi, np.float64)
        for i in range(lo, hi):
            target[i] = source[i] + 1

    kind = TensorType((M,), "float64")
    builder = Builder("add_one", [("x", kind)], kind)
    builder.call(NumbaKernel("add_one", add_one.address), [*builder.arguments, builder.output], M)
    executable = builder.executable()
    for size in (0, 1, 5000):
        x = np.arange(size, dtype=np.float64)
        np.testing.assert_array_equal(executable(x), x + 1)


@dataclass(frozen=True)
class NumbaKernel:
    name: str
    address: int


@intrinsic
def address_as_void_pointer(typing_context, address):  # type: ignore[no-untyped-def]
    """The address as numba's untyped pointer."""

    def emit(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.intp), emit
