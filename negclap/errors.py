"""The exception that users see as a single line."""


class InputError(ValueError):
    """Something that the user gave is wrong: a file, a value, a configuration.

    The message is one line: what was got, what was expected, and where. The command line prints it
    without a stack trace.
    """


def reason(error: BaseException, line: int = 0) -> str:
    """Return one line of the message of a library's error, or its `repr` if it has no message.

    Args:
        error: Its message may be empty, or pages long.
        line: Index of the line; the last one if the message is shorter. The first line of torch's
            mismatches is a title.
    """
    lines = str(error).strip().splitlines()
    return lines[min(line, len(lines) - 1)].strip() if lines else repr(error)
