"""Run ``negclap`` as a process that a test can stop at a chosen point.

    python writer.py OPTIONS ARGUMENT...

OPTIONS is a JSON object. With ``gate`` ("before" or "within"), the process stops before its second
transaction, or within it, when its rows are written but not committed: it writes a byte to the
file descriptor ``arrived`` and waits for one, or for the end of the file, at ``opened``. With
``limit``, it cannot write files of more bytes, as on a full disk.
"""

import json
import os
import resource
import signal
import sys
from contextlib import contextmanager

from negclap.cli import main
from negclap.search.store import Store

options = json.loads(sys.argv[1])
transaction = Store._transaction
transactions = 0


@contextmanager
def gated(store):
    global transactions
    transactions += 1
    stop_at(options.get("gate") == "before")
    with transaction(store) as database:
        yield database
        stop_at(options.get("gate") == "within")


def stop_at(is_gate):
    if is_gate and transactions == 2:
        os.write(options["arrived"], b"x")
        os.read(options["opened"], 1)


Store._transaction = gated
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background ignores it
if "limit" in options:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (options["limit"], options["limit"]))
sys.exit(main(sys.argv[2:]))
