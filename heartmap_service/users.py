"""A user of its own for each job, where the worker may give it one: as root, with the capabilities for it.

On ECS the worker is no root and has no capabilities. Then the jobs have its user, and hidden memory, Landlock and seccomp
alone keep them from it (docs/isolation.md).
"""

import contextlib
import os
import random
import socket
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heartmap_service import kernel
from heartmap_service.confinement import PACKAGE_ROOT

UIDS = range(61184, 65520)
"""Those that systemd sets aside for users without a name (https://systemd.io/UIDS-GIDS/); containers usually have them too."""

_NEEDED = (
    kernel.CAP_CHOWN,
    kernel.CAP_DAC_OVERRIDE,
    kernel.CAP_FOWNER,
    kernel.CAP_KILL,
    kernel.CAP_SETGID,
    kernel.CAP_SETUID,
)


@dataclass(frozen=True)
class User:
    """``uid`` is None where jobs have the worker's own user."""

    uid: int | None

    def searches(self, directory: Path) -> bool:
        """Whether the job has to be able to read what is not for its user: the interpreter lies in somebody's home, say."""
        if not kernel.effective_capabilities() >> kernel.CAP_DAC_READ_SEARCH & 1:
            return False
        needed = (Path(sys.prefix), Path(sys.base_prefix), Path(np.__file__), PACKAGE_ROOT / "heartmap_service", directory.parent)
        return not all(self._reaches(path) for path in needed)

    def threads(self) -> int:
        """That the user has already: the limit counts them all."""
        if self.uid is not None:
            return 0
        mine, total = os.getuid(), 0
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                said = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8", errors="replace").splitlines())
                if int(said["Uid"].split()[0]) == mine:
                    total += int(said["Threads"])
        return total

    def _reaches(self, path: Path) -> bool:
        path = path.resolve()
        return all(self._enters(folder) for folder in path.parents)

    def _enters(self, folder: Path) -> bool:
        status = folder.stat()
        owner = status.st_uid == (os.getuid() if self.uid is None else self.uid)
        return bool(status.st_mode & (stat.S_IXUSR if owner else stat.S_IXOTH))


@contextlib.contextmanager
def lent() -> Iterator[User]:
    """A user that no other job of this machine has as long as this one."""
    if not own_users():
        yield User(None)
        return
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as mark:
        uid = _mark(mark)
        yield User(uid)


def _mark(mark: socket.socket) -> int:
    # A name in the abstract namespace is taken by one, and free when its process ends, however it ends.
    for uid in random.sample(UIDS, len(UIDS)):
        with contextlib.suppress(OSError):
            mark.bind(f"\0heartmap-job-user-{uid}")
            return uid
    raise OSError("every user for jobs is taken")


def own_users() -> bool:
    """Whether this process can give jobs users of their own."""
    capabilities = kernel.effective_capabilities()
    return all(capabilities >> number & 1 for number in _NEEDED) and all(
        _mapped(Path(f"/proc/self/{name}")) for name in ("uid_map", "gid_map")
    )


def _mapped(table: Path) -> bool:
    """In a container of users of its own, not every number is one."""
    for line in table.read_text(encoding="ascii").splitlines():
        first, _, count = (int(field) for field in line.split())
        if first <= UIDS.start and first + count >= UIDS.stop:
            return True
    return False
