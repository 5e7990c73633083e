"""Operators refuse dtypes in which their kernels would not compute, where they are called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from relaxdsl.errors import RelaxError
from relaxdsl.ir.te import Tensor
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.dtypes import unsupported_dtype, unsupported_nodes
from relaxdsl.types.dtype import KERNEL_DTYPES

Body = Callable[[Mapping[str, Any], Mapping[str, Any]], Tensor | Sequence[Tensor]]


def require_kernel_dtypes(
    name: str, body: Body, operands: Mapping[str, Any], attrs: Mapping[str, Any], result: Tensor | Sequence[Tensor]
) -> None:
    """Returns if the kernel of an operator computes in dtypes that kernels have; an operand may have another one where
    nothing of it is read, as in ``zeros_like(x, "float32")``.

    Args:
        body: the operator's, of operands and attributes.
        result: what it returned for these.

    Raises:
        DTypeError: it does not; names the dtypes that the operator takes instead.
    """
    inputs, outputs = list(_tensors(operands)), list(_tensors(result))
    if all(each.dtype in KERNEL_DTYPES for each in (*inputs, *outputs)):
        return
    for _, node in unsupported_nodes(create_prim_func(inputs, outputs, name)):
        dtype = node.dtype
        shown = [f"{each.name} is {dtype}" for each in inputs if each.dtype == dtype]
        raise unsupported_dtype(name, dtype, list(_taken(body, operands, attrs, dtype)), shown)


def _taken(body: Body, operands: Mapping[str, Any], attrs: Mapping[str, Any], dtype: str) -> Iterator[str]:
    """The dtypes that the operator takes in place of ``dtype``."""
    for other in KERNEL_DTYPES:
        try:
            body(_with_dtype(operands, dtype, other), _with_dtype(attrs, dtype, other))
        except RelaxError:
            continue
        yield other


def _with_dtype(value: Any, old: str, new: str) -> Any:
    """Operands or attributes with one dtype in place of another."""
    match value:
        case Mapping():
            return {key: _with_dtype(each, old, new) for key, each in value.items()}
        case list():
            return [_with_dtype(each, old, new) for each in value]
        case Tensor(buffer=buffer) if buffer.dtype == old:
            return Tensor(replace(buffer, dtype=new))
        case str() if value == old:
            return new
        case _:
            return value


def _tensors(value: Any) -> Iterator[Tensor]:
    match value:
        case Tensor():
            yield value
        case Mapping():
            yield from _tensors(list(value.values()))
        case list() | tuple():
            for each in value:
                yield from _tensors(each)
