from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

PARAMETER = "aws:ssm/parameter:Parameter"
SECURE = {"type": "SecureString", "keyId": "alias/trial"}


def test_a_parameter_keeps_its_value_under_the_key(make: Callable[..., Any], cloud: Any) -> None:
    made = make(PARAMETER, name="/trial/kept", value="one", description="what it is", tags={"a": "b"}, **SECURE)
    assert made.state["arn"] == f"arn:aws:ssm:us-east-1:{cloud.account}:parameter/trial/kept"
    assert made.drift() == {}
    read = cloud.client("ssm").get_parameter(Name=made.state["arn"], WithDecryption=True)["Parameter"]
    assert (read["Value"], read["Type"], read["Version"]) == ("one", "SecureString", 1)
    made.delete()
    made.delete()
    assert made.read() is None


def test_another_value_is_another_version_and_a_tag_is_none(make: Callable[..., Any]) -> None:
    made = make(PARAMETER, name="/trial/versions", value="one", **SECURE)
    assert made.update(tags={"a": "b"})["version"] == 1
    assert made.update(value="two")["version"] == 2
    assert made.drift() == {}
    assert made.update(tags=None, description="words")["version"] == 3
    assert made.drift() == {}


def test_what_somebody_else_wrote_is_found_by_a_refresh(make: Callable[..., Any], cloud: Any) -> None:
    made = make(PARAMETER, name="/trial/rotated", value="one", **SECURE)
    cloud.client("ssm").put_parameter(Name="/trial/rotated", Value="two", Type="SecureString", Overwrite=True)
    assert made.drift() == {"value": ("one", "two"), "version": (1, 2)}


def test_a_name_that_is_taken_is_refused(make: Callable[..., Any]) -> None:
    make(PARAMETER, name="/trial/taken", value="one", type="String")
    with pytest.raises(ClientError, match="ParameterAlreadyExists"):
        make(PARAMETER, name="/trial/taken", value="two", type="String")


def test_the_type_is_one_that_exists_and_only_a_secure_one_has_a_key(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(PARAMETER, name="a", value="b", type="Secure")
    assert "SecureString" in reason
    (reason,) = refusals(PARAMETER, name="a", value="b", type="String", keyId="alias/trial")
    assert "keyId" in reason


DOCUMENT = "aws:ssm/document:Document"


def content(**inputs: Any) -> str:
    return json.dumps({"schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": inputs})


def test_a_document_that_changes_is_used_in_its_new_version(make: Callable[..., Any], cloud: Any) -> None:
    made = make(DOCUMENT, name="trial-session", documentType="Session", content=content(kmsKeyId="a"), tags={"a": "b"})
    assert made.drift() == {}
    assert made.update(content=content(kmsKeyId="b"), tags=None)["defaultVersion"] == "2"
    assert json.loads(cloud.client("ssm").get_document(Name=made.id)["Content"])["inputs"] == {"kmsKeyId": "b"}
    assert made.drift() == {}
    made.delete()
    made.delete()
    assert made.read() is None


def test_what_somebody_wrote_into_a_document_is_found_by_a_refresh(make: Callable[..., Any], cloud: Any) -> None:
    made = make(DOCUMENT, name="trial-written", documentType="Session", content=content(kmsKeyId="a"))
    ssm = cloud.client("ssm")
    ssm.update_document(Name=made.id, Content=content(), DocumentFormat="JSON", DocumentVersion="$LATEST")
    ssm.update_document_default_version(Name=made.id, DocumentVersion="2")
    assert {"content", "defaultVersion", "latestVersion"} == set(made.drift())


def test_a_document_is_json(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(DOCUMENT, name="a", documentType="Session", content="{")
    assert "no JSON" in reason
    (reason,) = refusals(DOCUMENT, name="a", documentType="Session", documentFormat="YAML", content="{}")
    assert "JSON only" in reason
