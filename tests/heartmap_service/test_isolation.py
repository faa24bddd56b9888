"""What code in a job can do, had a file made it run: each property alone, and both ways where there is another way."""

import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from heartmap_service import landlock, sandbox, seccomp, users
from heartmap_service.sandbox import JobFailed, JobStopped, Limits, Sandbox, SandboxBroken, job_directory
from heartmap_service.settings import GIB, MIB

PARENT = Path(__file__).with_name("probing_parent.py")
LIMITS = Limits(memory=4 * GIB)
AS_ROOT = pytest.mark.skipif(not users.own_users(), reason="only root gives jobs users of their own")
LANDLOCK = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")

Probe = Callable[..., dict[str, Any]]

ERRNO = """
def tried(work):
    try:
        work()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
import ctypes, errno, os, socket, subprocess, threading
from pathlib import Path
"""


class Probing(Sandbox):
    """``without``: the mechanisms that are left out."""

    def __init__(self, scratch: Path, *without: str, large: bool = True) -> None:
        self._PROGRAM = (sys.executable, str(PARENT), *without)
        super().__init__(scratch, None, large=large)


@pytest.fixture(autouse=True)
def quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "TICK", 0.02)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, ...], Probing]]:
    """A parent for each set of mechanisms that is left out, started at its first use."""
    parents: dict[tuple[str, ...], Probing] = {}
    yield parents
    for parent in parents.values():
        parent.close()


@pytest.fixture
def probe(tmp_path: Path, shared: dict[tuple[str, ...], Probing]) -> Probe:
    def run(
        code: str, *without: str, limits: Limits = LIMITS, keep_going: sandbox.KeepGoing = lambda *_: True, **task: Any
    ) -> dict[str, Any]:
        parent = shared.setdefault(without, Probing(tmp_path.parent, *without))
        with job_directory(tmp_path) as directory:
            return parent.run({"task": "probe", "code": ERRNO + textwrap.dedent(code), **task}, directory, limits, keep_going)

    return run


@pytest.mark.parametrize("large", [True, False])
def test_what_only_large_data_sets_need_is_loaded_where_it_is_wanted(tmp_path: Path, large: bool) -> None:
    """Where it is not, the parent would end by it."""
    with Probing(tmp_path, *(() if large else ("large",)), large=large) as parent, job_directory(tmp_path) as directory:
        parent.wait_until_loaded()
        task = {"task": "probe", "code": "import os; result['server'] = os.getppid()"}
        server = parent.run(task, directory, LIMITS, lambda *_: True)["server"]
        (process,) = [child for child in psutil.Process().children() if str(PARENT) in child.cmdline()]
        # A server that has retired ends.
        psutil.wait_procs([child for child in process.children() if child.pid != server], timeout=5)
        running = [child.pid for child in process.children() if child.status() != psutil.STATUS_ZOMBIE]
        assert running == [server]


# The network


