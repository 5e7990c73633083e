"""Fusion: which kernels are joined, why the others are not, and that nothing changes but the number of kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from relaxdsl.ir.graph import Call, Function
from relaxdsl.kernels.patterns import Kind, kind_of
from relaxdsl.types.constructors import Tensor
from relaxdsl.types.dims import dims

from .build import OP, Built, build
from .test_lower import array, assert_same

m, n = dims("m n")
MATRIX = {"x": Tensor((m, n), "float32")}
PAIR = {"x": Tensor((m, n), "float32"), "y": Tensor((m, n), "float32")}
DENSE = {"x": Tensor((m, 4), "float32"), "w": Tensor((4, n), "float32"), "b": Tensor((n,), "float32")}


def groups(built: Built) -> list[list[str]]:
    """The names of the kernels that each kernel of the fused program is made of."""
    module = built.compiled.module_after("fuse")
    main = module["main"]
    assert isinstance(main, Function)
    found = []
    for binding in main.body.bindings:
        assert isinstance(binding.value, Call)
        kernel = module[binding.value.args[0].name]  # type: ignore[attr-defined]
        found.append(list(kernel.attrs.get("fused", (kernel.name,))))
    return found


def boundaries(built: Built) -> list[str]:
    main = built.compiled.module_after("fuse")["main"]
    assert isinstance(main, Function)
    return [binding.value.attrs["boundary"] for binding in main.body.bindings]  # type: ignore[union-attr]


def normalize(x: Any) -> Any:
    centred = OP["subtract"](x, OP["mean"](x, axis=1, keepdims=True))
    deviation = OP["sqrt"](OP["mean"](OP["multiply"](centred, centred), axis=1, keepdims=True))
    return OP["divide"](centred, OP["add"](deviation, 1.0))


def sine_and_cosine(x: Any) -> Any:
    return OP["add"](OP["sin"](x), OP["cos"](x))


@pytest.mark.parametrize(
    ("params", "body", "expected"),
    [
        (PAIR, lambda x, y: OP["exp"](OP["add"](OP["multiply"](x, y), x)), [["multiply", "add", "exp"]]),
        # a diamond: both readers are in the group
        (MATRIX, lambda x: sine_and_cosine(OP["exp"](x)), [["exp", "sin", "cos", "add"]]),
        # through a reshape, which takes each element once
        (MATRIX, lambda x: OP["exp"](OP["flatten"](OP["sin"](x))), [["sin", "flatten", "exp"]]),
        (MATRIX, lambda x: OP["exp"](OP["permute_dims"](x)), [["permute_dims", "exp"]]),
        # a producer into a reduction, and the reduction into what follows row by row
        (MATRIX, lambda x: OP["sum"](OP["exp"](x), axis=1), [["exp", "sum"]]),
        (MATRIX, lambda x: OP["softmax"](OP["exp"](x), axis=-1), [["exp", "softmax"]]),
        (MATRIX, normalize, [["mean", "subtract", "multiply", "mean", "sqrt", "add", "divide"]]),
        # an epilogue into a contraction
        (DENSE, lambda x, w, b: OP["relu"](OP["add"](OP["matmul"](x, w), b)), [["matmul", "add", "relu"]]),
        # what makes the left operand row by row, each row once
        (DENSE, lambda x, w, b: OP["matmul"](OP["exp"](x), w), [["exp", "matmul"]]),
        # what makes the right operand, each element once
        (DENSE, lambda x, w, b: OP["matmul"](x, OP["exp"](w)), [["exp", "matmul"]]),
        # but nothing that needs whole rows of it
        (DENSE, lambda x, w, b: OP["matmul"](x, OP["softmax"](w)), [["softmax"], ["matmul"]]),
        # columns are not rows
        (MATRIX, lambda x: OP["subtract"](x, OP["sum"](x, axis=0)), [["sum"], ["subtract"]]),
        # an expensive value used for a whole row that is not the row at hand
        (DENSE, lambda x, w, b: OP["add"](OP["exp"](b), w), [["exp"], ["add"]]),
    ],
)  # fmt: skip
def test_groups(params: dict[str, Any], body: Callable[..., Any], expected: list[list[str]]) -> None:
    built = build(params, lambda bb, *args: body(*args))
    assert groups(built) == expected
    for rows, columns in ((0, 3), (1, 1), (2, 7), (7, 2)):
        sizes = {"m": rows, "n": columns}
        values = [
            array(*(sizes.get(str(size), size) for size in param.type.shape), seed=seed)  # type: ignore[attr-defined]
            for seed, param in enumerate(built.main.params)
        ]
        if columns or rows:
            assert_same(built.run(*values), built.reference(values))


def test_boundaries_say_why() -> None:
    def body(bb: Any, x: Any, w: Any, b: Any) -> Any:
        hidden = OP["exp"](x)
        product = OP["matmul"](x, OP["softmax"](OP["multiply"](w, OP["sum"](hidden))))
        total = OP["sum"](product, axis=0)
        flat = OP["flatten"](OP["add"](product, total))
        return [OP["exp"](flat), total]

    built = build(DENSE, body)
    assert groups(built) == [
        ["exp", "sum"], ["multiply", "softmax"], ["matmul"], ["sum"], ["add", "flatten", "exp"],
    ]  # fmt: skip
    assert boundaries(built) == [
        "multiply reads it, and it needs other rows than those at hand",
        "matmul reads it, and a contraction reads each element many times",
        "its result is read by several kernels",
        "its result is returned",
        "its result is returned",
    ]


def test_a_row_cannot_be_kept_for_a_reader_in_another_order() -> None:
    built = build(MATRIX, lambda bb, x: OP["exp"](OP["flatten"](OP["softmax"](x))))
    assert groups(built) == [["softmax"], ["flatten", "exp"]]
    assert boundaries(built)[0] == "flatten reads it, and it needs other rows than those at hand"
    built = build(MATRIX, lambda bb, x: OP["flatten"](OP["exp"](OP["softmax"](x))))
    assert groups(built) == [["softmax"], ["exp", "flatten"]]
    assert boundaries(built)[0] == "exp reads it, and a later kernel takes its elements in another order"


@pytest.mark.parametrize(
    ("body", "expected", "boundary"),
    [
        # at hand: the element itself, or its row
        (lambda e: OP["multiply"](OP["sin"](e), OP["cos"](e)), [["exp", "sin", "cos", "multiply"]], ""),
        (lambda e: OP["add"](OP["flip"](e, axis=1), e), [["exp", "flip", "add"]], ""),
        (lambda e: flips(OP["permute_dims"](OP["expand_dims"](e, 1), (0, 2, 1)), 1),
         [["exp", "expand_dims", "permute_dims", "flip", "add"]], ""),
        # elsewhere, or in the order of a later kernel
        (lambda e: halves(e), [["exp"], ["strided_slice", "strided_slice", "add"]],
         "strided_slice reads it, and it would be computed many times"),
        (lambda e: OP["flatten"](OP["multiply"](OP["sin"](e), OP["cos"](e))),
         [["exp"], ["sin", "cos", "multiply", "flatten"]],
         "sin reads it, and a later kernel takes its elements in another order"),
        (lambda e: OP["add"](OP["sum"](e, axis=0), OP["max"](e, axis=0)), [["exp"], ["sum", "max", "add"]],
         "sum reads it, and it would be computed many times"),
        # what costs nothing is made again; not what that is made of
        (lambda e: halves(OP["triu"](e)), [["exp"], ["triu", "strided_slice", "strided_slice", "add"]],
         "triu reads it, and a later kernel takes its elements in another order"),
    ],
)  # fmt: skip
def test_what_several_read_is_at_hand(body: Callable[..., Any], expected: list[list[str]], boundary: str) -> None:
    built = build({"x": Tensor((2 * m, n), "float32")}, lambda bb, x: body(bb.emit(OP["exp"](x))))
    assert groups(built) == expected
    assert boundaries(built)[0] == (boundary or "its result is returned")
    for rows, columns in ((0, 3), (2, 1), (2, 7), (6, 2)):
        if rows or "max" not in expected[-1]:
            values = [array(rows, columns)]
            assert_same(built.run(*values), built.reference(values))


def flips(e: Any, axis: int) -> Any:
    return OP["add"](OP["flip"](e, axis=axis), e)


def halves(e: Any) -> Any:
    first, second = (OP["strided_slice"](e, (0,), (start,), (start + m,)) for start in (0, m))
    return OP["add"](first, second)


def test_requirements_of_all_members_are_kept() -> None:
    built = build(MATRIX, lambda bb, x: OP["exp"](OP["max"](OP["sin"](x), axis=1)))
    (binding,) = built.compiled.module_after("fuse")["main"].body.bindings  # type: ignore[union-attr]
    assert [message for _, _, message in binding.value.attrs["requires"]] == [
        "max: axis 1 of gv has size 0, and nothing has no max"
    ]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (lambda x: OP["exp"](x), Kind.ELEMENTWISE),
        (lambda x: OP["add"](x, np.zeros(3, "float32")), Kind.BROADCAST),
        (lambda x: OP["flip"](x, axis=0), Kind.INJECTIVE),
        (lambda x: OP["concat"]([x, x]), Kind.INJECTIVE),
        (lambda x: OP["softmax"](x), Kind.REDUCTION),
        (lambda x: OP["argmax"](x, axis=1), Kind.REDUCTION),
        (lambda x: OP["matmul"](x, np.zeros((3, 2), "float32")), Kind.CONTRACTION),
        (lambda x: OP["matmul"](x, np.zeros(3, "float32")), Kind.CONTRACTION),
        (lambda x: OP["layer_norm"](x, None, None, axes=-1), Kind.REDUCTION),
    ],
)
def test_kinds(body: Callable[..., Any], kind: Kind) -> None:
    built = build({"x": Tensor((m, 3), "float32")}, lambda bb, x: body(x))
    (kernel,) = built.compiled.module_after("fuse").kernels.values()
    assert kind_of(kernel) is kind
