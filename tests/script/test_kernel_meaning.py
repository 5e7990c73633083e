"""What the script of a kernel means: Python that runs when it is read, loops, sizes and elements."""

from __future__ import annotations

import numpy as np
import pytest
from hand_kernels import m, n

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.ir.equal import assert_structural_equal
from relaxdsl.script.parse_text import parse_kernel_source

FIRST = np.int64(1)


def test_what_python_decides() -> None:
    @relax.prim_func
    def decided(x: T.Buffer((n, 4), "float32"), y: T.Buffer((n,), "float32")):
        """Everything here but the loop and the stores is known when the kernel is read."""
        assert x.ndim == 2, "a message"
        assert x.dtype == "float32"
        columns = x.shape[1] if 2 < x.shape[1] <= 4 else 0
        if not columns or columns < 0:
            y[0] = 99.0
        elif columns == 4 and columns is not None:
            for i in range(n):
                y[i] = +x[i, columns - 1] * (1 if columns in (3, 4) else 0)
                pass

    x = np.arange(8, dtype="float32").reshape(2, 4)
    np.testing.assert_array_equal(decided(x), [3, 7])


def test_shared_buffers_and_registers() -> None:
    @relax.prim_func
    def reverse(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        copy = T.alloc_buffer(n, "float32", scope="shared")
        last = T.alloc_buffer((), "float32", scope="register")
        for i in T.parallel(n):
            copy[i] = x[i]
        last[()] = 0.0
        for i in range(n):
            last[()] = copy[n - 1 - i]
            y[i] = last[()]

    x = np.arange(5, dtype="float32")
    np.testing.assert_array_equal(reverse(x), x[::-1])
    assert_structural_equal(parse_kernel_source(reverse.script(), {}), reverse.ir)


def test_sizes_in_functions_of_t() -> None:
    @relax.prim_func
    def blocks(x: T.Buffer((n,), "float32"), y: T.Buffer((T.ceildiv(n, 4),), "float32")):
        for i in range(T.floordiv(n + 3, 4)):
            y[i] = 0.0
            for j in range(T.min(4, n - 4 * i)):
                y[i] = T.max(y[i], x[4 * i + j]) + T.cast(T.floormod(j, 4) * 0, "float32")

    np.testing.assert_array_equal(blocks(np.arange(6, dtype="float32")), [3, 5])


def test_one_axis_with_or_without_a_comma() -> None:
    @relax.prim_func
    def without(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            with T.block("y"):
                vi = T.axis.remap("S", [i])
                y[vi] = x[vi] * 2.0

    @relax.prim_func
    def with_comma(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            with T.block("y"):
                (vi,) = T.axis.remap("S", [i])
                y[vi] = x[vi] * 2.0

    assert without.script().replace("without", "with_comma") == with_comma.script()


def test_loops_run_as_they_are_written() -> None:
    @relax.prim_func
    def copy(x: T.Buffer((n, m), "float32"), y: T.Buffer((n, m), "float32")):
        for i in T.parallel(n):
            for j0 in range(T.ceildiv(m, 4)):
                for j1 in T.vectorized(4):
                    if j0 * 4 + j1 < m:
                        y[i, j0 * 4 + j1] = x[i, j0 * 4 + j1]

    assert copy.ir.attrs["scheduled"]
    x = np.arange(21, dtype="float32").reshape(3, 7)
    np.testing.assert_array_equal(copy(x), x)
    assert "for j0 in range(" in copy.source()


def test_sizes_beside_narrow_integers() -> None:
    @relax.prim_func
    def kernel(x: T.Buffer((n,), "int8"), less: T.Buffer((n,), "bool"), z: T.Buffer((n,), "int8"), k: T.int64):
        for i in range(n):
            less[i] = x[i] < k
            z[i] = T.min(x[i], k) + (x[i] % k) + k

    x = np.array([-128, -1, 0, 5, 127], "int8")
    for size in (3, 100, 200, 300):
        less, z = kernel(x, size)
        wide = x.astype("int64")
        np.testing.assert_array_equal(less, wide < size)
        np.testing.assert_array_equal(z, (np.minimum(wide, size) + wide % size + size).astype("int8"))


def test_numbers_stand_on_either_side_of_elements() -> None:
    @relax.prim_func
    def bits(x: T.Buffer((n,), "int64"), y: T.Buffer((n, 6), "int64")):
        for i in range(n):
            y[i, 0] = 6 & x[i]
            y[i, 1] = 6 | x[i]
            y[i, 2] = 6 ^ x[i]
            y[i, 3] = 1 << x[i]
            y[i, 4] = 1024 >> x[i]
            quotient, remainder = divmod(i, 4)
            y[i, 5] = quotient + 10 * remainder

    @relax.prim_func
    def parts(x: T.Buffer((n,), "int64"), y: T.Buffer((n, 4), "int64")):
        for i in range(n):
            y[i, 0], y[i, 1] = divmod(x[i], 3)
            y[i, 2], y[i, 3] = divmod(10, x[i] + 1)

    x = np.arange(9)
    i = np.arange(9)
    wanted = [6 & x, 6 | x, 6 ^ x, 1 << x, 1024 >> x, i // 4 + 10 * (i % 4)]
    np.testing.assert_array_equal(bits(x), np.stack(wanted, axis=1))
    np.testing.assert_array_equal(parts(x), np.stack([*divmod(x, 3), *divmod(10, x + 1)], axis=1))


def test_extents_from_a_shape() -> None:
    @relax.prim_func
    def copy(x: T.Buffer((n, m), "float32"), y: T.Buffer((n, m), "float32")):
        for i, j in T.grid(*x.shape):
            y[i, j] = x[i, j]

    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(copy(x), x)


def test_a_helper_may_compare_sizes() -> None:
    def is_inner(i, size):
        return i + 1 < size

    @relax.prim_func
    def kernel(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            if is_inner(i, n):
                y[i] = x[i + 1] if is_inner(i, n) else x[i]
            else:
                y[i] = 0.0

    np.testing.assert_array_equal(kernel(np.arange(4, dtype=np.float32)), np.float32([1, 2, 3, 0]))


def test_what_was_written_at_first_may_be_read() -> None:
    @relax.prim_func
    def prefix_sums(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            for j in range(i):
                y[i] = y[j] + x[i]
            y[i] = y[i - 1] + x[i] if i > 0 else x[i]

    np.testing.assert_array_equal(prefix_sums(np.array([1, 2, 4], "float32")), [1, 3, 7])


def test_extremes_of_several_values() -> None:
    @relax.prim_func
    def extremes(x: T.Buffer((n,), "float32"), y: T.Buffer((n, 5), "float32")):
        for i in range(n):
            y[i, 0] = max(x[i], 3, i, 1)
            y[i, 1] = max([2.5, x[i]])
            y[i, 2] = min(x[i] * each for each in (1, 2, -1))
            y[i, 3] = max(i, 2, 1)
            y[i, 4] = min(*(x[i], 2 * i), 4)

    x = np.array([2.0, 5.0, -3.0, 7.0, 1.0], "float32")
    i = np.arange(5)
    rows = [
        np.maximum(np.maximum(x, 3), i),
        np.maximum(x, 2.5),
        np.minimum(np.minimum(x, 2 * x), -x),
        np.maximum(i, 2),
        np.minimum(np.minimum(x, 2 * i), 4),
    ]
    np.testing.assert_array_equal(extremes(x), np.stack(rows, axis=1))


def test_what_python_changes_where_it_begins() -> None:
    @relax.prim_func
    def collected(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
        numbers = iter([4, 5, 6, 7])
        factors = [next(numbers)]
        factors.append(3)
        both = next(numbers) == 5 and next(numbers)
        for i in range(n):
            with T.block("y"):
                vi = T.axis.spatial(n, i)
                terms = []
                seen = {"a": {1}}
                for factor in factors:
                    terms.append(x[vi] * factor)
                    seen["a"].add(factor)
                seen.update(b=2)
                terms += [len(seen["a"]) + len(seen)]
                y[vi] = sum(terms) + both + {3: 10}.get(factors[1], 0)

    x = np.array([2, 5, -3], "int64")
    np.testing.assert_array_equal(collected(x), 7 * x + 5 + 6 + 10)


def test_integers_of_numpy_and_bools_beside_loops() -> None:
    @relax.prim_func
    def shifted(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
        for i in range(n):
            with T.block("y"):
                vi = T.axis.spatial(n, i)
                none = T.axis.spatial(FIRST, 0)
                y[vi + none] = True + vi + vi // FIRST
        for i in range(FIRST, n):
            y[i] = y[i] + x[i - FIRST] + 2 ** T.int64(i) + ~T.int64(i)

    x = np.array([2, 5, -3], "int64")
    i = np.arange(1, 3)
    np.testing.assert_array_equal(shifted(x), [1, *(1 + i + i + x[:2] + 2**i + ~i)])


def test_how_elements_print(capsys: pytest.CaptureFixture[str]) -> None:
    @relax.prim_func
    def printed(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
        t = x[0] if n > 0 else 0
        for i in range(n):
            print(x[i], [x[i] + i, n - 1], f"{x[x[i]] * 2:} {t!r}")
            y[i] = t

    assert capsys.readouterr().out == "x[i] [x[i] + i, n - 1] x[x[i]] * T.int64(2) t\n"


def test_a_number_has_the_digits_of_its_dtype() -> None:
    @relax.prim_func
    def scaled(x: T.Buffer((n,), "float64"), y: T.Buffer((n,), "float64")):
        for i in range(n):
            y[i] = x[i] * T.float32(0.1) + (T.float32(1e40) if n > 2 else 0)

    np.testing.assert_array_equal(scaled(np.ones(1)), np.float64(np.float32(0.1)))
    assert "x[i] * T.float64(0.10000000149011612)" in str(scaled)
    assert np.isinf(scaled(np.ones(3))).all()


def test_loops_and_sizes_are_stored_as_astype_converts_them() -> None:
    @relax.prim_func
    def counted(y: T.Buffer((n,), "int8"), z: T.Buffer((n,), "float32")):
        for i in range(n):
            y[i] = i * 2 + n
            z[i] = i

    small, wide = counted(300)
    np.testing.assert_array_equal(small, (np.arange(300) * 2 + 300).astype("int8"))
    np.testing.assert_array_equal(wide, np.arange(300, dtype="float32"))
