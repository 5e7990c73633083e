"""From an operator's samples and mistakes to what tests need: graph variables, arrays, types with numbers, kernels."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relaxdsl.errors import InternalError
from relaxdsl.ir.graph import Call, Var
from relaxdsl.ir.te import Tensor
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import CompiledKernel, compile_kernel, run_kernel
from relaxdsl.operators import catalog
from relaxdsl.operators.calls import make_call, operands_of, te_operand
from relaxdsl.operators.registry import Mistake, Operator, Sample, TensorSample, all_operators
from relaxdsl.types.dims import Dim, SymInt, evaluate, free_symbols, parse_dim, substitute
from relaxdsl.types.types import TensorType, TupleType, Type

assert catalog.PUBLIC, "importing the catalog fills the registry"

Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Case:
    """A sample of an operator."""

    definition: Operator
    sample: Sample
    number: int

    def __str__(self) -> str:
        return f"{self.definition.name}-{self.number}"


def all_cases() -> list[Case]:
    """Every sample of every operator."""
    return [Case(each, sample, i) for each in all_operators() for i, sample in enumerate(each.samples)]


def all_mistakes() -> list[tuple[str, Operator, Mistake]]:
    """Every mistake of every operator, with a name for it."""
    return [(f"{each.name}-{i}", each, wrong) for each in all_operators() for i, wrong in enumerate(each.mistakes)]


# ---------------------------------------------------------------------------------------------------------------- sizes


def symbols_of(sample: Sample) -> tuple[str, ...]:
    """The symbols that a sample's shapes and attributes mention, in order."""
    found: dict[str, None] = {}

    def note(dim: object, _: str) -> object:
        found.update(dict.fromkeys(free_symbols(dim)) if isinstance(dim, SymInt) else {})
        return dim

    _convert_all(sample, lambda spec, name: [note(dim, name) for dim in _dims(spec)], note)
    return tuple(found)


def size_choices(sample: Sample) -> list[dict[str, int]]:
    """Values for the symbols: the sample's sizes in turn, each symbol one further, so that different sizes meet."""
    names, sizes = symbols_of(sample), sample.sizes
    if not names:
        return [{}]
    return [{name: sizes[(i + j) % len(sizes)] for j, name in enumerate(names)} for i in range(len(sizes))]


def static_sizes(sample: Sample) -> dict[str, int]:
    """One number for all symbols: the sample's last size."""
    return dict.fromkeys(symbols_of(sample), sample.sizes[-1])


def total_ndim(sample: Sample) -> int:
    """How many axes the sample's tensors have together."""
    total = 0

    def count(spec: TensorSample, _: str) -> None:
        nonlocal total
        total += len(spec.shape)

    _convert_all(sample, count, lambda dim, _: dim)
    return total


# ------------------------------------------------------------------------------------------------------------ arguments


def call_of(definition: Operator, sample: Sample | Mistake, sizes: Sizes | None = None) -> Call:
    """The typed call on variables; with ``sizes``, all shapes are numbers."""

    def variable(spec: TensorSample, name: str) -> Var:
        shape = [dim if sizes is None else evaluate(dim, sizes) for dim in _dims(spec)]
        return Var(name, TensorType(tuple(shape), spec.dtype))

    def number(dim: SymInt, _: str) -> Dim:
        return dim if sizes is None else substitute(dim, sizes)

    args, attrs = _convert_all(sample, variable, number, definition)
    return make_call(definition, args, attrs)


def array_arguments(definition: Operator, sample: Sample, sizes: Sizes) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments for the reference: arrays, numbers, ints. The same ones on every run."""
    rng = np.random.default_rng(zlib.crc32(repr((definition.name, sample.args, sorted(sizes.items()))).encode()))
    return _convert_all(
        sample,
        lambda spec, _: draw(spec, [evaluate(dim, sizes) for dim in _dims(spec)], rng),
        lambda dim, _: evaluate(dim, sizes),
        definition,
    )


def draw(spec: TensorSample, shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """An array of the sample's dtype with values from its interval."""
    if spec.dtype == "bool":
        return rng.integers(0, 2, shape).astype("bool")
    if spec.dtype.startswith("float"):
        return np.asarray(rng.uniform(spec.low, spec.high, shape)).astype(spec.dtype)
    return np.asarray(rng.integers(math.ceil(spec.low), math.floor(spec.high), shape, endpoint=True)).astype(spec.dtype)


