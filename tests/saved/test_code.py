"""Machine code in saved programs: used where it fits and where its seal says whose it is, else compiled again."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from saving import W, X, forget, fresh, saved_in, scores
from test_saving import Steps, halves

import relaxdsl as relax
from relaxdsl.cache import container, seal
from relaxdsl.kernels import fingerprint, saved_code
from relaxdsl.passes.explanation import Explanation
from relaxdsl.saved.file import SavedFile, to_bytes

__all__ = ["fresh"]


@pytest.fixture
def path(fresh: Path) -> Path:
    """A file with machine code, for a process that has none."""
    copy = scores.__copy__()
    copy.save(fresh / "scores.rlx")
    forget()
    return fresh / "scores.rlx"


def explained(path: Path, **options: Any) -> Explanation:
    """What the loaded function says after a call, whose result is right."""
    loaded = relax.load(path, **options)
    np.testing.assert_allclose(loaded(X, W), scores(X, W), rtol=1e-6)
    found: Explanation = loaded.explain()
    return found


def rewrite(path: Path, code: bytes, found_seal: str | None) -> None:
    file = saved_in(path)
    path.write_bytes(to_bytes(SavedFile(file.program, code, found_seal)))


def packed_for(code: bytes, **changed: str) -> bytes:
    """The code, with something else than here that it was made for."""
    header, parts = container.unpack(saved_code._MAGIC, code)
    made_for = header["made for"] | {name.replace("_", " "): value for name, value in changed.items()}
    return container.pack(saved_code._MAGIC, {"made for": made_for}, parts)


def test_nothing_is_compiled_where_the_code_fits(path: Path) -> None:
    found = explained(path)
    assert (found.kernels_compiled, found.kernels_loaded) == (0, 1)
    assert found.code_in_file == "scores.rlx: used"
    assert "kernels compiled for this function: 0\n   loaded from its file or the cache: 1\n" in str(found)
    assert "machine code in scores.rlx: used" in str(found)


SAVES = """
import numpy as np
import relaxdsl as relax

n, k = relax.dims("n k")

@relax.function
def scores(x: relax.Tensor[(n, 3), "float32"], w: relax.Tensor[(3, k), "float32"]):
    return relax.nn.softmax(x @ w, axis=1)

scores.save("scores.rlx")
"""

LOADS = """
import sys
import numpy as np
import relaxdsl as relax
from relaxdsl.runtime import native

native._compile = None
scores = relax.load("scores.rlx")
scores(np.ones((2, 3), "float32"), np.ones((3, 4), "float32"))
print(scores.explain().kernels_compiled, scores.explain().code_in_file)
print([name for name in ("numba", "relaxdsl.kernels.contraction.core") if name in sys.modules])
"""


def test_another_process_needs_nothing_but_the_file(tmp_path: Path) -> None:
    """Neither a cache nor numba: the kernel, the engine's core and the VM are in there."""
    assert run(SAVES, tmp_path) == ""
    assert run(LOADS, tmp_path) == "0 scores.rlx: used\n[]\n"


def run(program: str, folder: Path) -> str:
    """What the program prints, in a process of its own that has no cache."""
    (folder / "program.py").write_text(program)
    environment = os.environ | {"RELAXDSL_CACHE": "0", "XDG_CACHE_HOME": str(folder / "caches")}
    done = subprocess.run(
        [sys.executable, "program.py"], capture_output=True, text=True, env=environment, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"NumPy": "1.0"}, f"NumPy is 1.0 there and {np.__version__} here"),
        ({"the_processor": "a64fx +sve"}, "the processor is a64fx there and"),
        ({"the_environment": "NUMBA_OPT=0"}, "the environment is NUMBA_OPT=0 there and empty here"),
        ({"the_source_of_relaxdsl": "0" * 64}, "the source of relaxdsl is 000000000000… there and"),
        ({"more": "x"}, "more is x there and unknown here"),
    ],
)
def test_code_for_something_else(path: Path, changed: dict[str, str], difference: str) -> None:
    code = packed_for(saved_in(path).code or b"", **changed)
    rewrite(path, code, seal.seal(code))
    found = explained(path)
    assert (found.kernels_compiled, found.kernels_loaded) == (1, 0)
    assert found.code_in_file.startswith(f"scores.rlx: not used: {difference}")
    assert "; " not in found.code_in_file


