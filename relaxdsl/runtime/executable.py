"""Executables: a program made callable on NumPy arrays."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from relaxdsl.locks import COMPILING
from relaxdsl.runtime.activation import Activation
from relaxdsl.runtime.arguments import ArgumentReader, Params
from relaxdsl.runtime.encoding import Table, encode, written_slots
from relaxdsl.runtime.frame import ASKED, NEXT, OUT, Frame, address_of, frame_at
from relaxdsl.runtime.held import Held, held_by
from relaxdsl.runtime.listing import format_program
from relaxdsl.runtime.outputs import OutputChecker
from relaxdsl.runtime.program import Program
from relaxdsl.runtime.signature import IDLE, Signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaxdsl.runtime.assist import Assistant


class Executable:
    """A function that runs a program: NumPy arrays in, NumPy arrays out.

    Construction costs nothing; the first call, or :meth:`prepare`, compiles the kernels and, once a process, the
    VM and the entry. Calls may come from several threads, and from within one another.

    Args:
        program: what to run.
        params: the parameters' names and types, for keyword arguments and messages.
    """

    def __init__(self, program: Program, params: Params) -> None:
        self.program = program
        self.params = tuple(params)
        self._frames: list[Frame] = []
        self.entry: Callable[..., Any] = self._call_first
        """What a call calls; using it saves Python's call of :meth:`__call__`. It changes at the first call."""

    def __call__(self, /, *args: Any, **keywords: Any) -> Any:
        """The program's outputs.

        Args:
            args: one a parameter; an array is never written. keywords: parameters by name, and ``out``: an
            array, or a tuple as the outputs, that the result is written into.

        Raises:
            ArgumentError: if an argument does not fit.
        """
        return self.entry(*args, **keywords)

    def __repr__(self) -> str:
        return f"<Executable {self._reader.signature()}>"

    def __str__(self) -> str:
        return format_program(self.program)

    def in_order(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> list[Any]:
        """A call's arguments by position. Raises ArgumentError if there are too many or too few."""
        return self._reader.ordered(args, keywords)

    def prepare(self) -> None:
        """Compiles everything that a call needs."""
        from relaxdsl.runtime.machine import make_entry  # imports llvmlite and compiles

        with COMPILING:
            if self.entry == self._call_first:
                self.entry = make_entry((self._state, self._call_slowly))

    @property
    def machine_seconds(self) -> float:
        """What compiling the VM and the entry cost this process, once."""
        from relaxdsl.runtime.machine import compile_seconds  # imports llvmlite and compiles

        return compile_seconds

    # ------------------------------------------------------------------------------------------------- what calls need

    @cached_property
    def _held(self) -> Held:
        return held_by(self.program)

    @cached_property
    def _table(self) -> Table:
        return encode(self.program, self._held)

    @cached_property
    def _signature(self) -> Signature:
        return Signature(self.program, self._held, self._late_pointers)

    @cached_property
    def _state(self) -> np.ndarray:
        return self._signature.encode(self._table, self._names, self._assistant)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(sys.intern(name) for name, _ in self.params)

    @cached_property
    def _assistant(self) -> Assistant:
        from relaxdsl.runtime.assist import Assistant  # imports llvmlite

        outputs = OutputChecker(self.program, self._late_pointers)
        return Assistant(self.program, self._table, outputs, self._make_frame)

    @cached_property
    def _reader(self) -> ArgumentReader:
        program = self.program
        return ArgumentReader(program.name, self.params, program.arguments, program.declaration)

    @cached_property
    def _late_pointers(self) -> frozenset[int]:
        """Slots that the body fills with the addresses of new arrays: outputs in them do not exist before."""
        return frozenset(slot for step in self.program.body for slot in written_slots(step))

    def _make_frame(self) -> int:
        """The address of a new frame, which compiled code uses, and keeps in a list when it is idle."""
        layout = self._signature.layout(self._table)
        frame = Frame(self.program, self._table, self._held, layout, address_of(self._state))
        self._frames.append(frame)
        return frame.address

    def idle_frames(self) -> list[Frame]:
        """The frames that no call uses."""
        found, address = [], int(self._state[IDLE])
        while address:
            found.append(frame_at(address))
            address = int(found[-1].memory[NEXT])
        return found

    # ----------------------------------------------------------------------------------------------------------- calls

    def link(self) -> int:
        """Sees to it that other programs can call this one; returns the address of its state."""
        self.prepare()
        return address_of(self._state)

    def _call_first(self, /, *args: Any, **keywords: Any) -> Any:
        self.prepare()
        return self.entry(*args, **keywords)

    def _call_slowly(self, /, *args: Any, **keywords: Any) -> Any:
        """A call whose arguments have to be converted, or explained."""
        from relaxdsl.runtime.machine import proceed  # imports llvmlite and compiles

        out = keywords.pop("out", None) if "out" not in self._reader.names else None
        conversions = self._reader.read(args, keywords)

        def store_arguments(address: int) -> None:
            frame = frame_at(address)
            Activation(frame).store_arguments(conversions)
            frame.memory[OUT] = 0 if out is None else ASKED
            frame.given = None if out is None else (out, list(self._reader.arrays(args, keywords)))

        result = proceed(address_of(self._state), store_arguments)
        return result if out is None else out
