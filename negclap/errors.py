"""The one exception that users see as a single line."""


class InputError(ValueError):
    """Something a user gave is wrong: a file, a value, a configuration.

    The message is one line that names the thing, what was got and what was expected. The command
    line prints it without a stack trace; a worker process hands it on unchanged.
    """


def reason(error: BaseException, line: int = 0) -> str:
    """One line of what an error says, the last one if it has no such line; its kind if it is mute.

    Args:
        error: Of a library, whose messages may be pages long or empty.
        line: Which line; torch's mismatches have the first one as a title.
    """
    lines = str(error).strip().splitlines()
    return lines[min(line, len(lines) - 1)].strip() if lines else repr(error)
