"""Whose process is at the other end of a connection. Linux tells it; another user of this machine is refused.

https://www.kernel.org/doc/Documentation/networking/proc_net_tcp.txt
"""

import ipaddress
import os
import sys
from pathlib import Path

ESTABLISHED, LISTENING = "01", "0A"
LOCAL, REMOTE, STATE, UID, INODE = 1, 2, 3, 7, 9
"""Columns of the tables."""

Address = tuple[str, int]


class Peers:
    """Admits connections of this process's own user."""

    def __init__(self, tables: Path = Path("/proc/net")) -> None:
        self._files = [tables / "tcp", tables / "tcp6"]
        self._uid = os.geteuid() if hasattr(os, "geteuid") else -1

    def tells(self, listener: Address) -> bool:
        """Whether the tables are to be relied on here: they show this process's own socket as its user's."""
        return self._owner(listener, None, LISTENING) == self._uid

    def admits(self, client: Address, server: Address) -> bool:
        """Whether this user holds the client's end of the connection, now.

        An end that its process has closed already belongs to nobody: the kernel shows it as root's.
        """
        return self._owner(client, server, ESTABLISHED) == self._uid

    def _owner(self, local: Address, remote: Address | None, state: str) -> int | None:
        ends = [(_hexadecimal(local, v6), remote and _hexadecimal(remote, v6)) for v6 in (False, True)]
        for file, (here, there) in zip(self._files, ends, strict=True):
            try:
                rows = file.read_text("ascii").splitlines()[1:]
            except (OSError, UnicodeDecodeError):
                continue
            for row in rows:
                cells = row.split()
                found = cells[LOCAL] == here and cells[STATE] == state and cells[INODE] != "0"
                if found and there in (None, cells[REMOTE]):
                    return int(cells[UID])
        return None


def _hexadecimal(address: Address, v6: bool) -> str:
    """An address as the kernel prints it: 32-bit words in the order of this machine."""
    host = ipaddress.ip_address(address[0])
    if v6 and isinstance(host, ipaddress.IPv4Address):
        # A socket for both families sees the other one's addresses in this form.
        host = ipaddress.IPv6Address(f"::ffff:{host}")
    elif not v6 and isinstance(host, ipaddress.IPv6Address):
        return ""
    packed = host.packed
    words = (packed[start : start + 4] for start in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{address[1]:04X}"
