from relaxdsl.ir.layout import Lines, format_float, format_string, format_tuple, wrap


def test_short_lines_stay():
    assert wrap("f(a, b)", 7) == ["f(a, b)"]
    assert wrap("a_long_name_without_brackets", 7) == ["a_long_name_without_brackets"]
    assert wrap("a_long_name()", 7) == ["a_long_name()"]


def test_the_longest_bracket_is_opened_and_filled():
    assert wrap("x: T(1) = f(aaa, bbb, ccc)", 16) == ["x: T(1) = f(", "    aaa, bbb,", "    ccc", ")"]


def test_one_item_a_line():
    assert wrap("def f(a, b) -> T:", 10, one_item_a_line=True) == ["def f(", "    a,", "    b", ") -> T:"]


def test_brackets_and_commas_in_strings_do_not_count():
    line = 'f("a, (b", \'"c, d)\', "\\", e")'
    assert wrap(line, 16) == ["f(", '    "a, (b",', "    '\"c, d)',", '    "\\", e"', ")"]


def test_nested_brackets_are_wrapped_too_and_one_tuples_keep_their_comma():
    assert wrap("f((aaaaaaaa,), g(bbb, cccccc))", 14) == [
        "f(", "    (", "        aaaaaaaa,", "    ),", "    g(", "        bbb,", "        cccccc", "    )", ")",
    ]  # fmt: skip


def test_lines_are_indented_and_comments_stay_whole():
    lines = Lines()
    lines.add("if x:")
    lines.depth += 1
    lines.add("y", comment="why")
    lines.blank()
    assert str(lines) == "if x:\n    y  # why\n"


def test_literals():
    assert format_string('a"b\\c\nö') == '"a\\"b\\\\c\\nö"'
    assert [format_float(x) for x in (0.1, -0.0, float("nan"), float("-inf"))] == [
        "0.1", "-0.0", 'float("nan")', 'float("-inf")',
    ]  # fmt: skip
    assert [format_tuple(x) for x in ([], ["a"], ["a", "b"])] == ["()", "(a,)", "(a, b)"]
