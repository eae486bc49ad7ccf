"""Lines of a TOML file by the path of what stands there."""

import pytest

from genomed.daemon.configuration.toml_lines import lines_of

TEXT = '''a = 1
"b c".d = 2   # e = 3
# f = 4

[g]
h = """
i = 5
"""
j = [
  1,
]
[ k . "l.m" ]
n = { o = 6 }
[[p]]
q = 7
[[p]]
q = 8
'''


def test_each_value_and_table_has_the_line_that_names_it_first() -> None:
    assert lines_of(TEXT) == {
        "a": 1,
        "b c.d": 2,
        "g": 5,
        "g.h": 6,
        "g.j": 9,
        "k.l.m": 12,
        "k.l.m.n": 13,
        "p": 14,
        "p.q": 15,
    }


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing"])
def test_an_empty_file_has_none(text: str) -> None:
    assert lines_of(text) == {}
