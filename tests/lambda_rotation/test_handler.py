import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambda_authorizer.assertion import AssertionRefused, decode_keys, mint, verify
from lambda_authorizer.reasons import ConfigurationError
from lambda_authorizer.secret_store import parse
from lambda_rotation import handler
from lambda_rotation.handler import Configuration, RotationFailed

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


def signed_by(secret: Mapping[str, Any]) -> str:
    """An assertion as the authorizer makes it of its secret."""
    return mint(
        parse(json.dumps(secret).encode()).assertion_keys,
        principal="somebody",
        groups=("viewer",),
        scopes=(),
        route="/models",
        method="GET",
        request_id="r",
        now=time.time(),
    )


def accepts(service_keys: dict[str, str], assertion: str) -> bool:
    """Whether a service that holds these keys lets the call in."""
    try:
        verify(assertion, decode_keys(service_keys), now=time.time())
    except AssertionRefused:
        return False
    return True


def test_no_request_is_refused_at_any_step_of_several_rotations(cloud: Any) -> None:
    """Tasks of before the rotation and new ones, authorizers with the secret of before and with the new: all pairs, always."""
    for _ in range(4):
        held = [cloud.parameter()]
        secrets = [cloud.secret()]
        token = cloud.start()
        for name in STEPS:
            cloud.step(name, token)
            held.append(cloud.parameter())
            secrets.append(cloud.secret())
            for service_keys in held:
                for secret in secrets:
                    assert accepts(service_keys, signed_by(secret)), name


def test_after_two_rotations_the_service_of_before_still_accepts_and_the_first_key_opens_nothing(cloud: Any) -> None:
    first = cloud.secret()
    assert accepts(cloud.parameter(), signed_by(first))
    cloud.rotate()
    before_the_last = cloud.parameter()
    cloud.rotate()
    assert accepts(before_the_last, signed_by(cloud.secret()))
    assert not accepts(cloud.parameter(), signed_by(first))
    assert first["current_assertion_key"] not in cloud.parameter()


def test_the_key_that_signs_changes_each_time_and_the_pepper_never(cloud: Any) -> None:
    seen = [cloud.secret()]
    for _ in range(3):
        cloud.rotate()
        seen.append(cloud.secret())
    assert len({secret["current_assertion_key"] for secret in seen}) == 4
    assert len({secret["api_key_pepper"] for secret in seen}) == 1
    assert all(len(secret["assertion_keys"]) == 2 for secret in seen)
    assert len(cloud.parameter()) == 3


def test_each_rotation_replaces_the_tasks_once_with_the_parameter_written_before(cloud: Any) -> None:
    token = cloud.start()
    cloud.step("createSecret", token)
    assert cloud.deployments == []
    cloud.step("setSecret", token)
    (deployment,) = cloud.deployments
    assert deployment["forceNewDeployment"] is True
    assert (deployment["cluster"], deployment["service"]) == ("heartmap-dev", "heartmap-dev-api")
    cloud.step("testSecret", token)
    cloud.step("finishSecret", token)
    assert len(cloud.deployments) == 1


def test_the_parameter_stays_encrypted_under_the_stacks_key(cloud: Any) -> None:
    """Looked at in the call: moto keeps the key of before, where AWS would change to its own."""
    cloud.rotate()
    (written,) = cloud.parameters_written
    assert (written["Type"], written["KeyId"]) == ("SecureString", cloud.configuration.key)


def test_a_secret_of_an_older_stack_gets_its_next_key_first(cloud_with: Callable[[str], Any], cloud: Any) -> None:
    whole = cloud.secret()
    only = whole["current_assertion_key"]
    cloud.secrets.delete_secret(SecretId=cloud.arn, ForceDeleteWithoutRecovery=True)
    cloud.ssm.delete_parameter(Name="/heartmap-dev/assertion-keys")
    older = cloud_with(json.dumps({**whole, "assertion_keys": {only: whole["assertion_keys"][only]}}))
    tasks_of_before = older.parameter()
    older.rotate()
    assert older.secret()["current_assertion_key"] == only
    assert accepts(tasks_of_before, signed_by(older.secret()))
    older.rotate()
    assert older.secret()["current_assertion_key"] != only


def deploying(parsed: dict[str, Any], **_: Any) -> None:
    """Of a deployment whose tasks are not up yet ECS says that it is in progress."""
    for service in parsed["services"]:
        for deployment in service["deployments"]:
            deployment["rolloutState"] = "IN_PROGRESS"


