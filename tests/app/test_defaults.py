"""The page answers this machine alone, unless it is told otherwise."""

from negclap.cli import _parser


def test_the_page_is_bound_to_loopback():
    options = _parser().parse_args(["app", "music.index"])
    assert options.host == "127.0.0.1"
