"""Run as a program, with the interpreter of a package's target: compile modules to bytecode.

    python -I -S -B compiler.py <release> < sources > bytecode

Both are JSON: a list of a module's path in the package and its source, a list of the .pyc files; files in base64. It imports no
module of this project, which the interpreter cannot.
"""

import base64
import importlib.util
import json
import marshal
import sys

_UNCHECKED_HASH = 0b01
"""Flags of a .pyc file that is used whatever its source has become (PEP 552)."""
TASK_ROOT = "/var/task"
"""Where Lambda unpacks a package; in a traceback a module is below it. An import from elsewhere sets its own place."""


def pyc(path: str, source: bytes) -> bytes:
    """The .pyc file of the module at ``path`` in the package (layout: PEP 552)."""
    code = compile(source, f"{TASK_ROOT}/{path}", "exec", dont_inherit=True, optimize=0)
    head = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH.to_bytes(4, "little") + importlib.util.source_hash(source)
    return head + marshal.dumps(code)


def main() -> None:
    """Compile what is on the standard input. In another release than the one to use it says so, with exit code 1."""
    actual = ".".join(map(str, sys.version_info[:3]))
    if sys.implementation.name != "cpython" or [actual] != sys.argv[1:]:
        sys.exit(f"This is {sys.implementation.name} {actual} and not CPython {' '.join(sys.argv[1:])}.")
    modules = json.load(sys.stdin)
    json.dump([base64.b64encode(pyc(path, base64.b64decode(source))).decode("ascii") for path, source in modules], sys.stdout)


if __name__ == "__main__":
    main()
