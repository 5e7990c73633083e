"""Convolutions beside torch; the form their loops have; sizes that are known only at run time."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from kernel_runs import run

import relaxdsl as relax
from relaxdsl.errors import ArgumentError
from relaxdsl.ir.loops import walk
from relaxdsl.ir.scalar import Select
from relaxdsl.kernels import te
from relaxdsl.kernels.accesses import expressions, nodes
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.patterns import blocks_of, is_reduction
from relaxdsl.kernels.schedule.inline import inline_stages
from relaxdsl.operators import convolution
from relaxdsl.operators.layout import parse_layout
from relaxdsl.types.dims import dims

n, h = dims("n h")


@pytest.mark.parametrize(
    ("data", "weight", "attrs"),
    [
        ((2, 4, 9, 8), (6, 4, 3, 3), {"padding": 1}),
        ((2, 4, 9, 8), (6, 4, 3, 2), {"strides": (2, 3), "dilation": (2, 1)}),
        ((2, 4, 9, 8), (8, 1, 3, 3), {"groups": 4, "padding": (2, 1)}),
    ],
)
def test_conv2d_agrees_with_torch(data: tuple[int, ...], weight: tuple[int, ...], attrs: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape).astype("float32") for shape in (data, weight))
    theirs = {"stride" if name == "strides" else name: value for name, value in attrs.items()}
    expected = torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(w), **theirs).numpy()
    np.testing.assert_allclose(run(convolution.conv2d, x, w, **attrs), expected, rtol=1e-4, atol=1e-5)


def test_an_image_in_any_layout_has_the_same_convolution() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 8, 5, 6)), rng.standard_normal((4, 8, 3, 3))
    expected = run(convolution.conv2d, x, w)
    last = run(convolution.conv2d, x.transpose(0, 2, 3, 1), w, data_layout="NHWC", out_layout="NCHW")
    np.testing.assert_allclose(last, expected, rtol=1e-12)
    in_blocks = x.reshape(2, 2, 4, 5, 6).transpose(0, 1, 3, 4, 2)
    blocked = run(convolution.conv2d, in_blocks, w, data_layout="NCHW4c", out_layout="NCHW")
    np.testing.assert_allclose(blocked, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("weight", "attrs", "axes"),
    [
        ((8, 4, 7, 7), {"padding": 3, "strides": 2}, [5]),
        ((8, 4, 7, 7), {"padding": 3, "strides": (4, 3)}, [5]),
        ((8, 4, 3, 3), {"padding": 1, "strides": 3}, [5]),
        ((8, 4, 7, 7), {"strides": 2}, [5]),  # each element is read twelve times
        ((8, 4, 7, 7), {"padding": 3, "strides": (2, 1)}, [4]),  # neighbours read neighbours
        ((8, 4, 4, 4), {"strides": 2}, []),  # each element is read four times: the data is not copied
        ((4, 1, 7, 7), {"padding": 3, "strides": 2, "groups": 4}, [4]),
    ],
)
def test_elements_that_a_stride_moves_over_are_put_by_their_remainders(
    weight: tuple[int, ...], attrs: dict[str, Any], axes: list[int]
) -> None:
    x, w = te.placeholder((n, 4, h, h), name="x"), te.placeholder(weight, name="w")
    body = convolution.conv2d.__relax_operator__.body  # type: ignore[attr-defined]
    kernel = create_prim_func([x, w], [body(x, w, **attrs)], "conv2d")
    padded = [each for each in kernel.scratch if each.name == "padded"]
    assert [len(each.shape) for each in padded] == axes


@pytest.mark.parametrize(
    ("weight", "attrs"),
    [((64, 64, 3, 3), {"padding": 1}), ((64, 1, 3, 3), {"padding": 1, "groups": 64}), ((8, 32, 1, 1), {"groups": 2})],
)
def test_sums_have_no_conditions_and_affine_indices(weight: tuple[int, ...], attrs: dict[str, Any]) -> None:
    x, w = te.placeholder((n, 64, h, h), name="x"), te.placeholder(weight, name="w")
    body = convolution.conv2d.__relax_operator__.body  # type: ignore[attr-defined]
    kernel = inline_stages(create_prim_func([x, w], [body(x, w, **attrs)], "conv2d"))
    (block,) = (each for each in blocks_of(kernel) if is_reduction(each))
    found = [node for stmt in walk(block.body) for value in expressions(stmt) for node in nodes(value)]
    assert not any(isinstance(node, Select) for node in found)
    assert "//" not in str([node.indices for node in found if hasattr(node, "indices")])


def test_a_kernel_larger_than_the_data_is_refused_when_run() -> None:
    @relax.function
    def convolve(x: relax.Tensor[(1, 1, h), "float32"]):
        return relax.nn.conv1d(x, np.ones((1, 1, 3), "float32"))

    assert convolve(np.ones((1, 1, 2), "float32")).shape == (1, 1, 0)
    with pytest.raises(ArgumentError) as error:
        convolve(np.ones((1, 1, 1), "float32"))
    assert error.value.headline == "convolve: nn.conv1d: the kernel is larger than the padded data along W"


def test_a_layout_has_the_outer_blocks_first() -> None:
    layout = parse_layout("nn.conv2d", "kernel_layout", "OIHW4i16o2i", "OIHW", "OI")
    place = layout.place({"O": 37, "I": 21, "H": 1, "W": 2})
    assert place == (2, 2, 1, 2, 2, 5, 1)
    assert layout.point(place) == {"O": 37, "I": 21, "H": 1, "W": 2}
    assert layout.sizes((3, 4, 3, 3, 4, 16, 2)) == {"O": 48, "I": 32, "H": 3, "W": 3}


def of_a_convolution(read, shape=(1, 3, 16, 16), kernel=(4, 3, 3, 3), **attributes):
    """What ``read`` makes of a convolution in one kernel, beside the same of its values."""
    x = relax.Var("x", relax.Tensor(("n", *shape[1:]), "float32"))
    w = relax.Var("w", relax.Tensor(kernel, "float32"))
    builder = relax.BlockBuilder()
    with builder.function("f", [x, w]):
        builder.emit_func_output(read(relax.nn.conv2d(x, w, **attributes)))
    rng = np.random.default_rng(0)
    arrays = rng.standard_normal(shape).astype("float32"), rng.standard_normal(kernel).astype("float32")
    function = relax.compile(builder.get())["f"]
    assert function.check(*arrays)
    return function, arrays


def pooled(h):
    n, c, height, width = h.shape
    return relax.max(relax.reshape(h, (n, c, height // 2, 2, width // 2, 2)), axis=(3, 5))


@pytest.mark.parametrize("size", [8, 16, 28])
@pytest.mark.parametrize(
    "read",
    [
        pooled,
        lambda h: h[..., ::2],
        lambda h: h[:, :, ::2],
        lambda h: h[:, :, 1::2, ::2],
        lambda h: relax.sum(relax.reshape(h, (*h.shape[:2], h.shape[2] // 2, 2, h.shape[3])), axis=3),
        lambda h: relax.max(relax.reshape(h, (*h.shape[:3], h.shape[3] // 2, 2)), axis=4),
    ],
)
def test_parts_of_a_convolutions_rows_and_columns(read, size):
    """Pixels are two axes: pieces of their joint index are not pieces of each."""
    of_a_convolution(read, (2, 3, size, size), padding=1)
    of_a_convolution(read, (1, 3, 2 * size, 2 * size), strides=2, padding=1)
    of_a_convolution(read, (1, 20, size, size), (70, 20, 1, 1))


AT_THE_END_OF_A_MAPPING = """
import ctypes, mmap
import numpy as np
import relaxdsl as relax

h, w = relax.dims("h w")

@relax.function
def f(x: relax.Tensor[(1, 1, h, w), "float32"], k: relax.Tensor[(1, 1, 3, 3), "float32"]):
    return relax.nn.conv2d(x, k, strides=(1, 2), padding=(1, 0))

page = mmap.PAGESIZE
memory = mmap.mmap(-1, 2 * page)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address + page), page, 0) == 0
x = np.frombuffer(memory, "float32", 15, page - 60).reshape(1, 1, 3, 5)
x[...] = 1
print(f(x, np.ones((1, 1, 3, 3), "float32")).ravel().tolist())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="memory is protected in another way")
def test_a_strided_axis_without_a_border_beside_one_with(tmp_path):
    """The copy has whole strides; what is beyond the data is not read."""
    (tmp_path / "program.py").write_text(AT_THE_END_OF_A_MAPPING)
    run_ = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, text=True)
    assert run_.stdout == "[6.0, 6.0, 9.0, 9.0, 6.0, 6.0]\n", run_.stderr
