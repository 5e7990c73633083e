"""What is known of how small sizes are, before and after checks: what cannot fail is not checked."""

from __future__ import annotations

from collections.abc import Iterable

from relaxdsl.types.atoms import Symbol
from relaxdsl.types.dims import Dim, linear_in, substitute, symbols_of
from relaxdsl.types.prove import Proof, prove_less_equal
from relaxdsl.types.symint import from_atom


class Limits:
    """Lower limits of sizes: proved ones, and those that checks establish.

    Args:
        found: sizes of arguments, which are not negative, whatever their symbols are.
    """

    def __init__(self, found: Iterable[Dim]) -> None:
        self._found = frozenset(found)
        self._symbols: dict[str, Dim] = {}
        """Symbols as they are where all checks have passed: with the lower bounds that these establish."""

    def hold(self, dim: Dim, least: int) -> bool:
        """Whether it is certain that ``dim >= least``."""
        if least <= 0 and dim in self._found:
            return True
        return prove_less_equal(least, substitute(dim, self._symbols)) is Proof.YES

    def add(self, dim: Dim, least: int) -> None:
        """From here on ``dim >= least`` is certain. Only ``symbol + number`` tells of other sizes."""
        names = {each.name: each for each in symbols_of(substitute(dim, self._symbols))}
        if len(names) != 1:
            return
        ((name, symbol),) = names.items()
        slope, offset = linear_in(dim, name) or (0, 0)
        if slope == 1 and isinstance(offset, int) and (symbol.upper is None or least - offset <= symbol.upper):
            self._symbols[name] = from_atom(Symbol(name, max(symbol.lower, least - offset), symbol.upper))
