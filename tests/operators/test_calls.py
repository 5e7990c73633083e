"""Making calls: arguments, operands, attributes, and the whole message of what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from relaxdsl.errors import DTypeError, RelaxError, ScriptError, ShapeError, Span
from relaxdsl.ir.graph import Constant, PrimValue, Tuple, Var
from relaxdsl.operators.calls import call_context, fresh_symbol, infer_type, operands_of
from relaxdsl.operators.catalog import PUBLIC
from relaxdsl.operators.registry import get
from relaxdsl.types.dims import SymInt, symbol
from relaxdsl.types.types import AnyType, ShapeType, TensorType, tensor_type

m, n = symbol("m"), symbol("n")
x = Var("x", tensor_type((m, 3), "float32"))
add, clip, exp = PUBLIC["add"], PUBLIC["clip"], PUBLIC["exp"]


def message_of(error: type[RelaxError], make: object, *args: object, **kwargs: object) -> str:
    """The whole message of the error that a call raises."""
    with pytest.raises(error) as caught:
        make(*args, **kwargs)  # type: ignore[operator]
    assert type(caught.value) is error
    return str(caught.value)


# ---------------------------------------------------------------------------------------------------------- arguments


def test_unknown_argument() -> None:
    assert message_of(ScriptError, clip, x, mim=0) == (
        "clip: unknown argument 'mim'\n   clip(x, min=None, max=None)\n   hint: did you mean 'min'?"
    )
    assert message_of(ScriptError, exp, x, where=True) == "exp: unknown argument 'where'\n   exp(x)"


def test_wrong_number_of_arguments() -> None:
    assert message_of(ScriptError, add, x) == "add: missing a required argument: 'x2'\n   add(x1, x2)"
    assert message_of(ScriptError, exp, x, x) == "exp: too many positional arguments\n   exp(x)"


def test_operands_by_position_and_attributes_by_keyword_as_programs_print_them() -> None:
    full = PUBLIC["full"]
    assert full(2.5, shape=(m, 3)).attrs == full((m, 3), 2.5).attrs
    assert str(full(2.5, shape=(m, 3)).type) == 'relax.Tensor((m, 3), "float64")'
    signature = "full(shape, fill_value, dtype=None)"
    twice = "full: multiple values for argument 'shape'"
    assert message_of(ScriptError, full, (2,), fill_value=2, shape=3) == f"{twice}\n   {signature}"
    assert message_of(ScriptError, full, 1, 2, shape=3) == f"{twice}\n   {signature}"


def test_what_is_no_operand() -> None:
    assert message_of(DTypeError, add, x, "1") == "add: x2 must be a tensor, an array or a number, got str"
    assert message_of(DTypeError, exp, Var("s", ShapeType((m,)))) == "exp: x must be a tensor, got relax.Shape((m,))"
    assert message_of(DTypeError, exp, Var("a", AnyType())) == (
        "exp: x must be a tensor, got relax.Any\n"
        '   hint: give it a type: out=relax.Tensor((m, n), "float32") where a packed function returns it, '
        '-> relax.Tensor[(m, n), "float32"] on a function that does, or match_cast'
    )
    assert message_of(DTypeError, exp, np.ones(2, "complex64")).startswith("unknown dtype 'complex64'")


def test_what_is_no_plain_array() -> None:
    assert message_of(DTypeError, add, x, np.ma.masked_array([1.0])) == (
        "add: x2 must be a tensor, an array or a number, got MaskedArray\n"
        "   hint: x2.filled(value), with a value for what is masked"
    )
    kind = type("Tensor", (), {"__module__": "torch", "detach": None, "device": SimpleNamespace(type="cpu")})
    assert message_of(DTypeError, add, x, kind()) == (
        "add: x2 must be a tensor, an array or a number, got torch.Tensor\n   hint: x2.detach().numpy()"
    )


def test_several_values_where_one_is_wanted() -> None:
    hint = "   hint: make one array of it: of numbers with np.array, of tensors with relax.stack"
    for several in ([1.0, 2.0], (x, x), Tuple((x,))):
        kind = type(several).__name__.lower()
        assert message_of(DTypeError, add, x, several) == (
            f"add: x2 must be a tensor, an array or a number, got {kind}\n{hint}"
        )
    assert message_of(DTypeError, PUBLIC["sum"], []) == (
        f"sum: x must be a tensor, an array or a number, got list\n{hint}"
    )


def test_tensor_of_unknown_rank_or_dtype() -> None:
    hint = (
        "   hint: write it in the parameter's annotation, or give the value a type: "
        'y = relax.match_cast(y, relax.Tensor((m, n), "float32"))'
    )
    assert message_of(ShapeError, exp, Var("y", TensorType(dtype="float32"))) == (
        f"exp: the rank of y is unknown\n{hint}"
    )
    assert message_of(ShapeError, exp, Var("y", TensorType(shape=(m,)))) == f"exp: the dtype of y is unknown\n{hint}"


# ----------------------------------------------------------------------------------------------- operands, attributes


def test_numbers_become_constants_of_the_tensors_dtype() -> None:
    number = add(x, 2).args[1]
    assert isinstance(number, Constant)
    assert number.value.dtype == "float32"
    assert number.type == tensor_type((), "float32")


def test_constants_do_not_change_with_the_users_array() -> None:
    array = np.ones(3, "float32")
    constant = add(x, array).args[1]
    array[:] = 5
    assert isinstance(constant, Constant)
    assert constant.value.tolist() == [1, 1, 1]
    assert not constant.value.flags.writeable


def test_sizes_become_prim_values() -> None:
    size = add(x, m + 1).args[1]
    assert isinstance(size, PrimValue)
    assert size.value is m + 1


def test_optional_operands_keep_their_places() -> None:
    only_max = clip(x, max=1)
    assert len(only_max.args) == 3
    assert isinstance(only_max.args[1], Tuple)
    assert only_max.args[1].fields == ()
    assert operands_of(get("clip"), only_max)["min"] is None
    assert len(clip(x, 0).args) == 2
    operands = operands_of(get("clip"), only_max)
    assert infer_type(get("clip"), operands, only_max.attrs) == only_max.type


def test_attributes_are_plain_data() -> None:
    attrs = PUBLIC["eye"](np.int64(3), PrimValue(m), dtype=np.float32).attrs
    assert dict(attrs) == {"n": 3, "m": m, "k": 0, "dtype": "float32"}
    assert type(attrs["n"]) is int


# ------------------------------------------------------------------------------------------------------------ context


def test_errors_and_calls_carry_the_users_line() -> None:
    span = Span("<script>", 3, 5, 3, 9)
    with call_context(span=span):
        assert add(x, 1).span is span
        text = message_of(DTypeError, exp, Var("i", tensor_type((m,), "int32")))
    assert text == (
        "exp: i must be float, got int32\n"
        "  --> <script>:3:5\n"
        "   i : Tensor((m,), int32)\n"
        '   hint: convert it with i.astype("float32")'
    )
    assert add(x, 1).span is None


def test_undecided_sizes_may_be_accepted() -> None:
    half = Var("h", tensor_type((m // 2 * 2,), "float32"))
    whole = Var("w", tensor_type((m,), "float32"))
    asked = []
    with call_context(accept_undecided=lambda left, right, message: asked.append((left, right, message)) or True):
        assert add(half, whole).shape == (m // 2 * 2,)
    assert [(left, right) for left, right, _ in asked] == [(m // 2 * 2, m)]
    assert message_of(ShapeError, add, half, whole).startswith(asked[0][2])


def test_fresh_symbols_differ() -> None:
    first, second = fresh_symbol("count"), fresh_symbol("count")
    assert isinstance(first, SymInt)
    assert first is not second
    with call_context(fresh_symbol=lambda hint: symbol(f"my_{hint}")):
        assert fresh_symbol("count") is symbol("my_count")
