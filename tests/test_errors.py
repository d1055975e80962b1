"""Errors of other libraries, in one line."""

import pytest

from negclap.errors import reason


@pytest.mark.parametrize(
    ("error", "line", "expected"),
    [
        (ValueError("a\nb"), 0, "a"),
        (ValueError("title:\n  the matter"), 1, "the matter"),
        (ValueError("alone"), 1, "alone"),
        (ValueError(), 0, "ValueError()"),
        (ValueError("\n"), 1, "ValueError('\\n')"),
    ],
)
def test_a_reason_is_always_one_line(error, line, expected):
    assert reason(error, line) == expected
