"""The page listens on this machine only, unless ``--host`` says otherwise."""

from negclap.commands.app import parser


def test_the_page_listens_on_loopback_by_default():
    options = parser().parse_args(["music.index"])
    assert options.host == "127.0.0.1"
