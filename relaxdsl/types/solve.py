"""Solving a size for one symbol: from ``2*n + 1 == size`` to ``n == (size - 1) // 2`` and the conditions for it."""

from __future__ import annotations

from relaxdsl.dataclass import dataclass
from relaxdsl.types.atoms import Symbol
from relaxdsl.types.dims import Dim, linear_in, substitute, symbols_of
from relaxdsl.types.symint import exact_divide, floordiv, modulo


@dataclass(frozen=True, slots=True)
class Solution:
    """``symbol == value``, provided that ``divisor != 0``, ``remainder == 0`` and ``value >= lower``.

    ``value`` is ``(size - offset) // divisor`` and ``remainder`` is ``(size - offset) % divisor``.
    """

    symbol: Symbol
    divisor: Dim
    offset: Dim
    value: Dim
    remainder: Dim

    @property
    def lower(self) -> int:
        """The least value the symbol may have."""
        return self.symbol.lower


def solve_for(dim: Dim, name: str, value: Dim) -> Solution | None:
    """The solution of ``dim == value`` for the symbol ``name``; None where the dim is not linear in it.

    Example:
        >>> from relaxdsl.types.dims import dims
        >>> m, n = dims("m n")
        >>> solve_for(2 * n + 1, "n", m).value
        (m + 1) // 2 - 1
    """
    found = next((each for each in symbols_of(dim) if each.name == name), None)
    split = linear_in(dim, name)
    if found is None or split is None:
        return None
    divisor, offset = split
    above = value - offset
    return Solution(found, divisor, offset, floordiv(above, divisor), modulo(above, divisor))


def solved_dim(solution: Solution, size: Dim, known: dict[str, Dim]) -> tuple[Dim, Dim]:
    """``(value, remainder)`` of a solution for another size and with other symbols replaced.

    Where the division is exact as polynomials, the quotient solves it even for a divisor that may be 0.
    """
    divisor, offset = substitute(solution.divisor, known), substitute(solution.offset, known)
    exact = exact_divide(size - offset, divisor)
    if exact is not None:
        return exact, 0
    return floordiv(size - offset, divisor), modulo(size - offset, divisor)
