"""Every stage of a compiled function as text: graph after each pass, loops, generated source, the VM's table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from relaxdsl.errors import RelaxError, nearest
from relaxdsl.ir.print_graph import script
from relaxdsl.passes.pipeline import Compiled
from relaxdsl.runtime.listing import format_program
from relaxdsl.tracebacks import short_tracebacks
from relaxdsl.types.counts import counted


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
    """Texts by stage, in order: ``typed``, one a pass, ``loops``, ``source``, ``vm``. Prints each that is new.

    Args:
        to_html: highlights a text.
    """

    def __init__(self, texts: Mapping[str, str], to_html: Callable[[str], str]) -> None:
        self._texts = dict(texts)
        self._to_html = to_html

    @short_tracebacks
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
        return "\n\n".join("\n".join(self._printed(*each)) for each in self._new_texts())

    def __repr__(self) -> str:
        return f"<stages {', '.join(self)}>"

    def _repr_html_(self) -> str:
        return "".join(self._folded(*each) for each in self._new_texts())

    def _new_texts(self) -> Iterator[tuple[str, str | None]]:
        """Each stage and its text, or None where that is the text of the stage before."""
        before = None
        for name, text in self.items():
            yield name, None if text == before else text
            before = text

    def _printed(self, name: str, text: str | None) -> Iterator[str]:
        if text is None:
            yield f"# ---- {name}: changed nothing"
        else:
            yield f"# ---- {name} " + "-" * (90 - len(name))
            yield text.rstrip()

    def _folded(self, name: str, text: str | None) -> str:
        """The text behind its name, which a click opens."""
        if text is None:
            return f'<div style="margin-left: 1em">{name}: changed nothing</div>'
        lines = counted(len(text.splitlines()), "line")
        return f"<details><summary>{name} ({lines})</summary>{self._to_html(text.rstrip())}</details>"


def stages_of_kernel(typed: str, call: Mapping[str, str], to_html: Callable[[str], str]) -> Stages:
    """The stages of a kernel; ``typed`` is its script, ``call`` are those of the program that calls it."""
    return Stages({"typed": typed, **{name: call[name] for name in ("loops", "source", "vm")}}, to_html)


def stages_of(typed: str, compiled: Compiled, to_html: Callable[[str], str]) -> Stages:
    """The stages of a compiled function; ``typed`` is its script."""
    texts = {"typed": typed}
    texts |= {stage.name: script(stage.module) for stage in compiled.stages}
    texts["loops"] = "\n\n".join(script(kernel.scheduled) for kernel in compiled.kernels)
    texts["source"] = "\n\n".join(kernel.source.strip("\n") for kernel in compiled.kernels)
    texts["vm"] = format_program(compiled.program)
    return Stages(texts, to_html)
