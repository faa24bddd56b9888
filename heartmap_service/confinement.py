"""What a job becomes before it sees its task: a user of its own, few files, no network, no way back. docs/isolation.md has the
whole list, with what each part is good for.

Runs in the job's process, between its fork and the first byte of a data set. Every step is for good, and a step that fails
ends the job.
"""

import os
import resource
import signal
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from heartmap_service import kernel, landlock, seccomp

PACKAGE_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("heartmap_service", "lambda_authorizer")

# What the C library and Python look at. The rest of /etc, where secrets are kept, is not in it.
_SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/fonts",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
    # joblib asks how many processors the container has, and takes a file that is there but closed for an error.
    "/sys/fs/cgroup",
    "/dev/zero",
    "/dev/urandom",
)
_MOST_LIKELY_TO_BE_KILLED = "1000"


@dataclass(frozen=True, kw_only=True)
class Confinement:
    """As it goes from the worker to the preloaded parent, as JSON.

    ``root`` is the job's directory, made by sandbox.job_directory. ``uid`` is the job's own user and group, None where the
    worker cannot give it one; ``searches`` says that this user cannot reach the interpreter or the directory by itself.
    ``memory``, ``file`` are in bytes, ``cpu`` in seconds; ``processes`` counts threads, of the user.
    """

    root: str
    uid: int | None
    searches: bool
    memory: int
    cpu: int
    file: int
    open_files: int
    processes: int

    def enter(self, parent: int) -> None:
        """Confines this process, which must have one thread and be the child of ``parent``. Raises OSError."""
        root = Path(self.root)
        with kernel.shown_memory():
            Path("/proc/self/oom_score_adj").write_text(_MOST_LIKELY_TO_BE_KILLED, encoding="ascii")
        self._settle(root)
        self._limit()
        self._change_user()
        kernel.die_with_parent(parent)
        kernel.hide_memory()
        kernel.no_new_privileges()
        if landlock.version():
            landlock.restrict(read=readable(), write=[*writable(root), Path("/dev/null")])
        seccomp.install()

    def _settle(self, root: Path) -> None:
        """Directories and environment. Libraries that read the environment when they were imported found nothing of a job's in
        it."""
        os.chdir(root / "work")
        os.umask(0o077)
        os.environ.clear()
        os.environ.update(environment(root))
        tempfile.tempdir = None

    def _limit(self) -> None:
        for what, most in (
            (resource.RLIMIT_AS, self.memory),
            (resource.RLIMIT_FSIZE, self.file),
            (resource.RLIMIT_NOFILE, self.open_files),
            (resource.RLIMIT_NPROC, self.processes),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(what, (most, most))
        # SIGXCPU at the first, which the worker can tell from an out-of-memory kill at the second.
        resource.setrlimit(resource.RLIMIT_CPU, (self.cpu, self.cpu + 5))
        # Python ignores it; a job that fills its file is to end by it.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

    def _change_user(self) -> None:
        if self.uid is not None:
            kernel.keep_capabilities_over_setuid()
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)
        # To read what is another's, never to write; Landlock, where it is, says what.
        kernel.set_capabilities(1 << kernel.CAP_DAC_READ_SEARCH if self.searches else 0)


def readable() -> list[Path]:
    """What a job reads besides its own: the system's libraries, the interpreter and the packages."""
    prefixes = {sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")}
    return [Path(path) for path in (*_SYSTEM, *sorted(prefixes))] + [PACKAGE_ROOT / name for name in _PACKAGES]


def writable(root: Path) -> list[Path]:
    return [root / name for name in ("work", "home", "tmp", "cache")]


def environment(root: Path) -> dict[str, str]:
    """Everything that a job's environment holds, and the preloaded parent's, which has a directory of the same kind.

    One thread each: the task has the cores of one job, and address space is counted. The same seed for all, or the order of sets
    would change results.
    """
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(root / "home"),
        "TMPDIR": str(root / "tmp"),
        "PYTHONPATH": str(PACKAGE_ROOT),
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(root / "cache" / "matplotlib"),
        "NUMBA_CACHE_DIR": str(root / "cache" / "numba"),
        "NUMBA_NUM_THREADS": "1",
        # joblib, which pynndescent uses from 8,192 cells on, would make locks in shared memory for more than one.
        "LOKY_MAX_CPU_COUNT": "1",
        # The one of numba's that a fork survives without the TBB library.
        "NUMBA_THREADING_LAYER": "workqueue",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        # HDF5 loads code from there for filters that it does not know; "::" switches that off.
        "HDF5_PLUGIN_PATH": "/nonexistent",
        "HDF5_PLUGIN_PRELOAD": "::",
    }
