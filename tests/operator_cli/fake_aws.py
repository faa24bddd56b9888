"""In the place of the AWS command line: the calls of docs/access.md, each checked against AWS's own description of parameters.

Sessions pass bytes as the plugin in the place of AWS's does (``fake_plugin``), to FAKE_TARGET. What was asked is in FAKE_RECORD.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import botocore.session
import fake_plugin
from botocore import xform_name
from botocore.validate import ParamValidator

OF_THE_COMMAND_LINE = {"query", "output"}


def read(shape: Any, text: str) -> Any:
    """A value as the command line takes it: JSON, the short form of a map of lists, file://, or itself."""
    if text.startswith("file://"):
        return Path(text.removeprefix("file://")).read_text()
    if shape.type_name == "map" and not text.startswith("{"):
        return {name: [value] for name, _, value in (pair.partition("=") for pair in text.split(","))}
    if shape.type_name == "list" and not text.startswith("["):
        return [text]
    return json.loads(text) if shape.type_name in ("map", "list", "structure") else text


def main() -> None:
    service, operation, *words = sys.argv[1:]
    model = botocore.session.get_session().get_service_model(service)
    (name,) = [each for each in model.operation_names if xform_name(each, "-") == operation]
    shape = model.operation_model(name).input_shape
    assert shape is not None
    members = {xform_name(member, "-"): member for member in shape.members}
    given = {word.removeprefix("--"): value for word, value in zip(words[::2], words[1::2], strict=True)}
    parameters = {
        members[word]: read(shape.members[members[word]], value)
        for word, value in given.items()
        if word not in OF_THE_COMMAND_LINE
    }
    report = ParamValidator().validate(parameters, shape)
    assert not report.has_errors(), report.generate_report()
    with Path(os.environ["FAKE_RECORD"]).open("a") as record:
        record.write(json.dumps({name: parameters}) + "\n")
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    if name == "DescribeAutoScalingGroups":
        fake_plugin.say("i-0123456789abcdef0")
    elif name == "SendSSHPublicKey":
        Path(os.environ["FAKE_AUTHORIZED_KEYS"]).write_text(parameters["SSHPublicKey"])
    elif parameters["DocumentName"] == "AWS-StartPortForwardingSessionToRemoteHost":
        fake_plugin.forward(parameters["Parameters"])
    elif parameters["DocumentName"] == "AWS-StartSSHSession":
        fake_plugin.carry()


if __name__ == "__main__":
    main()