def reference_result(definition: Operator, args: Sequence[Any], attrs: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """What the NumPy reference returns, as a tuple of arrays."""
    with np.errstate(all="ignore"):
        result = definition.reference(*args, **attrs)
    return tuple(map(np.asarray, result)) if isinstance(result, tuple | list) else (np.asarray(result),)


Convert = Callable[[Any, str], Any]


def _convert_all(
    sample: Sample | Mistake, on_tensor: Convert, on_dim: Convert, definition: Operator | None = None
) -> tuple[list[Any], dict[str, Any]]:
    """The sample's arguments with each tensor and each dim replaced; both are told the parameter's name."""
    names = list(definition.signature.parameters) if definition is not None else []
    names += [f"argument{i}" for i in range(len(names), len(sample.args))]

    def convert(value: Any, name: str) -> Any:
        if isinstance(value, TensorSample):
            return on_tensor(value, name)
        if isinstance(value, SymInt):
            return on_dim(value, name)
        if isinstance(value, list | tuple):
            return type(value)(convert(item, f"{name}[{i}]") for i, item in enumerate(value))
        return value

    args = [convert(value, name) for value, name in zip(sample.args, names, strict=False)]
    return args, {name: convert(value, name) for name, value in sample.attrs.items()}


def _dims(spec: TensorSample) -> list[Dim]:
    return [parse_dim(size) if isinstance(size, str) else size for size in spec.shape]


# ---------------------------------------------------------------------------------------------------------------- types


def tensor_types(type_: Type) -> tuple[TensorType, ...]:
    """The types of a call's results."""
    if isinstance(type_, TensorType):
        return (type_,)
    if isinstance(type_, TupleType):
        return tuple(each for field in type_.fields for each in tensor_types(field))
    raise InternalError(f"an operator returns {type_}")


def shape_with_numbers(type_: TensorType, sizes: Sizes) -> tuple[int | None, ...]:
    """The shape for these sizes; None for a size that depends on the data."""
    assert type_.shape is not None
    return tuple(evaluate(dim, sizes) if set(free_symbols(dim)) <= set(sizes) else None for dim in type_.shape)


# -------------------------------------------------------------------------------------------------------------- kernels


#: A sentinel before and after each output shows a kernel that writes outside of it.
GUARD_BYTES = 64
GUARD = 0xA5


@dataclass(frozen=True)
class CaseKernel:
    """A compiled sample: one kernel that computes all results of the operator."""

    case: Case
    operands: Mapping[str, Any]
    outputs: tuple[Tensor, ...]
    compiled: CompiledKernel

    def run(
        self, args: Sequence[Any], attrs: Mapping[str, Any], sizes: Sizes, parts: int = 1
    ) -> tuple[np.ndarray, ...]:
        """The results for the reference's arguments; the range is run in ``parts``."""
        inputs = arrays_for(self.case.definition, self.operands, args, attrs)
        before = [array.copy() for array in inputs]
        memory = [_guarded(each.shape, each.dtype, sizes) for each in self.outputs]
        run_kernel(self.compiled, [*inputs, *(array for array, _ in memory)], sizes, parts)
        for array, copy in zip(inputs, before, strict=True):
            assert array.tobytes() == copy.tobytes(), f"{self.case} writes to an input"
        for array, raw in memory:
            outside = np.delete(raw, np.s_[GUARD_BYTES : GUARD_BYTES + array.nbytes])
            assert (outside == GUARD).all(), f"{self.case} writes outside of its output"
        return tuple(array for array, _ in memory)


def compile_case(case: Case, sizes: Sizes | None = None) -> CaseKernel:
    """The sample's kernel for symbolic shapes, or for ``sizes`` as numbers."""
    definition = case.definition
    operands, outputs = te_of(definition, call_of(definition, case.sample, sizes))
    prim_func = create_prim_func(placeholders(operands), outputs, definition.name.replace(".", "_"))
    return CaseKernel(case, operands, outputs, compile_kernel(prim_func))


def _guarded(shape: Sequence[Dim], dtype: str, sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
    """An array, and the bytes it lies in."""
    numbers = [evaluate(dim, sizes) for dim in shape]
    size_bytes = math.prod(numbers) * np.dtype(dtype).itemsize
    raw = np.full(size_bytes + 2 * GUARD_BYTES, GUARD, np.uint8)
    return raw[GUARD_BYTES : GUARD_BYTES + size_bytes].view(dtype).reshape(numbers), raw


def te_of(definition: Operator, call: Call) -> tuple[dict[str, Any], tuple[Tensor, ...]]:
    """The operands as the operator's body sees them, by name, and the tensors it returns for them."""
    assert definition.body is not None
    operands = {
        name: te_operand(operand, name, definition.name) for name, operand in operands_of(definition, call).items()
    }
    result = definition.body(**operands, **call.attrs)
    return operands, tuple(result) if isinstance(result, tuple | list) else (result,)


def placeholders(operands: Mapping[str, Any]) -> list[Tensor]:
    """The tensors among a body's operands, in order."""
    return [each for operand in operands.values() for each in _flat(operand) if isinstance(each, Tensor)]


def arrays_for(
    definition: Operator, operands: Mapping[str, Any], args: Sequence[Any], attrs: Mapping[str, Any]
) -> list[np.ndarray]:
    """The arrays for :func:`placeholders`, in the same order, from the reference's arguments."""
    bound = definition.signature.bind(*args, **attrs)
    bound.apply_defaults()
    return [
        np.ascontiguousarray(array)
        for name, operand in operands.items()
        for array, te_value in zip(_flat(bound.arguments[name]), _flat(operand), strict=True)
        if isinstance(te_value, Tensor)
    ]


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)
    else:
        yield value


# ----------------------------------------------------------------------------------------------------------- comparison

#: Relative error that differs from NumPy's by rounding only.
TOLERANCES = {"float16": 2e-3, "float32": 2e-6, "float64": 4e-15}


def assert_agrees(actual: np.ndarray, expected: np.ndarray, tolerance: float | None, what: object) -> None:
    """Same dtype, shape, integers and bools; floats within the tolerance, relative to the value or the largest one."""
    assert actual.dtype == expected.dtype, f"{what}: dtype {actual.dtype}, expected {expected.dtype}"
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(actual, expected, err_msg=str(what))
        return
    relative = tolerance if tolerance is not None else TOLERANCES[expected.dtype.name]
    finite = np.abs(expected[np.isfinite(expected)])
    scale = finite.max() if finite.size else 0.0
    np.testing.assert_allclose(actual, expected, rtol=relative, atol=relative * min(scale, 1.0), err_msg=str(what))
