"""Every stage of a compiled function as text: graph after each pass, loops, generated source, the VM's table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from relaxdsl.errors import RelaxError, nearest
from relaxdsl.ir.print_graph import script
from relaxdsl.passes.pipeline import Compiled
from relaxdsl.runtime.listing import format_program


class UnknownStageError(RelaxError, KeyError):
    """There is no stage of this name."""

    def __init__(self, stage: object, known: Sequence[str]) -> None:
        close = nearest(stage, known) if isinstance(stage, str) else None
        super().__init__(
            f"there is no stage {stage!r}",
            details=[f"the stages are {', '.join(known)}"],
            hint=None if close is None else f"did you mean {close!r}?",
        )


class Stages(Mapping[str, str]):
    """Texts by stage, in order: ``typed``, one a pass, ``loops``, ``source``, ``vm``. Prints all of them."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = dict(texts)

    def __getitem__(self, stage: str) -> str:
        if stage not in self._texts:
            raise UnknownStageError(stage, tuple(self))
        return self._texts[stage]

    def __contains__(self, stage: object) -> bool:
        return stage in self._texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __str__(self) -> str:
        return "\n\n".join(
            f"# ---- {name} " + "-" * (90 - len(name)) + f"\n{text.rstrip()}" for name, text in self.items()
        )

    def __repr__(self) -> str:
        return f"<stages {', '.join(self)}>"


def stages_of_kernel(typed: str, call: Mapping[str, str]) -> Stages:
    """The stages of a kernel; ``typed`` is its script, ``call`` are those of the program that calls it."""
    return Stages({"typed": typed, **{name: call[name] for name in ("loops", "source", "vm")}})


def stages_of(typed: str, compiled: Compiled) -> Stages:
    """The stages of a compiled function; ``typed`` is its script."""
    texts = {"typed": typed}
    texts |= {stage.name: script(stage.module) for stage in compiled.stages}
    texts["loops"] = "\n\n".join(script(kernel.scheduled) for kernel in compiled.kernels)
    texts["source"] = "\n\n".join(kernel.source.strip("\n") for kernel in compiled.kernels)
    texts["vm"] = format_program(compiled.program)
    return Stages(texts)
