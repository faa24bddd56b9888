"""Runs pytest once for each line of standard input, a JSON list of arguments, and answers with its exit code.

Each run is a process of its own, forked from this one, which has imported the libraries (most of the time of a short run) and
nothing of the project: that each run imports anew, as it is then.
"""

import importlib
import json
import os
import sys
from pathlib import Path

# The services whose modules take long to import, in the emulated AWS and in Pulumi's SDK.
EMULATED = (
    "apigateway",
    "awslambda",
    "cognitoidp",
    "dynamodb",
    "ec2",
    "ecs",
    "iam",
    "kms",
    "logs",
    "s3",
    "secretsmanager",
    "sqs",
    "wafv2",
)
PLANNED = (
    "apigateway",
    "cloudwatch",
    "cognito",
    "dynamodb",
    "ec2",
    "ecs",
    "iam",
    "kms",
    "lambda_",
    "lb",
    "route53",
    "s3",
    "secretsmanager",
    "ssm",
    "wafv2",
)
LIBRARIES = (
    "boto3",
    "cryptography.hazmat.primitives.serialization.pkcs12",
    "fastapi.testclient",
    "moto.server",
    "pulumi.automation",
    "pytest",
    "typer.testing",
    *(f"moto.{name}.responses" for name in EMULATED),
    *(f"pulumi_aws.{name}" for name in PLANNED),
)


def run(arguments: list[str], output: Path) -> int:
    """pytest's exit code, negative when a signal ended it; what it prints is in ``output``."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(written, 1)
    os.dup2(written, 2)
    code = importlib.import_module("pytest").main(arguments)
    sys.stdout.flush()
    os._exit(code)


def main() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        print(run(json.loads(line), Path("output.txt")), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
