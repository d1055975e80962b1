import pytest

from negclap.cli import main


@pytest.fixture
def complaint(capfd):
    """A function that runs `negclap` and returns the exit status and the last line on stderr."""

    def run(arguments):
        capfd.readouterr()
        status = main(arguments)
        error = capfd.readouterr().err
        assert "Traceback" not in error
        return status, error.strip().splitlines()[-1]

    return run
