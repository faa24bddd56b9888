"""The inside of a Lambda execution environment: imports the deployed handler and answers events, one at a time.

Started by lambda_runtime with an isolated interpreter (``-I -S``), so that nothing but the standard library, the deployed zip and
the AWS SDK can be imported. Its first two arguments are file descriptors: events arrive as lines of JSON on the first, results
leave on the second. The third is the directory with the SDK.
The standard streams belong to the handler. Standard library only, for the same reason.
"""

import importlib
import json
import os
import sys
import time
from typing import Any, NamedTuple


class Context(NamedTuple):
    """The context object. https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""

    aws_request_id: str
    invoked_function_arn: str
    deadline: float
    """On this process' ``time.time`` clock, in seconds."""
    function_name: str = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    function_version: str = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "")
    memory_limit_in_mb: str = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    log_group_name: str = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", "")
    log_stream_name: str = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.deadline - time.time()) * 1000))


def main() -> int:
    events = os.fdopen(int(sys.argv[1]), "rb")
    replies = os.fdopen(int(sys.argv[2]), "wb")

    def reply(**message: Any) -> None:
        replies.write(json.dumps(message, allow_nan=False).encode() + b"\n")
        replies.flush()

    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    sys.path.append(sys.argv[3])
    module, _, function = os.environ["_HANDLER"].rpartition(".")
    try:
        handler = getattr(importlib.import_module(module.replace("/", ".")), function)
    except BaseException as error:  # noqa: BLE001 - whatever the deployed code raises on import, the host has to hear of it
        reply(error=_described(error))
        return 1
    reply(result="ready")
    for line in events:
        message = json.loads(line)
        context = Context(message["request_id"], message["arn"], message["deadline"])
        try:
            reply(result=handler(message["event"], context))
        except Exception as error:  # noqa: BLE001 - as above
            reply(error=_described(error))
    return 0


def _described(error: BaseException) -> dict[str, str]:
    return {"type": type(error).__name__, "message": str(error)}


if __name__ == "__main__":
    sys.exit(main())
