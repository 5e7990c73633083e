"""Programs that must parse: their typed script, that they are legal, and that the script parses back."""

from pathlib import Path

import pytest
from cases import case_files, check_case, last_program, run_source

import relaxdsl as relax
from relaxdsl.ir.check import check_module
from relaxdsl.ir.equal import structural_equal
from relaxdsl.ir.print_graph import script, script_with_constants
from relaxdsl.script.parse_text import parse_source


@pytest.mark.parametrize("path", case_files("good"))
def test_typed_script(path: Path) -> None:
    def outcome(source: str) -> str:
        parsed = last_program(run_source(source))
        check_module(parsed.module)
        text = script(parsed.module if len(parsed.module.functions) > 1 else parsed.function)
        checks = [f"# undecided: {message} at {span}" for _, _, message, span in parsed.undecided]
        return "\n".join([text, *checks])

    check_case(path, outcome)


@pytest.mark.parametrize("path", case_files("good"))
def test_script_parses_back(path: Path) -> None:
    parsed = last_program(run_source(path.read_text().partition("\n====")[0]))
    program = parsed.module if len(parsed.module.functions) > 1 else parsed.function
    text, constants = script_with_constants(program)
    again = parse_source(text, {"relax": relax}, constants, module=parsed.module)
    assert structural_equal(again.function, parsed.function), script(again.function)
    check_module(again.module)
