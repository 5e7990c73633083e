"""What makes a right operand is evaluated where it is packed or used: casts, scales, choices, slices, exponentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl.types.constructors import Tensor
from relaxdsl.types.dims import Dim, dims

from .build import OP, Built, build
from .test_fuse import boundaries, groups

b, g, h, k, m, n, s, t = dims("b g h k m n s t")

#: ``(m, k, n)``: nothing, one, few rows, edges of tiles, more than a group of columns and than a block of steps.
SIZES = (
    (0, 6, 5), (7, 0, 5), (20, 0, 5), (5, 6, 0), (1, 1, 1), (1, 300, 7), (7, 33, 17), (9, 100, 200),
    (40, 33, 1), (100, 1100, 210), (200, 130, 49),
)  # fmt: skip

PRODUCERS: dict[str, Callable[..., Any]] = {
    "cast": lambda w, scale, other: OP["astype"](w, "float32"),
    "scaled": lambda w, scale, other: OP["multiply"](OP["astype"](w, "float32"), scale),
    "shifted": lambda w, scale, other: OP["multiply"](OP["subtract"](w, 7.0), OP["add"](scale, 0.5)),
    "relu": lambda w, scale, other: OP["relu"](w),
    "exp": lambda w, scale, other: OP["exp"](w),
    "chosen": lambda w, scale, other: OP["where"](OP["greater"](w, 0.1), w, other),
    "both": lambda w, scale, other: OP["add"](OP["multiply"](w, scale), other),
    "backwards": lambda w, scale, other: OP["abs"](OP["flip"](w, axis=-1)),
}
DTYPES = {"cast": "float64", "scaled": "int8"}
#: Sums of numbers that are as large as 127, or as 10.
TOLERANCES = {"scaled": 1e-2, "shifted": 2e-3}


def made(name: str, is_transposed: bool, is_batched: bool) -> Built:
    """``x @ producer(w)``, where ``w`` is stored by rows or by columns."""
    batch: tuple[Dim, ...] = (b,) if is_batched else ()
    stored: tuple[Dim, ...] = (*batch, n, k) if is_transposed else (*batch, k, n)
    dtype = DTYPES.get(name, "float32")
    params = {
        "x": Tensor((*batch, m, k), "float32"),
        "w": Tensor(stored, dtype),
        "scale": Tensor((n, 1) if is_transposed else (n,), "float32"),
        "other": Tensor(stored, "float32"),
    }

    def body(_: Any, x: Any, w: Any, scale: Any, other: Any) -> Any:
        operand = PRODUCERS[name](w, scale, other)
        axes = (0, 2, 1) if is_batched else (1, 0)
        return OP["matmul"](x, OP["permute_dims"](operand, axes) if is_transposed else operand)

    return build(params, body)


def arrays(built: Built, **sizes: int) -> list[Any]:
    random = np.random.default_rng(sizes["k"])
    values = []
    for param in built.main.params:
        shape = [sizes.get(str(size), size) for size in param.type.shape]  # type: ignore[attr-defined]
        numbers = random.uniform(-1, 1, shape)
        dtype = param.type.dtype  # type: ignore[attr-defined]
        values.append((numbers * 127).astype(dtype) if dtype == "int8" else numbers.astype(dtype))
    return values


@pytest.mark.parametrize("is_transposed", [False, True])
@pytest.mark.parametrize("name", PRODUCERS)
def test_an_operand_is_evaluated_where_it_is_used(name: str, is_transposed: bool) -> None:
    built = made(name, is_transposed, is_batched=False)
    assert len(groups(built)) == 1
    for rows, depth, columns in SIZES:
        values = arrays(built, m=rows, k=depth, n=columns)
        wanted = built.reference([each.astype("float64") if each.dtype != "int8" else each for each in values])
        np.testing.assert_allclose(built.run(*values), wanted, rtol=2e-5, atol=TOLERANCES.get(name, 1e-4))


@pytest.mark.parametrize(("name", "is_transposed"), [("scaled", True), ("shifted", False)])
def test_so_it_is_for_matrices_of_a_batch(name: str, is_transposed: bool) -> None:
    built = made(name, is_transposed, is_batched=True)
    assert len(groups(built)) == 1
    for rows, depth, columns in ((0, 3, 4), (1, 40, 50), (5, 70, 33), (130, 65, 200)):
        values = arrays(built, b=3, m=rows, k=depth, n=columns)
        np.testing.assert_allclose(built.run(*values), built.reference(values), rtol=2e-4, atol=2e-3)


@pytest.mark.parametrize("is_transposed", [False, True])
def test_the_bits_are_those_of_an_operand_in_memory_and_the_same_on_all_threads(is_transposed: bool) -> None:
    built = made("shifted", is_transposed, is_batched=False)
    product = build(
        {"x": Tensor((m, k), "float32"), "w": Tensor((n, k) if is_transposed else (k, n), "float32")},
        lambda _, x, w: OP["matmul"](x, OP["permute_dims"](w) if is_transposed else w),
    )
    before = relax.get_num_threads()
    for rows, depth, columns in ((1, 700, 600), (5, 700, 300), (70, 500, 300), (300, 800, 450)):
        x, w, scale, other = arrays(built, m=rows, k=depth, n=columns)
        results = []
        for count in (1, 2):
            relax.set_num_threads(count)
            results.append(built.run(x, w, scale, other))
        relax.set_num_threads(before)
        np.testing.assert_array_equal(*results)
        operand = (w - np.float32(7)) * (scale + np.float32(0.5))
        if rows > 8:  # so many rows are multiplied from panels, wherever the operand is
            np.testing.assert_array_equal(results[0], product.run(x, operand))


@relax.function
def times_doubled(x: relax.Tensor[("rows", "depth"), "float32"], w: relax.Tensor[("depth", "columns"), "float32"]):
    return x @ (w * 2)


@relax.function
def sums_of_columns(x: relax.Tensor[("rows", "columns"), "float32"]):
    return relax.sum(x * 3, axis=0)


def test_few_rows_have_the_same_bits_on_all_threads() -> None:
    before = relax.get_num_threads()
    for rows, depth, columns in ((4, 255, 4096), (3, 255, 4096), (1, 1025, 2047), (1, 255, 4096)):
        random = np.random.default_rng(depth)
        x, w = (random.standard_normal(shape, "float32") for shape in ((rows, depth), (depth, columns)))
        products, sums = [], []
        for count in (1, 2, 3, 4):
            relax.set_num_threads(count)
            products.append(times_doubled(x, w))
            sums.append(sums_of_columns(w))
        relax.set_num_threads(before)
        for each in (products, sums):
            for other in each[1:]:
                np.testing.assert_array_equal(other, each[0])


# ----------------------------------------------------------------------------------------------- weights in few bits


@pytest.mark.parametrize("is_transposed", [False, True])
def test_weights_with_a_scale_and_a_zero_for_each_group(is_transposed: bool) -> None:
    """Groups lie along the steps: 32 neighbours share a scale, so loops over steps are split by 32."""

    def body(_: Any, x: Any, w: Any, scale: Any, zero: Any) -> Any:
        shape, axis = ((n, g, 32), 2) if is_transposed else ((g, 32, n), 1)
        parts = OP["subtract"](OP["reshape"](OP["astype"](w, "float32"), shape), OP["expand_dims"](zero, axis))
        scaled = OP["multiply"](parts, OP["expand_dims"](scale, axis))
        operand = OP["reshape"](scaled, (n, g * 32) if is_transposed else (g * 32, n))
        return OP["matmul"](x, OP["permute_dims"](operand) if is_transposed else operand)

    groups_shape = (n, g) if is_transposed else (g, n)
    built = build(
        {
            "x": Tensor((m, g * 32), "float32"),
            "w": Tensor((n, g * 32) if is_transposed else (g * 32, n), "int8"),
            "scale": Tensor(groups_shape, "float32"),
            "zero": Tensor(groups_shape, "float32"),
        },
        body,
    )
    assert len(groups(built)) == 1
    (kernel,) = built.compiled.kernels
    assert "in range(32)" in kernel.source if is_transposed else "in range(32)" not in kernel.source
    random = np.random.default_rng(0)
    for rows, count, columns in ((0, 1, 3), (1, 8, 30), (4, 13, 50), (50, 8, 200)):
        x = random.standard_normal((rows, count * 32)).astype("float32")
        w = random.integers(-128, 128, (columns, count * 32) if is_transposed else (count * 32, columns)).astype("int8")
        scale, zero = random.uniform(0, 1, (2, *((columns, count) if is_transposed else (count, columns))))
        values = [x, w, scale.astype("float32"), zero.astype("float32")]
        np.testing.assert_allclose(built.run(*values), built.reference(values), rtol=1e-4, atol=5e-2)


@relax.function
def decode(
    x: relax.Tensor[(m, 64), "float32"],
    up: relax.Tensor[(64, 96), "int8"],
    up_scale: relax.Tensor[(96,), "float32"],
    down: relax.Tensor[(96, 64), "int8"],
    down_scale: relax.Tensor[(64,), "float32"],
):
    """One step of a network whose weights are 8-bit numbers with a scale for each column."""
    hidden = relax.nn.relu(x @ (up.astype("float32") * up_scale))
    return x + hidden @ (down.astype("float32") * down_scale)


def test_a_decoding_step_with_weights_of_eight_bits_is_a_kernel_for_each_layer() -> None:
    explained = decode.explain()
    assert [kernel.facts[0] for kernel in explained.kernels] == [
        "fuses astype, multiply, matmul, relu",
        "fuses astype, multiply, matmul, add",
    ]
    random = np.random.default_rng(0)
    weights = [random.integers(-128, 128, shape).astype("int8") for shape in ((64, 96), (96, 64))]
    scales = [random.uniform(0, 0.01, size).astype("float32") for size in (96, 64)]
    for rows in (0, 1, 3, 30):
        x = random.standard_normal((rows, 64)).astype("float32")
        wanted = x + np.maximum(x @ (weights[0] * scales[0]), 0) @ (weights[1] * scales[1])
        found = decode(x, weights[0], scales[0], weights[1], scales[1])
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_constant_operand_is_evaluated_when_compiling() -> None:
    weights = np.random.default_rng(0).uniform(-1, 1, (32, 1, 40)).astype("float32")

    @relax.function
    def dense(x: relax.Tensor[(m, 64 * 32), "float32"]):
        repeated = relax.broadcast_to(weights, (32, 64, 40)) * 2.0
        return x @ relax.reshape(repeated, (64 * 32, 40))

    (kernel,) = dense.explain().kernels
    assert "panels made when compiling" in "; ".join(kernel.facts)
    operand = np.repeat(weights * 2, 64, axis=1).reshape(64 * 32, 40)
    for rows in (0, 1, 2, 50):
        x = np.random.default_rng(rows).uniform(-1, 1, (rows, 64 * 32)).astype("float32")
        np.testing.assert_allclose(dense(x), x @ operand, rtol=1e-4, atol=1e-3)


# ---------------------------------------------------------------------------------------- attention, convolution, bytes


def test_keys_and_values_of_eight_bits() -> None:
    def body(_: Any, q: Any, key: Any, key_scale: Any, value: Any, value_scale: Any) -> Any:
        keys = OP["multiply"](OP["astype"](key, "float32"), OP["expand_dims"](key_scale, 3))
        values = OP["multiply"](OP["astype"](value, "float32"), OP["expand_dims"](value_scale, 3))
        return OP["attention"](q, keys, values, causal_mask="BottomRight")

    built = build(
        {
            "q": Tensor((b, s, h, 16), "float32"),
            "key": Tensor((b, t, h, 16), "int8"),
            "key_scale": Tensor((b, t, h), "float32"),
            "value": Tensor((b, t, h, 16), "int8"),
            "value_scale": Tensor((b, t, h), "float32"),
        },
        body,
    )
    assert len(groups(built)) == 1
    for length, keys in ((1, 1), (1, 70), (5, 20), (100, 130)):
        values = arrays(built, b=2, s=length, t=keys, h=3, k=0)
        values[2] /= 100
        np.testing.assert_allclose(built.run(*values), built.reference(values), rtol=2e-4, atol=2e-3)


def test_keys_are_turned_by_their_places_where_they_are_read() -> None:
    def body(_: Any, q: Any, key: Any, value: Any, cosine: Any, sine: Any) -> Any:
        halves = OP["concat"]([OP["negative"](key[:, :, :, 8:]), key[:, :, :, :8]], axis=3)
        turned = OP["add"](OP["multiply"](key, cosine), OP["multiply"](halves, sine))
        return OP["attention"](q, turned, value)

    tensors = {name: Tensor((b, t, h, 16), "float32") for name in ("q", "key", "value")}
    angles = {name: Tensor((t, 1, 16), "float32") for name in ("cosine", "sine")}
    built = build({**tensors, **angles}, body)
    assert len(groups(built)) == 1
    for length in (1, 7, 110):
        values = arrays(built, b=2, t=length, h=3, k=0)
        np.testing.assert_allclose(built.run(*values), built.reference(values), rtol=2e-4, atol=2e-5)


def test_weights_of_a_convolution() -> None:
    """The left operand is given by tables, and what is done to the image is done where its border is made."""

    def body(_: Any, x: Any, w: Any, scale: Any) -> Any:
        weights = OP["multiply"](OP["astype"](w, "float32"), scale)
        return OP["conv2d"](OP["relu"](x), weights, padding=1, data_layout="NHWC", kernel_layout="HWIO")

    params = {
        "x": Tensor((b, 9, 10, 4), "float32"), "w": Tensor((3, 3, 4, 20), "int8"), "scale": Tensor((20,), "float32")
    }  # fmt: skip
    built = build(params, body)
    assert groups(built) == [["relu", "astype", "multiply", "conv2d"]]
    for images in (0, 1, 3):
        values = arrays(built, b=images, k=0)
        np.testing.assert_allclose(built.run(*values), built.reference(values), rtol=2e-4, atol=2e-2)


def test_bytes_that_are_made() -> None:
    def body(_: Any, x: Any, w: Any) -> Any:
        rounded = OP["astype"](OP["clip"](OP["round"](OP["multiply"](w, 100.0)), -128.0, 127.0), "int8")
        return OP["matmul"](x, rounded, out_dtype="int32")

    built = build({"x": Tensor((m, k), "int8"), "w": Tensor((k, n), "float32")}, body)
    assert len(groups(built)) == 1
    for rows, depth, columns in SIZES:
        values = arrays(built, m=rows, k=depth, n=columns)
        np.testing.assert_array_equal(built.run(*values), built.reference(values))


def test_factors_of_other_dtypes_are_operands() -> None:
    """``int8`` times ``float32``: the engine multiplies what the cast makes."""
    built = build({"x": Tensor((m, k), "int8"), "w": Tensor((k, n), "float64")}, lambda _, x, w: OP["matmul"](x, w))
    (kernel,) = built.compiled.kernels
    assert "contract_packed_float64(" in kernel.source or "contract_float64(" in kernel.source
    for rows, depth, columns in SIZES:
        values = arrays(built, m=rows, k=depth, n=columns)
        np.testing.assert_allclose(built.run(*values), built.reference(values), rtol=1e-11, atol=1e-9)


# ----------------------------------------------------------------------------------------------- what stays in memory


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("is_transposed", [False, True])
def test_few_rows_whose_number_is_known(is_transposed: bool, rows: int) -> None:
    """Where they are left to plain loops, whatever the sizes, there are no panels."""
    stored: tuple[Dim, ...] = (b, n, k) if is_transposed else (b, k, n)
    params = {"x": Tensor((b, rows, k), "float32"), "w": Tensor(stored, "float32"), "v": Tensor(stored, "float32")}

    def body(_: Any, x: Any, w: Any, v: Any) -> Any:
        operand = OP["add"](w, v)
        return OP["matmul"](x, OP["permute_dims"](operand, (0, 2, 1)) if is_transposed else operand)

    built = build(params, body)
    for count, depth, columns in ((0, 3, 4), (2, 8, 16), (2, 300, 200)):
        values = arrays(built, b=count, k=depth, n=columns)
        np.testing.assert_allclose(built.run(*values), built.reference(values), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("name", ["exp", "softmax"])
def test_what_stays_in_memory(name: str) -> None:
    """Threads that share the rows of a batch's matrix would each do what is expensive; a softmax needs whole rows."""
    square = Tensor((b, n, n), "float32")
    built = build({"x": square, "w": square}, lambda _, x, w: OP["matmul"](x, OP[name](w)))
    assert boundaries(built)[0] == "matmul reads it, and a contraction reads each element many times"
    for size in (1, 7, 70):
        values = arrays(built, b=2, n=size, k=size)
        np.testing.assert_allclose(built.run(*values), built.reference(values), rtol=2e-4, atol=2e-4)
