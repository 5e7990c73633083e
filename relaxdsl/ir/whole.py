"""What stands for a whole tensor where elements are computed: Python's operators do not take it."""

from __future__ import annotations

from typing import NoReturn

from relaxdsl.errors import RelaxError


class Whole:
    """A tensor or buffer whose elements, not itself, are operands: every operator raises :meth:`no_operand`."""

    __slots__ = ()

    def no_operand(self) -> RelaxError:
        """The error that says what to write instead."""
        raise NotImplementedError

    def refuse(self, *_: object) -> NoReturn:
        """What an operator does."""
        raise self.no_operand()

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __matmul__ = __rmatmul__ = refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = refuse
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __lshift__ = __rshift__ = refuse
    __neg__ = __pos__ = __invert__ = __abs__ = __lt__ = __le__ = __gt__ = __ge__ = refuse
