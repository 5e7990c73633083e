import pytest

from relaxdsl.ir.names import UniqueNames, as_identifier


def test_names_count_up_from_the_wanted_one():
    names = UniqueNames()
    assert [names.fresh("lv") for _ in range(3)] == ["lv", "lv1", "lv2"]
    assert names.fresh("lv1") == "lv3"


def test_names_given_elsewhere_are_avoided():
    names = UniqueNames(["x", "x1"])
    names.reserve("x2")
    assert names.fresh("x") == "x3"
    assert "x3" in names
    assert "x4" not in names


@pytest.mark.parametrize(
    ("text", "name"), [("a.b", "a_b"), ("", "v"), ("2d", "v2d"), ("for", "for_"), ("größe", "größe"), ("a b", "a_b")]
)
def test_any_text_becomes_an_identifier(text, name):
    assert as_identifier(text) == name
    assert name.isidentifier()