def test_the_network_that_the_worker_reaches_is_not_there_for_a_job(probe: Probe, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        addresses: list[tuple[int, Any]] = [(socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, str(tmp_path / "listener"))]
        if socket.has_ipv6 and Path("/proc/net/if_inet6").exists():
            addresses.append((socket.AF_INET6, ("::1", 0)))
        targets = []
        for family, address in addresses:
            listener = stack.enter_context(socket.socket(family))
            listener.bind(address)
            listener.listen()
            with socket.socket(family) as worker:
                worker.connect(listener.getsockname())
            targets.append((family, listener.getsockname()))
        result = probe(
            """
            for family, address in task["targets"]:
                where = tuple(address) if isinstance(address, list) else address
                result[str(family)] = tried(lambda: socket.socket(family).connect(where))
            result["netlink"] = tried(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
            result["datagram"] = tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            result["pair"] = tried(socket.socketpair)
            """,
            "landlock",
            targets=targets,
        )
        assert set(result.values()) == {"EPERM"}
        assert len(result) == len(targets) + 3


def verdict(program: list[seccomp.Instruction], architecture: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """What the kernel would make of the filter: its instructions, run on one call."""
    words = [number, architecture, 0, 0]
    for argument in (*arguments, *[0] * (6 - len(arguments))):
        words += [argument & 0xFFFFFFFF, argument >> 32]
    accumulator, at = 0, 0
    while True:
        code, true, false, operand = program[at]
        at += 1
        if code == seccomp._LOAD:
            accumulator = words[operand // 4]
        elif code == seccomp._RETURN:
            return operand
        else:
            holds = {
                seccomp._EQUAL: accumulator == operand,
                seccomp._AT_LEAST: accumulator >= operand,
                seccomp._ANY_BIT: bool(accumulator & operand),
            }[code]
            at += true if holds else false


REFUSED, UNKNOWN, KILLED, ALLOWED = 0x00050001, 0x00050026, 0x80000000, 0x7FFF0000


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_refuses_just_what_is_listed(machine: str) -> None:
    architecture = seccomp.ARCHITECTURES[machine]
    program = seccomp.program(architecture, pid=77)
    refused = {numbers[architecture.column] for numbers in seccomp.REFUSED.values()} - {None}
    checked = {numbers[architecture.column] for numbers in seccomp._CHECKED.values()}
    for number in range(700):
        seen = verdict(program, architecture.token, number)
        if number in checked:
            continue
        expected = REFUSED if number in refused else UNKNOWN if number > seccomp.NEWEST else ALLOWED
        assert seen == expected, number
    other = next(each for name, each in seccomp.ARCHITECTURES.items() if name != machine)
    assert verdict(program, other.token, 0) == KILLED
    assert verdict(program, 0x40000003, 0) == KILLED  # i386
    if machine == "x86_64":
        assert verdict(program, architecture.token, 0x40000000 | 41) == KILLED  # x32


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        ("clone", (0x003D0F00,), ALLOWED),  # the C library's flags of a thread
        ("clone", (0x01200011,), REFUSED),  # those of fork
        ("clone3", (0x10000,), UNKNOWN),
        ("kill", (77, 9), ALLOWED),
        ("kill", (1 << 32 | 77, 9), REFUSED),
        ("kill", (0, 9), REFUSED),
        ("kill", (2**64 - 1, 9), REFUSED),
        ("tgkill", (77, 78, 6), ALLOWED),
        ("tgkill", (1, 1, 6), REFUSED),
        ("prlimit64", (0, 7), ALLOWED),
        ("prlimit64", (77, 7), ALLOWED),
        ("prlimit64", (1, 7), REFUSED),
        ("prctl", (15,), ALLOWED),
        ("prctl", (1, 0), REFUSED),  # PR_SET_PDEATHSIG
        ("prctl", (4, 1), REFUSED),  # PR_SET_DUMPABLE
        ("ioctl", (0, 0x5401), ALLOWED),
        ("ioctl", (0, 0x5412), REFUSED),  # TIOCSTI
    ],
)
def test_some_calls_are_decided_by_their_arguments(machine: str, call: str, arguments: tuple[int, ...], expected: int) -> None:
    architecture = seccomp.ARCHITECTURES[machine]
    number = seccomp._CHECKED[call][architecture.column]
    assert verdict(seccomp.program(architecture, pid=77), architecture.token, number, arguments) == expected


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the header is another one")
def test_the_numbers_are_the_kernels() -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists() and os.environ.get("CI") != "true":
        pytest.skip("the kernel's headers are not installed: apt-get install linux-libc-dev")
    lines = (line.split() for line in header.read_text().splitlines())
    numbers = {line[1].removeprefix("__NR_"): int(line[2]) for line in lines if len(line) == 3 and line[1].startswith("__NR_")}
    assert {name: pair[0] for name, pair in (seccomp.REFUSED | seccomp._CHECKED).items()}.items() <= numbers.items()


def test_the_kernel_answers_as_the_filter_says(probe: Probe) -> None:
    calls = {
        name: number
        for name in ("io_uring_setup", "execve", "ptrace", "bpf", "unshare", "memfd_create", "shmget", "pidfd_open", "mknodat")
        if (number := seccomp.REFUSED[name][seccomp.ARCHITECTURES[platform.machine()].column]) is not None
    }
    result = probe(
        """
        libc = ctypes.CDLL(None, use_errno=True)
        for name, number in task["calls"].items():
            result[name] = errno.errorcode[ctypes.get_errno()] if libc.syscall(number, 0, 0, 0, 0, 0, 0) == -1 else "done"
        result["newer"] = errno.errorcode[ctypes.get_errno()] if libc.syscall(499, 0) == -1 else "done"
        """,
        "landlock",
        calls=calls,
    )
    assert result.pop("newer") == "ENOSYS"
    assert set(result.values()) == {"EPERM"}


def test_a_job_starts_threads_and_no_process(probe: Probe) -> None:
    result = probe(
        """
        result["fork"] = tried(os.fork)
        result["program"] = tried(lambda: subprocess.run(["/bin/true"]))
        result["exec"] = tried(lambda: os.execv("/bin/true", ["true"]))
        thread = threading.Thread(target=lambda: result.update(thread="ran"))
        thread.start()
        thread.join()
        """,
        "landlock",
    )
    assert result == {"fork": "EPERM", "program": "EPERM", "exec": "EPERM", "thread": "ran"}


def test_what_the_libraries_ask_the_system_is_answered(probe: Probe) -> None:
    """joblib on the way to the approximate neighbours of large data sets, and what limits itself: the scan."""
    result = probe(
        """
        import joblib, resource
        result["processors"] = joblib.cpu_count()
        result["size"] = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 4 << 30))
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        """
    )
    assert result["processors"] >= 1
    assert result["size"] > 0


def test_a_job_signals_itself_only(probe: Probe) -> None:
    result = probe(
        """
        result["worker"] = tried(lambda: os.kill(task["worker"], 0))
        result["parent"] = tried(lambda: os.kill(os.getppid(), 0))
        result["everybody"] = tried(lambda: os.kill(-1, 0))
        result["itself"] = tried(lambda: os.kill(os.getpid(), 0))
        """,
        "landlock",
        "user",
        worker=os.getpid(),
    )
    assert result == {"worker": "EPERM", "parent": "EPERM", "everybody": "EPERM", "itself": "done"}


# Whose it is, and what it sees


def test_nothing_of_the_workers_reaches_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    monkeypatch.setenv("HEARTMAP_QUEUE_URL", "secret")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/secret")
    code = """
        result["environment"] = dict(os.environ)
        result["first"] = Path("/proc/self/environ").read_text()
        opened = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
        result["files"] = {path.name: os.readlink(path) for path in opened if os.path.lexists(path)}
        result["here"] = os.getcwd()
        """
    kept = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(kept, True)
    try:
        with Probing(tmp_path) as parent, job_directory(tmp_path) as directory:
            result = parent.run({"code": ERRNO + textwrap.dedent(code)}, directory, LIMITS, lambda *_: True)
            root = directory.root
    finally:
        os.close(kept)
    assert "secret" not in json.dumps(result)
    assert not [name for name in result["environment"] if name.startswith(("AWS", "HEARTMAP"))]
    for name in ("HOME", "TMPDIR", "MPLCONFIGDIR", "NUMBA_CACHE_DIR"):
        assert Path(result["environment"][name]).is_relative_to(root)
    assert Path(result["here"]) == root / "work"
    # Nothing, the log twice, and the pipe; the fourth is the listing itself.
    opened = sorted(target for target in result["files"].values() if not target.startswith("/proc/"))
    assert [target.partition(":")[0] for target in opened] == ["/dev/null", str(root / "log"), str(root / "log"), "pipe"]


def secrets_of_the_worker(run: Callable[..., dict[str, Any]], worker: int) -> dict[str, Any]:
    return run(
        """
        for name in ("environ", "mem", "maps", "auxv", "cwd", "fd/1"):
            path = Path(f"/proc/{task['worker']}/{name}")
            look = os.readlink if name in ("cwd", "fd/1") else lambda path: path.open("rb").read(1)
            result[name] = tried(lambda: look(path))
        """,
        worker=worker,
    )


@AS_ROOT
def test_a_job_of_another_user_reads_nothing_of_the_workers(probe: Probe) -> None:
    result = secrets_of_the_worker(lambda code, **task: probe(code, "landlock", **task), os.getpid())
    assert set(result.values()) <= {"EACCES", "EPERM"}, result


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="becomes another user")
@pytest.mark.parametrize("hidden", [True, False], ids=["hidden", "shown"])
def test_hidden_memory_alone_keeps_a_worker_that_is_not_root_from_its_jobs(tmp_path: Path, hidden: bool) -> None:
    """As on ECS: the worker and its jobs are one user without capabilities, save the one that reads this interpreter."""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    os.chown(scratch, 10001, 10001)
    program = Path(__file__).with_name("unprivileged_worker.py")
    command = ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups", "--bounding-set=-all,+dac_read_search"]
    command += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search", sys.executable, str(program)]
    environment = {**os.environ, "PYTHONPATH": str(PARENT.parents[2]), "SECRET": "secret", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*command, str(scratch), "hidden" if hidden else "shown"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["uid"] == [10001] * 3
    if hidden:
        assert set(result["worker"].values()) <= {"EACCES", "EPERM"}
        assert set(result["parent"].values()) <= {"EACCES", "EPERM"}
    else:
        assert result["worker"]["environ"] == "done"
    assert list(scratch.iterdir()) == []


@AS_ROOT
def test_two_jobs_at_once_are_two_users_without_rights(probe: Probe, tmp_path: Path) -> None:
    code = """
        result["ids"] = [*os.getresuid(), *os.getresgid()]
        result["groups"] = os.getgroups()
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        result["rights"] = status["CapEff"].strip()
        result["other"] = tried(lambda: os.listdir(task["other"])) if task["other"] else None
        threading.Event().wait(task["wait"])
        """
    inside: list[dict[str, Any]] = []

    def second(_stage: str, _progress: float) -> bool:
        if not inside:
            [first] = tmp_path.glob("heartmap-job-*")
            inside.append(probe(code, "landlock", other=str(first / "work"), wait=0))
        return True

    outer = probe(code, "landlock", keep_going=second, other=None, wait=0.5)
    one, two = outer["ids"], inside[0]["ids"]
    assert len(set(one)) == len(set(two)) == 1
    assert one[0] != two[0]
    assert {one[0], two[0]} <= set(users.UIDS)
    assert outer["groups"] == inside[0]["groups"] == []
    # 0, or the one that reads where this interpreter is kept from others; then Landlock says what.
    assert outer["rights"] in {"0" * 16, "0" * 15 + "4"}
    if outer["rights"] == "0" * 16:
        assert inside[0]["other"] == "EACCES"


FILES = """
    outside = Path(task["outside"])
    for name, work in {
        "a secret of the host": lambda: open(task["secret"]).read(),
        "the list of users": lambda: open("/etc/shadow").read(),
        "another job": lambda: os.listdir(outside),
        "a file beside": lambda: open(outside / "new", "w"),
        "the log's directory": lambda: os.listdir(".."),
        "the source": lambda: open(task["source"], "a"),
        "a link": lambda: os.symlink("/etc/shadow", "out/secret.csv"),
        "a hard link": lambda: os.link(task["secret"], "out/secret.csv"),
        "a pipe": lambda: os.mkfifo("out/pipe.json"),
    }.items():
        result[name] = tried(work)
    result["its own"] = tried(lambda: Path("out/cells.csv").write_text("x"))
    result["its own temporary"] = tried(lambda: Path(os.environ["TMPDIR"], "x").write_text("x"))
    result["the interpreter"] = tried(lambda: open(os.__file__).read(1))
    """


@LANDLOCK
@pytest.mark.parametrize("without", [(), ("user",)], ids=["", "without a user"])
def test_a_job_reads_the_interpreter_and_writes_its_own_directories(
    probe: Probe, tmp_path: Path, without: tuple[str, ...]
) -> None:
    (tmp_path / "secret").write_text("someone's")
    other = tmp_path / "other"
    other.mkdir()
    result = probe(FILES, *without, secret=str(tmp_path / "secret"), outside=str(other), source=sandbox.__file__)
    allowed = {name for name, seen in result.items() if seen == "done"}
    if not without:
        assert allowed == {"its own", "its own temporary", "the interpreter"}, result
        assert set(result.values()) <= {"done", "EACCES", "EPERM"}
    else:
        # The directories stay those of the user that the job was meant to have.
        assert allowed == {"the interpreter"}, result


# Limits


def test_the_limits_hold(probe: Probe) -> None:
    result = probe(
        """
        import resource
        for name in ("AS", "CPU", "FSIZE", "CORE", "NOFILE", "NPROC"):
            result[name] = resource.getrlimit(getattr(resource, "RLIMIT_" + name))
        """
    )
    others = users.User(None).threads() if not users.own_users() else 0
    assert abs(result.pop("NPROC")[0] - 64 - others) <= (0 if users.own_users() else 64)
    assert result == {
        "AS": [4 * GIB] * 2,
        "CPU": [3600, 3605],
        "FSIZE": [16 * GIB] * 2,
        "CORE": [0, 0],
        "NOFILE": [256] * 2,
    }


@AS_ROOT
def test_threads_are_counted(probe: Probe) -> None:
    result = probe(
        """
        stop = threading.Event()
        threads = []
        try:
            for _ in range(200):
                threads.append(threading.Thread(target=stop.wait))
                threads[-1].start()
        except RuntimeError:
            result["started"] = len(threads)
        stop.set()
        """,
        limits=Limits(memory=4 * GIB, processes=20),
    )
    assert result["started"] <= 20


@pytest.mark.parametrize(
    ("code", "limits", "expected"),
    [
        ("x = bytearray(5 << 30)", LIMITS, "out_of_memory"),
        ("while True: pass", Limits(memory=4 * GIB, cpu=1), "out_of_time"),
        ("threading.Event().wait()", Limits(memory=4 * GIB, wall=0), "out_of_time"),
        ("open('big', 'wb').write(bytes(3 << 20))", Limits(memory=4 * GIB, file=MIB), "out_of_disk"),
        (
            "for n in range(9): open(f'{n}', 'wb').write(bytes(1 << 20))\nthreading.Event().wait()",
            Limits(memory=4 * GIB, disk=4 * MIB),
            "out_of_disk",
        ),
        (
            "os.chdir(os.environ['HOME'])\nfor n in range(10_100): open(f'{n}', 'wb').close()\nthreading.Event().wait()",
            LIMITS,
            "out_of_disk",
        ),
        ("os.kill(os.getpid(), 11)", LIMITS, "crashed"),
        ("os._exit(0)", LIMITS, "crashed"),
        ("os.close(report._stream.fileno())\nthreading.Event().wait(0.2)\nos._exit(1)", LIMITS, "crashed"),
    ],
    ids=["memory", "cpu", "wall", "file", "disk", "files", "crash", "no word", "closed pipe"],
)
def test_a_job_beyond_its_limits_is_ended_and_named(
    probe: Probe, tmp_path: Path, code: str, limits: Limits, expected: str
) -> None:
    with pytest.raises(JobFailed) as failed:
        probe(code, limits=limits)
    assert failed.value.code == expected
    assert "/" not in failed.value.detail
    assert list(tmp_path.iterdir()) == []


def test_out_of_memory_names_the_limit_and_the_estimate(probe: Probe) -> None:
    with pytest.raises(JobFailed) as failed:
        probe("x = bytearray(5 << 30)", estimate={"memory_bytes": 2 * GIB, "seconds": 1, "usd": 0.0})
    assert "4.0 GiB" in failed.value.detail
    assert "estimated to need 2.0 GiB" in failed.value.detail


def test_what_hides_its_files_is_over_the_limit_and_removed(tmp_path: Path, probe: Probe) -> None:
    code = """
        os.makedirs("hidden/inner")
        os.chmod("hidden", 0)
        os.chdir(os.environ["TMPDIR"])
        for _ in range(1200):
            os.mkdir("d")
            os.chdir("d")
        threading.Event().wait()
        """
    with pytest.raises(JobFailed) as failed:
        probe(code)
    assert failed.value.code == "out_of_disk"
    assert list(tmp_path.iterdir()) == []


# The parent


def first(parent: Sandbox) -> psutil.Process:
    assert parent._parent is not None
    return psutil.Process(parent._parent._process.pid)


def processes(parent: Sandbox) -> list[psutil.Process]:
    return [first(parent), *first(parent).children(recursive=True)]


def gone(pids: list[int]) -> bool:
    patience = time.monotonic() + 10
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
        if time.monotonic() > patience:
            return False
        time.sleep(0.05)
    return True


ENDLESS = "import threading; report.stage('loading', 0.5); threading.Event().wait()"


def test_a_job_that_cannot_be_confined_does_not_begin(tmp_path: Path) -> None:
    began = tmp_path / "began"
    with Probing(tmp_path, "kernel's seccomp") as parent, job_directory(tmp_path) as directory, pytest.raises(SandboxBroken):
        parent.run({"code": f"open({str(began)!r}, 'w')"}, directory, LIMITS, lambda *_: True)
    assert not began.exists()


def test_a_parent_that_does_not_start_is_no_verdict_on_the_job(tmp_path: Path) -> None:
    with Probing(tmp_path, "start") as parent, job_directory(tmp_path) as directory, pytest.raises(SandboxBroken):
        parent.run({"code": ""}, directory, LIMITS, lambda *_: True)
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_job_is_gone_and_its_parent_forks_the_next(tmp_path: Path) -> None:
    seen: list[int] = []

    def stop(stage: str, _progress: float) -> bool:
        if stage == "loading":
            seen.extend(process.pid for process in processes(parent))
        return not seen

    with Probing(tmp_path) as parent:
        with job_directory(tmp_path) as directory, pytest.raises(JobStopped):
            parent.run({"code": ENDLESS}, directory, LIMITS, stop)
        left = {process.pid for process in processes(parent)}
        assert len(set(seen) - left) == 1
        with job_directory(tmp_path) as directory:
            assert parent.run({"code": "result['x'] = 1"}, directory, LIMITS, lambda *_: True) == {"x": 1}
        assert {process.pid for process in processes(parent)} == left
    assert gone(list(left))
    assert list(tmp_path.iterdir()) == []


def test_a_parent_that_dies_takes_its_jobs_with_it_and_is_started_again(tmp_path: Path) -> None:
    killed: list[int] = []

    def kill(stage: str, _progress: float) -> bool:
        if stage == "loading" and not killed:
            killed.extend(process.pid for process in processes(parent))
            first(parent).kill()
        return True

    with Probing(tmp_path) as parent:
        with job_directory(tmp_path) as directory, pytest.raises(SandboxBroken):
            parent.run({"code": ENDLESS}, directory, LIMITS, kill)
        assert gone(killed)
        with job_directory(tmp_path) as directory:
            assert parent.run({"code": "result['x'] = 1"}, directory, LIMITS, lambda *_: True) == {"x": 1}


def test_a_parent_that_hangs_does_not_keep_a_job_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "END_PATIENCE", 0.3)
    hung: list[psutil.Process] = []

    def hang(stage: str, _progress: float) -> bool:
        if stage == "loading":
            hung.extend(processes(parent))
            for process in hung:
                process.suspend()
        return not hung

    with Probing(tmp_path) as parent:
        with job_directory(tmp_path) as directory, pytest.raises(JobStopped):
            parent.run({"code": ENDLESS}, directory, LIMITS, hang)
        assert gone([process.pid for process in hung])


