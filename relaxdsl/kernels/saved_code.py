"""The machine code of a program's kernels as bytes for a file, with what it was made for; and back.

Code is used only where all of that is the same here, and where its seal shows that this user has compiled it.

Importing this module imports llvmlite.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from relaxdsl.cache import container
from relaxdsl.cache.container import DamagedError
from relaxdsl.cache.seal import is_sealed, seal
from relaxdsl.dataclass import dataclass
from relaxdsl.kernels import disk
from relaxdsl.kernels.contraction.engine import content_of_core, cores_of
from relaxdsl.kernels.fingerprint import content_key, environment, fingerprint
from relaxdsl.kernels.jit import CompiledKernel
from relaxdsl.kernels.structural_key import structural_key

_MAGIC = b"relaxdsl code 1\n"
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class CodeUse:
    """What became of the machine code in a saved program.

    Args:
        differences: each thing that is not as the code needs it, with both values; none: the code is used.
    """

    differences: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.differences:
            return "used"
        return f"not used: {'; '.join(self.differences)}"


def pack_code(kernels: Iterable[CompiledKernel]) -> bytes | None:
    """The machine code of the kernels and of what runs them; None where it is not known what code depends on."""
    made_for = _made_for()
    if made_for is None:
        return None
    entries = {key: parts for content, parts in _entries(kernels) if (key := content_key(*content)) is not None}
    parts = {f"{key} {name}": data for key, entry in entries.items() for name, data in entry.items()}
    return container.pack(_MAGIC, {"made for": made_for}, parts)


def seal_of(code: bytes) -> str | None:
    """The seal of what :func:`pack_code` gave; None where there is no place for a key."""
    return seal(code)


def bring_code(code: bytes, found_seal: object, *, is_trusted: bool) -> CodeUse:
    """Has this process use the code, if it fits.

    Args:
        found_seal: what the file says is its seal.
        is_trusted: the user says that the code may run whoever has compiled it.
    """
    if not is_trusted and not is_sealed(code, found_seal):
        return CodeUse(("this user has not compiled it (trust_code=True uses it all the same)",))
    try:
        header, parts = container.unpack(_MAGIC, code)
    except DamagedError as error:
        return CodeUse((f"it {error}",))
    differences = tuple(_differences(header.get("made for"), _made_for()))
    if not differences:
        disk.bring(_by_key(parts))
    return CodeUse(differences)


def _entries(kernels: Iterable[CompiledKernel]) -> Iterator[tuple[Sequence[str], Mapping[str, bytes]]]:
    """What was compiled or found for the kernels, the engine's cores that they call, and the VM; with its content."""
    imports: set[str] = set()
    for kernel in kernels:
        content = ("kernel", structural_key(kernel.prim_func))
        parts = disk.used(*content)
        if parts is not None:
            imports.update(json.loads(parts["about"])["imports"])
            yield content, parts
    for core in cores_of(imports):
        parts = disk.used(*content_of_core(*core))
        if parts is not None:
            yield content_of_core(*core), parts
    yield from disk.used_of_kind("native").items()


def _made_for() -> dict[str, str] | None:
    """What code depends on besides the program, by what it is of."""
    fixed = fingerprint()
    return None if fixed is None else {**fixed, "the environment": " ".join(environment())}


def _differences(theirs: object, ours: Mapping[str, str] | None) -> Iterator[str]:
    if ours is None:
        yield "the source of relaxdsl has changed while this process runs"
    elif not isinstance(theirs, dict):
        yield "it does not say what it was made for"
    else:
        for name in dict.fromkeys([*ours, *theirs]):
            if theirs.get(name) != ours.get(name):
                yield _difference(name, str(theirs.get(name, "unknown")), ours.get(name, "unknown"))


def _difference(name: str, theirs: str, ours: str) -> str:
    """What differs; of long texts, the part in which they do."""
    words, own = theirs.split(), ours.split()
    if len(theirs) > _SHOWN_CHARACTERS or len(ours) > _SHOWN_CHARACTERS:
        theirs, ours = _shown(words, own), _shown(own, words)
    return f"{name} is {theirs or 'empty'} there and {ours or 'empty'} here"


def _shown(words: Sequence[str], others: Sequence[str]) -> str:
    """The first word that the others do not have."""
    first = next((word for word in words if word not in others), "less")
    return first if len(first) <= _SHOWN_CHARACTERS else first[:12] + "…"


def _by_key(parts: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    entries: dict[str, dict[str, bytes]] = {}
    for each, data in parts.items():
        key, _, name = each.partition(" ")
        entries.setdefault(key, {})[name] = data
    return entries
