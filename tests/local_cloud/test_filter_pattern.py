from __future__ import annotations

import json

import pytest

from local_cloud.filter_pattern import PatternError, matches, parse

RECORD = json.dumps(
    {
        "eventName": "ConsoleLogin",
        "errorCode": "Client.UnauthorizedOperation",
        "status": 403,
        "userIdentity": {"type": "Root", "sessionContext": {"attributes": {"mfaAuthenticated": "false"}}},
        "resources": [{"ARN": "arn"}],
    }
)


@pytest.mark.parametrize(
    "pattern",
    [
        "{$.eventName=ConsoleLogin}",
        '{ $.eventName = "ConsoleLogin" }',
        '{$.errorCode="*UnauthorizedOperation"}',
        '{$.errorCode="Client.*"}',
        "{$.userIdentity.sessionContext.attributes.mfaAuthenticated=false}",
        '{$.userIdentity.type!="IAMUser"}',
        "{$.userIdentity.invokedBy NOT EXISTS}",
        "{$.userIdentity.type EXISTS}",
        "{$.status = 403}",
        "{$.status >= 400 && $.status < 500}",
        "{($.eventName=Other) || ($.eventName=ConsoleLogin)}",
        "{($.status=403) && (($.eventName=Other) || ($.eventName=ConsoleLogin))}",
    ],
)
def test_a_record_is_matched(pattern: str) -> None:
    assert matches(pattern, RECORD)


@pytest.mark.parametrize(
    "pattern",
    [
        "{$.eventName=consolelogin}",
        "{$.eventName=Console}",
        '{$.errorCode="UnauthorizedOperation"}',
        '{$.absent!="anything"}',
        "{$.userIdentity=Root}",
        "{$.userIdentity.type NOT EXISTS}",
        "{$.eventName.more EXISTS}",
        "{$.status != 403}",
        "{$.eventName > 1}",
        "{($.eventName=ConsoleLogin) && ($.status=200)}",
        "{$.resources.ARN=arn}",
    ],
)
def test_a_record_is_not_matched(pattern: str) -> None:
    assert not matches(pattern, RECORD)


def test_a_line_without_a_json_object_is_never_matched() -> None:
    assert not any(matches("{$.a NOT EXISTS}", line) for line in ("text", "[1]", '"a"', ""))


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "ERROR",
        "{}",
        "{$.a}",
        "{$.a=}",
        "{a=1}",
        "{$.a=1",
        "{$.a=1} more",
        "{($.a=1}",
        "{$.a IS NULL}",
        "{$.a NOT THERE}",
        "{$.a[0]=1}",
        "{$.a=%x%}",
        "{$.a>text}",
        "{$.a && 1}",
        "{$.a=1 && $.b=2 || $.c=3}",
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        parse(pattern)
