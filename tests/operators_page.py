"""``docs/operators.md``, made from the registry."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from relaxdsl.kernels.math.bounds import ULP_BOUNDS
from relaxdsl.operators.catalog import FAMILIES
from relaxdsl.operators.registry import Operator

SYMBOLS = {
    "__abs__": "abs(x)",
    "__add__": "+",
    "__and__": "&",
    "__eq__": "==",
    "__floordiv__": "//",
    "__ge__": ">=",
    "__gt__": ">",
    "__invert__": "~",
    "__le__": "<=",
    "__lshift__": "<<",
    "__lt__": "<",
    "__matmul__": "@",
    "__mod__": "%",
    "__mul__": "*",
    "__ne__": "!=",
    "__neg__": "-x",
    "__or__": "\\|",
    "__pow__": "**",
    "__rshift__": ">>",
    "__sub__": "-",
    "__truediv__": "/",
    "__xor__": "^",
}

HEAD = """\
# Operators

Every operator, by family, as `relax.…`; those of `nn` as `relax.nn.…`. `help(relax.matmul)` says which shapes it
takes and gives, which errors it raises, and where it comes from. Names and attributes are Relax's. All take any sizes,
symbolic ones too, and run in compiled code, but for those marked *NumPy*, which run there, between kernels. Tensors
have `x.T`, `x.reshape(…)` and `x.transpose(…)` as in NumPy, too, and `relax.linear(x, w, b)` is
`x @ w.T + b`: its weight has a row for each output.
This page is made from the definitions, and a test keeps it so.
"""


ACCURACY = """\

## Accuracy

The largest error that a function of floats may have, in units in the last place of the exact result. Tests compare
with mpmath and with wider floats, over the whole range. Of infinities, NaN, zeros and subnormals the results are
NumPy's. Functions that are not here give NumPy's result, bit for bit, but for `maximum` and `minimum` of 0 and -0: they
give 0 and -0, whichever comes first. The error of `log_add_exp` is in units of the larger of its operands and its
result.

| function | float32 | float64 |
|---|---|---|
"""


def operators_page() -> str:
    """The page's text."""
    families = ("\n".join(_section(family)) for family in FAMILIES if list(_own(family)))
    bounds = (f"| `{name}` | {single} | {double} |\n" for name, (single, double) in ULP_BOUNDS.items() if double)
    return "".join([HEAD, *families, ACCURACY, *bounds])


def _section(family: ModuleType) -> Iterator[str]:
    yield f"\n## {_code(_first_sentence(family))}\n"
    yield "| call | result | also |"
    yield "|---|---|---|"
    for function, definition in _own(family):
        host = "" if definition.host is None else " *NumPy*"
        text = _code(inspect.getdoc(function) or "").partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
        yield f"| `{definition.name}{_parameters(definition)}` | {text}{host} | {_methods(definition)} |"
    yield ""


def _own(family: ModuleType) -> Iterator[tuple[Callable[..., Any], Operator]]:
    """The operators that the family defines itself."""
    for value in vars(family).values():
        definition = getattr(value, "__relax_operator__", None)
        if definition is not None and value.__module__ == family.__name__:
            yield value, definition


def _parameters(definition: Operator) -> str:
    kinds = [each.replace(annotation=inspect.Parameter.empty) for each in definition.signature.parameters.values()]
    return str(inspect.Signature(kinds))


def _methods(definition: Operator) -> str:
    return ", ".join(f"`{SYMBOLS.get(name) or f'x.{name}'}`" for name in definition.methods)


def _first_sentence(family: ModuleType) -> str:
    return (family.__doc__ or "").strip().partition("\n")[0].partition(". ")[0].partition(":")[0].rstrip(".")


def _code(text: str) -> str:
    return text.replace("``", "`").replace(":func:", "")
