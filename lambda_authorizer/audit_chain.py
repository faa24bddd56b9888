"""The chain of a process's audit records: each names the record before it by its hash, so that none can be removed, changed,
moved or slipped in without the rest saying so.

A record is one line. At its end stand ``writer`` (random, of this process), ``sequence`` (from 1 on), ``previous`` (the hash of
this writer's record before, GENESIS in front of the first) and ``hash``: SHA-256, in hex, of the line's bytes before
``,"hash":"``. A reader checks a line as it is written, without a canonical form of JSON. Standard library only.

What is at the end of a chain can be cut off unseen, and whoever can write the log can make a chain anew: against that the chains'
heads are sealed by a key that no writer has.
"""

import os
import re
import sys
from hashlib import sha256
from threading import Lock
from typing import NamedTuple

GENESIS = 64 * "0"

# Compiled when a reader reads: that takes as long as importing a small module, and a writer does not need it.
_END = r'\{.*,"writer":"([0-9a-f]{32})","sequence":([1-9][0-9]{0,15}),"previous":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}'


class Link(NamedTuple):
    """What a record says of its place in a chain. It is as it was written if ``computed``, its hash found anew, is ``hash``."""

    writer: str
    sequence: int
    previous: str
    hash: str
    computed: str


class Chain:
    """The records of one writer. Threads may share it."""

    __slots__ = ("_lock", "_next", "_previous", "_writer")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Be a new writer, whose first record is the next: what a process that was forked off has to be."""
        self._lock = Lock()
        self._writer = f',"writer":"{os.urandom(16).hex()}","sequence":'
        self._next, self._previous = 1, GENESIS

    def close(self, open_line: str) -> str:
        """The record of ``open_line``: the ASCII text of a JSON object with at least one member, without its closing brace."""
        with self._lock:
            return self._close(open_line, "")

    def write(self, open_line: str) -> None:
        """Close it, and write it to standard output, where the records then are in their order.

        Raises OSError when it cannot be written: what is not recorded must not be given. Its place in the chain is lost then, and
        the next record shows that.
        """
        with self._lock:
            out = sys.stdout
            # One write: a second process on the same pipe cannot come between.
            out.write(self._close(open_line, "\n"))
            out.flush()

    def _close(self, open_line: str, end: str) -> str:
        number = self._next
        hashed = f'{open_line}{self._writer}{number},"previous":"{self._previous}"'
        self._previous = own = sha256(hashed.encode("ascii")).hexdigest()
        self._next = number + 1
        return f'{hashed},"hash":"{own}"}}{end}'


def parse(line: str) -> Link | None:
    """The place in a chain that a line names, with or without its newline. None for a line that is no chained record."""
    found = re.fullmatch(_END, line.removesuffix("\n"))
    if found is None or not line.isascii():
        return None
    writer, sequence, previous, said = found.groups()
    return Link(writer, int(sequence), previous, said, digest(line))


def digest(line: str) -> str:
    """The hash that a record must have. Raises ValueError for a line without one."""
    return sha256(line[: line.rindex(',"hash":"')].encode("utf-8")).hexdigest()


PROCESS = Chain()
"""The chain of all records of this process."""
os.register_at_fork(after_in_child=PROCESS.begin)
