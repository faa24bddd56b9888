"""A worker that is not root, with one job of the same user that Landlock and seccomp leave alone: what it reads of the worker."""

import json
import os
import sys
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from test_isolation import ERRNO, LIMITS, Probing, secrets_of_the_worker

from heartmap_service import kernel
from heartmap_service.sandbox import job_directory

scratch, hidden = Path(sys.argv[1]), sys.argv[2] == "hidden"
if not hidden:
    kernel.hide_memory = lambda: None
found = {}
with Probing(scratch, "landlock", "seccomp") as parent, job_directory(scratch) as directory:

    def run(code: str, **task: object) -> dict[str, object]:
        return parent.run({"code": ERRNO + textwrap.dedent(code), **task}, directory, LIMITS, lambda *_: True)

    parent.start()
    found["uid"] = run("result['uid'] = os.getresuid()")["uid"]
    found["worker"] = secrets_of_the_worker(run, os.getpid())
    found["parent"] = secrets_of_the_worker(run, parent._parent._process.pid)  # pyright: ignore[reportOptionalMemberAccess]
sys.stdout.write(json.dumps(found))
