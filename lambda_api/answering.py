"""Whatever happens in a function, there is an answer in the API's form and one audit record."""

import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from lambda_api import audit
from lambda_api.audit import Call
from lambda_authorizer import problems
from lambda_authorizer.aws import AwsError
from lambda_authorizer.problems import Problem, Refused
from lambda_authorizer.reasons import Fault


def answer(call: Call, answering: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``answering`` answers; it writes the line of a success itself, before it gives anything. A failure is told here."""
    try:
        return answering()
    except Refused as refusal:
        return _failed(refusal.problem, call)
    except (AwsError, Fault):
        return _failed(problems.UNAVAILABLE, call)
    except Exception as error:  # noqa: BLE001  # whatever it is, it must be an error and recorded
        # The place, not the text: that may hold what a caller sent.
        sys.stderr.write(f"{type(error).__name__}\n" + "".join(traceback.format_tb(error.__traceback__)))
        return _failed(problems.INTERNAL, call)


def in_lambda(environ: Mapping[str, str]) -> bool:
    """Whether this is the function itself. Lambda sets its name before it imports the handler."""
    return bool(environ.get("AWS_LAMBDA_FUNCTION_NAME"))


def _failed(problem: Problem, call: Call) -> dict[str, Any]:
    audit.write(audit.DENY if problem.status < 500 else audit.ERROR, problem.code, call)
    return problems.problem(problem, call.request_id)