def test_everything_dies_with_the_worker(tmp_path: Path) -> None:
    program = f"""
import os, sys
sys.path[:0] = [{str(PARENT.parents[2])!r}, {str(PARENT.parent)!r}]
from pathlib import Path
import psutil
from test_isolation import Probing, LIMITS, ENDLESS
from heartmap_service.sandbox import job_directory
def tell(stage, _progress):
    if stage == "loading":
        print(*(process.pid for process in psutil.Process().children(recursive=True)), flush=True)
    return True
with job_directory(Path({str(tmp_path)!r})) as directory:
    Probing(Path({str(tmp_path)!r})).run({{"code": ENDLESS}}, directory, LIMITS, tell)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        pids = [int(pid) for pid in worker.stdout.readline().split()]
        worker.kill()
    assert len(pids) >= 3
    assert gone(pids)
    assert sandbox.sweep(tmp_path) == 2
    assert list(tmp_path.iterdir()) == []


def test_jobs_of_two_threads_run_side_by_side(tmp_path: Path) -> None:
    results: list[dict[str, Any]] = []
    meeting = threading.Barrier(2, timeout=20)

    def run(number: int) -> None:
        def both(stage: str, _progress: float) -> bool:
            if stage == "loading" and not meeting.broken:
                with contextlib.suppress(threading.BrokenBarrierError):
                    meeting.wait()
                    meeting.abort()
            return True

        code = f"import time; report.stage('loading', 0.5); time.sleep(1); result['x'] = {number}"
        with job_directory(tmp_path) as directory:
            results.append(parent.run({"code": code}, directory, LIMITS, both))

    with Probing(tmp_path) as parent:
        threads = [threading.Thread(target=run, args=(number,)) for number in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(result["x"] for result in results) == [1, 2]


def test_a_line_that_is_too_long_is_passed_over() -> None:
    lines = sandbox._Lines()
    assert list(lines.feed(b"x" * (sandbox._MAX_LINE + 1))) == []
    assert list(lines.feed(b"y\n{}")) == []
    assert list(lines.feed(b"\n")) == [b"{}"]
