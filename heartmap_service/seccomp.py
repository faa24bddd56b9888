"""The system calls that a job may not make, as a seccomp filter: no network, no other program or process, none of the kernel's
doors.

The filter is a program in classic BPF that the kernel runs at each call; it works without any privilege once
``no_new_privileges`` holds, and nothing can take it off. What is refused answers EPERM, so that a library that only tries can go
on. Numbers are those of Linux's tables (arch/x86/entry/syscalls/syscall_64.tbl, scripts/syscall.tbl). A call that is newer
than these answers ENOSYS, as an older kernel would; a call by another architecture's table, with other numbers, kills the job.

Source: https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html
"""

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass

from heartmap_service.kernel import check, libc

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2

# Offsets in struct seccomp_data: the number, the architecture, the low and the high half of the first two arguments.
_NUMBER, _ARCHITECTURE = 0, 4
_FIRST, _FIRST_HIGH, _SECOND = 16, 20, 24

_X32_BIT = 0x40000000
_CLONE_THREAD = 0x00010000
# What threads and allocators use: naming themselves and their mappings, and looking.
_PRCTL_ALLOWED = {
    "PR_GET_DUMPABLE": 3,
    "PR_SET_NAME": 15,
    "PR_GET_NAME": 16,
    "PR_GET_SECCOMP": 21,
    "PR_CAPBSET_READ": 23,
    "PR_GET_NO_NEW_PRIVS": 39,
    "PR_SET_VMA": 0x53564D41,
}
_IOCTL_REFUSED = {"TIOCSTI": 0x5412, "TIOCLINUX": 0x541C}

NEWEST = 462
"""mseal(2): the last number in the tables whose call is known to be harmless to allow."""

REFUSED: dict[str, tuple[int, int | None]] = {
    # Network, and sockets within the machine.
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "recvmmsg": (299, 243),
    "shutdown": (48, 210),
    "getsockname": (51, 204),
    "getpeername": (52, 205),
    "setsockopt": (54, 208),
    "getsockopt": (55, 209),
    # Other processes.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "get_robust_list": (274, 100),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # Other programs, and processes of one's own.
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    # Input and output that the kernel does without asking the filter.
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_setup": (206, 0),
    "io_submit": (209, 2),
    "io_destroy": (207, 1),
    "io_cancel": (210, 3),
    "io_getevents": (208, 4),
    # File systems.
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "mount_setattr": (442, 442),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    # Namespaces and rights.
    "unshare": (272, 97),
    "setns": (308, 268),
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setreuid": (113, 145),
    "setregid": (114, 143),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "setfsuid": (122, 151),
    "setfsgid": (123, 152),
    "setgroups": (116, 159),
    "capset": (126, 91),
    "personality": (135, 92),
    "seccomp": (317, 277),
    # The kernel.
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "syslog": (103, 116),
    "acct": (163, 89),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "lookup_dcookie": (212, 18),
    "nfsservctl": (180, 42),
    "vhangup": (153, 58),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "_sysctl": (156, None),
    "create_module": (174, None),
    "get_kernel_syms": (177, None),
    "query_module": (178, None),
    # Clocks and names.
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    # Memory that no limit of a process counts, and that outlives it.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmdt": (67, 197),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "mq_timedsend": (242, 182),
    "mq_timedreceive": (243, 183),
    "mq_notify": (244, 184),
    "mq_getsetattr": (245, 185),
    "vmsplice": (278, 75),
}
"""Name: the number on x86_64, and on aarch64, where there is such a call."""

_CHECKED = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "kill": (62, 129),
    "tgkill": (234, 131),
    "prlimit64": (302, 261),
    "prctl": (157, 167),
    "ioctl": (16, 29),
}


@dataclass(frozen=True)
class Architecture:
    """``token`` is the kernel's AUDIT_ARCH; ``column`` the one in the tables of numbers here."""

    token: int
    column: int


ARCHITECTURES = {"x86_64": Architecture(0xC000003E, 0), "aarch64": Architecture(0xC00000B7, 1)}

Instruction = tuple[int, int, int, int]
"""Code, how far to jump when true and when false, operand: struct sock_filter."""


def _return(value: int) -> Instruction:
    return (_RETURN, 0, 0, value)


_PERMIT = _return(_ALLOW)
_REFUSE = _return(_ERRNO | errno.EPERM)
_UNKNOWN = _return(_ERRNO | errno.ENOSYS)
_END = _return(_KILL)


def program(architecture: Architecture, pid: int) -> list[Instruction]:
    """The filter of the process ``pid``, which may signal and limit itself only."""
    column = architecture.column
    code: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture.token),
        _END,
        (_LOAD, 0, 0, _NUMBER),
    ]
    if column == 0:
        code += [(_AT_LEAST, 0, 1, _X32_BIT), _END]
    code += [(_AT_LEAST, 0, 1, NEWEST + 1), _UNKNOWN]
    for numbers in REFUSED.values():
        if (number := numbers[column]) is not None:
            code += [(_EQUAL, 0, 1, number), _REFUSE]
    for name, block in _blocks(pid).items():
        code += [(_EQUAL, 0, len(block), _CHECKED[name][column]), *block]
    return [*code, _PERMIT]


def _blocks(pid: int) -> dict[str, list[Instruction]]:
    """What decides by a call's arguments; each ends in a verdict."""
    oneself = [(_LOAD, 0, 0, _FIRST), (_EQUAL, 0, 3, pid), (_LOAD, 0, 0, _FIRST_HIGH), (_EQUAL, 0, 1, 0), _PERMIT, _REFUSE]
    return {
        # A thread, not a process.
        "clone": [(_LOAD, 0, 0, _FIRST), (_ANY_BIT, 0, 1, _CLONE_THREAD), _PERMIT, _REFUSE],
        # Its flags lie in memory, where no filter sees them. The C library then uses clone.
        "clone3": [_UNKNOWN],
        "kill": oneself,
        "tgkill": oneself,
        # 0 is oneself too.
        "prlimit64": [(_LOAD, 0, 0, _FIRST), (_EQUAL, 1, 0, 0), (_EQUAL, 0, 1, pid), _PERMIT, _REFUSE],
        "prctl": _one_of(_FIRST, _PRCTL_ALLOWED, found=_PERMIT, otherwise=_REFUSE),
        "ioctl": _one_of(_SECOND, _IOCTL_REFUSED, found=_REFUSE, otherwise=_PERMIT),
    }


def _one_of(offset: int, values: dict[str, int], *, found: Instruction, otherwise: Instruction) -> list[Instruction]:
    block: list[Instruction] = [(_LOAD, 0, 0, offset)]
    for value in values.values():
        block += [(_EQUAL, 0, 1, value), found]
    return [*block, otherwise]


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install() -> None:
    """Puts the filter on this thread and all that it starts, for good. Call it with one thread, after no_new_privileges.

    Raises OSError when the kernel has no seccomp, and on a processor whose numbers are not known.
    """
    architecture = ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise OSError(errno.ENOSYS, f"no table of system calls for {platform.machine()}")
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program(architecture, os.getpid()))
    buffer = ctypes.create_string_buffer(code, len(code))
    argument = _Program(len(code) // 8, ctypes.addressof(buffer))
    check(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(argument), 0, 0), "PR_SET_SECCOMP")
