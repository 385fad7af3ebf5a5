"""``lead_sync`` that kills itself before its Nth SQL statement: ``dying.py N ARGUMENT…``, N from 1."""

import os
import runpy
import signal
import sqlite3
import sys

# As `python -m` does: the package is in the current directory.
sys.path.insert(0, os.getcwd())
left = int(sys.argv.pop(1))
connect = sqlite3.connect


def count(_: str) -> None:
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def connect_counting(*args: object, **kwargs: object) -> sqlite3.Connection:
    db = connect(*args, **kwargs)
    db.set_trace_callback(count)
    return db


sqlite3.connect = connect_counting
runpy.run_module("lead_sync", run_name="__main__", alter_sys=True)