def test_no_key_changes_while_a_deployment_of_the_api_is_under_way(cloud: Any) -> None:
    cloud.rotate()
    before, deployments = cloud.parameter(), len(cloud.deployments)
    # Said here, and not by moto: with the fixes of the local environment, which stay in a process, its deployments are complete.
    cloud.ecs.meta.events.register("after-call.ecs.DescribeServices", deploying)
    token = cloud.start()
    cloud.step("createSecret", token)
    with pytest.raises(RotationFailed, match="under way"):
        cloud.step("setSecret", token)
    assert (cloud.parameter(), len(cloud.deployments)) == (before, deployments)


def test_a_step_that_is_tried_again_goes_on_with_what_is_there(cloud: Any) -> None:
    token = cloud.start()
    cloud.step("createSecret", token)
    pending = cloud.secret("AWSPENDING")
    cloud.step("createSecret", token)
    assert cloud.secret("AWSPENDING") == pending
    for name in STEPS[1:]:
        cloud.step(name, token)
        cloud.step(name, token)
    assert cloud.secret() == pending


def test_tasks_are_replaced_also_when_that_failed_the_first_time(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    token = cloud.start()
    cloud.step("createSecret", token)
    with monkeypatch.context() as patch:
        patch.setattr(cloud.ecs, "update_service", lambda **_: (_ for _ in ()).throw(ClientError({}, "UpdateService")))
        with pytest.raises(ClientError):
            cloud.step("setSecret", token)
    cloud.step("setSecret", token)
    assert len(cloud.deployments) == 1


def test_a_secret_that_the_service_would_not_verify_never_becomes_the_current_one(cloud: Any) -> None:
    first = cloud.secret()
    token = cloud.start()
    cloud.step("createSecret", token)
    cloud.step("setSecret", token)
    other = {"assertion_keys": {"other": next(iter(first["assertion_keys"].values()))}}
    cloud.ssm.put_parameter(Name="/heartmap-dev/assertion-keys", Value=json.dumps(other), Type="SecureString", Overwrite=True)
    for name in ("testSecret", "finishSecret"):
        with pytest.raises(RotationFailed, match="would refuse"):
            cloud.step(name, token)
    assert cloud.secret() == first


def test_the_test_of_a_new_schedule_with_a_copy_of_the_secret_passes(cloud: Any) -> None:
    """Secrets Manager tries the function out like this when the rotation is configured."""
    token = cloud.start()
    cloud.secrets.put_secret_value(
        SecretId=cloud.arn, ClientRequestToken=token, SecretString=json.dumps(cloud.secret()), VersionStages=["AWSPENDING"]
    )
    cloud.step("testSecret", token)


@pytest.mark.parametrize(
    "change",
    [
        {"Step": "deleteSecret"},
        {"Step": None},
        {"SecretId": "arn:aws:secretsmanager:us-east-1:123456789012:secret:another"},
        {"ClientRequestToken": None},
        {"ClientRequestToken": "0" * 32},
    ],
)
def test_an_event_that_is_no_step_of_this_rotation_is_refused(cloud: Any, change: dict[str, Any]) -> None:
    event = {"Step": "createSecret", "SecretId": cloud.arn, "ClientRequestToken": cloud.start()} | change
    with pytest.raises(RotationFailed):
        cloud.rotation.step(event)


def test_a_secret_whose_rotation_is_off_is_left_alone(cloud: Any) -> None:
    token = cloud.start()
    cloud.secrets.cancel_rotate_secret(SecretId=cloud.arn)
    with pytest.raises(RotationFailed, match="none that this secret is being rotated to"):
        cloud.step("createSecret", token)


def test_nothing_that_is_written_holds_a_key(cloud: Any, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.rotate()
    written = capsys.readouterr()
    lines = [json.loads(line) for line in written.out.splitlines()]
    assert [line["step"] for line in lines] == list(STEPS)
    texts = [*cloud.secret()["assertion_keys"].values(), cloud.secret()["api_key_pepper"], *cloud.parameter().values()]
    assert not any(text in written.out + written.err for text in texts)


def test_the_function_reads_its_variables_and_rotates(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    token = cloud.start()
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    names = ("SECRETS", "SERVICE_PARAMETER", "SECRETS_KEY", "CLUSTER", "API_SERVICE")
    for name, value in zip(names, cloud.configuration, strict=True):
        monkeypatch.setenv(f"HEARTMAP_{name}", value)
    first = cloud.secret()
    for name in STEPS:
        handler.handler({"Step": name, "SecretId": cloud.arn, "ClientRequestToken": token}, None)
    assert cloud.secret()["current_assertion_key"] != first["current_assertion_key"]


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(ConfigurationError, match="HEARTMAP_SECRETS is not set"):
        Configuration.load({})
