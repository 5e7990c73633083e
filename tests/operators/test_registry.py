"""The registry and the catalog: names, places, methods, signatures."""

import inspect

import numpy as np
import pytest

from relaxdsl.ir.graph import Expr, Var
from relaxdsl.operators import catalog, registry
from relaxdsl.operators.elementwise import unary
from relaxdsl.operators.registry import all_operators, define, find, get
from relaxdsl.types.types import tensor_type

RELAX_NAMES = frozenset(
    """
    abs acos acosh asin asinh atan atanh bitwise_not ceil clip cos cosh erf exp floor isfinite isinf isnan log
    logical_not negative round rsqrt sigmoid sign sin sinh sqrt square tan tanh trunc add subtract multiply divide
    floor_divide power mod floor_mod atan2 log_add_exp maximum minimum equal not_equal less less_equal greater
    greater_equal logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor left_shift right_shift
    ewise_fma sum mean max min prod std variance median cumsum cumprod argmax argmin where bucketize sort argsort
    topk unique nonzero multinomial_from_uniform full full_like ones ones_like zeros zeros_like eye eye_like
    arange hamming_window tril triu astype wrap_param broadcast_to concat expand_dims flatten layout_transform
    permute_dims reshape split squeeze stack collapse_sum_like collapse_sum_to repeat tile flip reverse_sequence
    gather_elements gather_nd index_tensor index_put meshgrid scatter_elements scatter_nd slice_scatter one_hot
    take strided_slice dynamic_strided_slice matmul einsum outer linear masked_fill quantize dequantize shape_of
    size shape_to_tensor tensor_to_shape nn.conv1d nn.conv2d nn.conv3d nn.conv1d_transpose nn.conv2d_transpose
    nn.conv3d_transpose nn.max_pool1d nn.max_pool2d nn.max_pool3d nn.avg_pool1d nn.avg_pool2d nn.avg_pool3d
    nn.adaptive_avg_pool1d nn.adaptive_avg_pool2d nn.adaptive_avg_pool3d nn.relu nn.relu6 nn.leakyrelu nn.prelu
    nn.gelu nn.gelu_tanh nn.selu nn.silu nn.softplus nn.softmax nn.log_softmax nn.dropout nn.batch_flatten nn.pad
    nn.pixel_shuffle nn.batch_norm nn.layer_norm nn.group_norm nn.instance_norm nn.rms_norm
    nn.cross_entropy_with_logits nn.nll_loss nn.attention nn.attention_bias nn.attention_var_len image.resize2d
    image.resize3d image.grid_sample image.affine_grid
    """.split()  # noqa: SIM905 - two hundred quoted names are harder to read
)
#: Ours beyond Relax's, with the reason.
EXTENSIONS = {
    "all": "array API",
    "any": "array API",
    "exp2": "NumPy",
    "getitem": "x[i:j, ...], Python's indexing",
    "expm1": "array API",
    "log10": "array API",
    "log1p": "array API",
    "log2": "array API",
}
#: Operators that any tensor suits, so that there is no mistake to make.
TAKES_ANYTHING = {"flatten"}


def test_a_name_is_defined_once() -> None:
    def body(x: "Operand") -> None:  # type: ignore[name-defined]
        """Nothing."""

    code = body.__code__
    with pytest.raises(ValueError, match="is defined twice") as error:
        define("exp", body, reference=np.exp)
    here = f"{code.co_filename}:{code.co_firstlineno}"
    assert str(error.value) == f"operator 'exp' is defined twice: at {get('exp').place} and at {here}"
    assert get("exp").place.rpartition(":")[0].endswith("unary.py")


def test_a_family_names_the_line_of_its_entry() -> None:
    line = inspect.currentframe().f_lineno + 2  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="is defined twice") as error:
        unary("exp", "Again.", lambda x: x, np.exp)
    assert str(error.value) == f"operator 'exp' is defined twice: at {get('exp').place} and at {__file__}:{line}"


def test_find_and_get() -> None:
    assert find("add") is get("add")
    assert find("no such operator") is None
    with pytest.raises(KeyError):
        get("no such operator")
    assert [each.name for each in all_operators()] == sorted(registry._OPERATORS)


@pytest.mark.parametrize("definition", all_operators(), ids=lambda each: each.name)
def test_every_operator_is_complete(definition: registry.Operator) -> None:
    assert definition.name in RELAX_NAMES or definition.name in EXTENSIONS
    assert definition.doc.strip()
    assert definition.samples
    assert definition.mistakes or definition.name in TAKES_ANYTHING
    assert (definition.body is None) == (definition.host is not None)
    assert definition.host is None or definition.type_rule is not None


@pytest.mark.parametrize("definition", all_operators(), ids=lambda each: each.name)
def test_every_operator_is_public_with_its_own_signature(definition: registry.Operator) -> None:
    namespace, _, base = definition.name.rpartition(".")
    function = {"": catalog.PUBLIC, "nn": catalog.NN}[namespace][base]
    assert function.__relax_operator__ is definition
    assert function.__name__.rstrip("_") == base
    assert list(inspect.signature(function).parameters) == list(definition.signature.parameters)
    assert function.__module__.startswith("relaxdsl.operators.")
    assert definition.place.rpartition(":")[0] == inspect.getfile(inspect.getmodule(function))


def test_every_method_belongs_to_one_operator() -> None:
    owners: dict[str, str] = {}
    for definition in all_operators():
        for method in (*definition.methods, *definition.reflected):
            assert method not in owners, f"{method} of {definition.name} and {owners.get(method)}"
            owners[method] = definition.name
            assert hasattr(Expr, method)


def test_methods_and_overloads_make_calls() -> None:
    x = Var("x", tensor_type((2,), "float32"))
    assert (x + 1).op.name == "add"
    assert (x == 1).op.name == "equal"
    assert (x != x).op.name == "not_equal"
    assert (1 - x).args[1] is x
    assert (np.float32(1) * x).op.name == "multiply"
    assert (np.ones(2, "float32") / x).args[1] is x
    assert (2 < x).op.name == "greater"  # noqa: SIM300 - the reflected overload
    assert (-x).op.name == "negative"
    assert abs(x).op.name == "abs"
    assert x.astype("int8").dtype == "int8"
    assert x.clip(0, 1).op.name == "clip"
    assert hash(x) == hash(x)
