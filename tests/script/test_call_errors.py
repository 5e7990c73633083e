"""Calls whose arguments do not fit: the whole message of each."""

from pathlib import Path

import pytest
from cases import case_files, check_case, run_source

from relaxdsl.errors import RelaxError


@pytest.mark.parametrize("path", case_files("bad_calls"))
def test_whole_message(path: Path) -> None:
    def outcome(source: str) -> str:
        with pytest.raises(RelaxError) as caught:
            run_source(source)
        return f"{type(caught.value).__name__}: {caught.value}"

    check_case(path, outcome)
