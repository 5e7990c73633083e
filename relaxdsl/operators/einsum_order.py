"""In which order the operands of an ``einsum`` are multiplied, two at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from relaxdsl.dataclass import dataclass
from relaxdsl.types.dims import Dim, evaluate, free_symbols

#: What a symbolic size counts as: the order is chosen once, for all sizes.
TYPICAL_SIZE = 256


@dataclass(frozen=True, slots=True)
class Subscripts:
    """The index of each axis, a letter, of the operands and of the result."""

    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, slots=True)
class Step:
    """Two of the operands, by their positions, are replaced by their product, which becomes the last operand."""

    positions: tuple[int, int]
    subscripts: str


def pairwise_order(subscripts: Subscripts, sizes: Mapping[str, Dim]) -> Iterator[Step]:
    """The products of two operands that make the product of all of them.

    Greedy: of the pairs that share an index, the one that is least work comes first; then the one whose product is
    smallest, compared with its operands.

    Example:
        >>> [step.subscripts for step in pairwise_order(Subscripts(("ij", "jk", "k"), "i"), dict.fromkeys("ijk", 9))]
        ['jk,k->j', 'ij,j->i']
    """
    typical = {label: _typical(size) for label, size in sizes.items()}
    terms = list(subscripts.inputs)
    while len(terms) > 1:
        first, second = min(
            combinations(range(len(terms)), 2), key=lambda pair: _cost(pair, terms, subscripts, typical)
        )
        product = _product(first, second, terms, subscripts.output)
        yield Step((first, second), f"{terms[first]},{terms[second]}->{product}")
        terms = [term for position, term in enumerate(terms) if position not in (first, second)] + [product]


def _typical(size: Dim) -> int:
    return evaluate(size, dict.fromkeys(free_symbols(size), TYPICAL_SIZE))


def _product(first: int, second: int, terms: Sequence[str], output: str) -> str:
    """The indices of a pair's product: the result's if it is the last, else what both have, then the first's rows, then
    the second's columns.
    """
    if len(terms) == 2:
        return output
    needed = set(output).union(*(term for position, term in enumerate(terms) if position not in (first, second)))
    left, right = terms[first], terms[second]
    batch = [label for label in left if label in right]
    order = dict.fromkeys((*batch, *left, *right))
    return "".join(label for label in order if label in needed)


def _cost(
    pair: tuple[int, int], terms: Sequence[str], subscripts: Subscripts, sizes: Mapping[str, int]
) -> tuple[bool, int, int]:
    left, right = (terms[position] for position in pair)
    product = _product(*pair, terms, subscripts.output)
    growth = _size(product, sizes) - _size(left, sizes) - _size(right, sizes)
    return not set(left) & set(right), _size(left + right, sizes), growth


def _size(labels: str, sizes: Mapping[str, int]) -> int:
    return math.prod(sizes[label] for label in set(labels))