def test_two_differences(path: Path) -> None:
    code = packed_for(saved_in(path).code or b"", NumPy="1.0", numba="x")
    rewrite(path, code, seal.seal(code))
    assert explained(path).code_in_file.count(" there and ") == 2


NOT_OURS = "scores.rlx: not used: this user has not compiled it (trust_code=True uses it all the same)"


@pytest.mark.parametrize("found_seal", [None, "", "0" * 64, "ü"])
def test_code_that_somebody_has_changed(path: Path, found_seal: str | None) -> None:
    """Machine code runs as it is, so it is not even looked at."""
    rewrite(path, saved_in(path).code or b"", found_seal)
    found = explained(path)
    assert (found.kernels_compiled, found.code_in_file) == (1, NOT_OURS)


def test_the_code_of_another_user(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(path.parent / "another"))
    found = explained(path)
    assert (found.kernels_compiled, found.code_in_file) == (1, NOT_OURS)
    forget()
    found = explained(path, trust_code=True)
    assert (found.kernels_compiled, found.code_in_file) == (0, "scores.rlx: used")


def test_trusted_code_still_has_to_fit(path: Path) -> None:
    file = saved_in(path)
    rewrite(path, packed_for(file.code or b"", numba="x"), None)
    assert explained(path, trust_code=True).kernels_compiled == 1
    forget()
    rewrite(path, b"no code", None)
    assert explained(path, trust_code=True).code_in_file == "scores.rlx: not used: it is of another format"
    forget()
    rewrite(path, container.pack(saved_code._MAGIC, {"made for": 3}, {}), None)
    not_said = "scores.rlx: not used: it does not say what it was made for"
    assert explained(path, trust_code=True).code_in_file == not_said


def test_a_file_without_code(fresh: Path) -> None:
    scores.__copy__().save(fresh / "scores.rlx", code=False)
    assert saved_in(fresh / "scores.rlx").code is None
    assert explained(fresh / "scores.rlx").code_in_file == "scores.rlx: there is none"


def test_source_that_changed_while_the_process_ran(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "LOADED_AT_S", 0.0)
    changed = "scores.rlx: not used: the source of relaxdsl has changed while this process runs"
    assert explained(path).code_in_file == changed
    scores.__copy__().save(path)
    assert saved_in(path).code is None


def test_what_was_loaded_can_be_saved(path: Path) -> None:
    """With the code that came from the first file."""
    relax.load(path).save(path.parent / "again.rlx")
    forget()
    assert explained(path.parent / "again.rlx").kernels_compiled == 0


def test_kernels_and_modules(fresh: Path) -> None:
    Steps.__copy__().save(fresh / "steps.rlx")
    halves.__copy__().save(fresh / "halves.rlx")
    forget()
    steps = relax.load(fresh / "steps.rlx")
    assert [function.explain().kernels_compiled for function in steps.values()] == [0, 0]
    kernel = relax.load(fresh / "halves.rlx")
    np.testing.assert_array_equal(kernel(X[0]), X[0] / 2)
    assert [each.numba_seconds for each in kernel._runnable().compiled_kernels()] == [0.0]


# --------------------------------------------------------------------------------------------------------------- seals


def test_the_key_is_a_secret_of_the_user(fresh: Path) -> None:
    assert not seal.is_sealed(b"code", "")
    found = seal.seal(b"code")
    (key,) = (fresh / "caches" / "relaxdsl").iterdir()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert seal.is_sealed(b"code", found)
    assert seal.seal(b"code") == found
    assert not seal.is_sealed(b"edoc", found)
    os.chmod(key, 0o644)  # now others may know it
    assert not seal.is_sealed(b"code", found)


def test_a_folder_without_links(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: object, target: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert seal.is_sealed(b"code", seal.seal(b"code"))
    assert len(list((fresh / "caches" / "relaxdsl").iterdir())) == 1


def test_no_place_for_a_key(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "lasting_places", lambda: ())
    assert seal.seal(b"code") is None
    scores.__copy__().save(fresh / "scores.rlx")
    forget()
    assert explained(fresh / "scores.rlx").code_in_file == NOT_OURS
