"""The one exception that users see as a single line."""


class InputError(ValueError):
    """Something a user gave is wrong: a file, a value, a configuration.

    The message is one line that names the thing, what was got and what was expected. The command
    line prints it without a stack trace; a worker process hands it on unchanged.
    """
