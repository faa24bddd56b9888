"""POST /token at the edge, in this process: real signatures by botocore, of users and role sessions of the emulated AWS."""

import asyncio
import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import httpx
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.gateway_responses import GATEWAY_RESPONSES
from lambda_authorizer.building.target import Target
from lambda_token import package
from local_cloud.edge.__main__ import running_edge
from local_cloud.edge.app import Edge

ACCOUNT, REGION, TABLE = "123456789012", "us-east-1", "heartmap-local-api-keys"
PUBLISHER = f"arn:aws:iam::{ACCOUNT}:role/ci/publisher"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


@pytest.fixture(scope="module")
def site(make_site: Callable, aws: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A REST API with POST /token before the real function, as infra/ deploys it."""
    made = make_site()
    made.method("POST", "/echo")
    for answer in GATEWAY_RESPONSES:
        made.gateway.put_gateway_response(
            restApiId=made.api,
            responseType=answer.response_type,
            responseTemplates={"application/json": answer.template},
            responseParameters=answer.parameters,
            **({"statusCode": str(answer.status)} if answer.status else {}),
        )
    secret = {
        "api_key_pepper": base64.b64encode(b"p" * 32).decode(),
        "assertion_keys": {"a": base64.b64encode(b"a" * 32).decode()},
        "current_assertion_key": "a",
    }
    arn = aws("secretsmanager").create_secret(Name="authorizer", SecretString=json.dumps(secret))["ARN"]
    aws("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "public_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "public_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    code = package.build(tmp_path_factory.mktemp("token"), target=Target.host()).read_bytes()
    made.token_function(
        code,
        {
            "HEARTMAP_ENVIRONMENT": "local",
            "HEARTMAP_API_KEYS_TABLE": TABLE,
            "HEARTMAP_SECRETS": arn,
            "HEARTMAP_IAM_ROLES": json.dumps({PUBLISHER: ["analyst"]}),
        },
    )
    made.deploy(log_format='{"role":"$context.identity.userArn","status":$context.status}')
    made.arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{made.api}/live/POST/token"
    return made


@pytest.fixture
async def edge(site: Any, local_environment: dict[str, str]) -> AsyncIterator[Edge]:
    async with running_edge(site.state, 8443) as serving:
        yield serving


def statement(resource: Any, **changes: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource} | changes


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture
def assume(aws: Callable[[str], Any], site: Any) -> Callable[..., Credentials]:
    """A session of a new role with these statements (of the call itself by default)."""
    iam = aws("iam")

    def make(
        name: str = "publisher", *, path: str = "/ci/", policies: tuple[str, ...] | None = None, **session: Any
    ) -> Credentials:
        with contextlib.suppress(iam.exceptions.NoSuchEntityException):
            for old in iam.list_role_policies(RoleName=name)["PolicyNames"]:
                iam.delete_role_policy(RoleName=name, PolicyName=old)
            iam.delete_role(RoleName=name)
        role = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        for number, text in enumerate((policy(statement(site.arn)),) if policies is None else policies):
            iam.put_role_policy(RoleName=name, PolicyName=f"p{number}", PolicyDocument=text)
        given = aws("sts").assume_role(RoleArn=role, RoleSessionName="build-7", **session)["Credentials"]
        return Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])

    return make


def signed(
    credentials: Credentials,
    *,
    method: str = "POST",
    url: str = "https://localhost:8443/token",
    body: bytes = b"",
    region: str = REGION,
    service: str = "execute-api",
    **headers: str,
) -> Any:
    request = AWSRequest(method, url, data=body, headers=headers)
    SigV4Auth(credentials, service, region).add_auth(request)
    return request


@contextlib.asynccontextmanager
async def client(edge: Edge) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=edge, client=("127.0.0.1", 50000))  # pyright: ignore[reportArgumentType]
    async with httpx.AsyncClient(transport=transport, base_url="https://localhost:8443") as opened:
        yield opened


async def send(
    edge: Edge, request: Any, changes: dict[str, str | None] | None = None, *, body: bytes | None = None
) -> httpx.Response:
    """Sends a signed request, with headers changed (None takes one away) or another body after it was signed."""
    headers = {name: value for name, value in {**dict(request.headers), **(changes or {})}.items() if value is not None}
    async with client(edge) as opened:
        return await opened.request(request.method, request.url, headers=headers, content=request.data if body is None else body)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code")


async def test_a_role_exchanges_its_signature_for_a_key_of_its_groups(edge: Edge, assume: Callable, aws: Callable) -> None:
    answer = await send(edge, signed(assume()))
    assert answer.status_code == 200
    given = answer.json()
    assert (given["token_type"], given["expires_in"], given["groups"]) == ("ApiKey", 900, ["analyst"])
    assert answer.headers["cache-control"] == "no-store"
    public_id = given["access_token"].split("_")[2]
    item = aws("dynamodb").get_item(TableName=TABLE, Key={"public_id": {"S": public_id}})["Item"]
    assert (item["principal"]["S"], item["groups"]["SS"]) == (PUBLISHER, ["analyst"])


async def test_query_body_and_headers_are_part_of_the_signature(edge: Edge, assume: Callable) -> None:
    request = signed(assume(), url="https://localhost:8443/token?b=2&a=1%2F%20x&a=", body=b'{"x": 1}', **{"X-Amz-Note": "a  b"})
    assert (await send(edge, request)).status_code == 200
    assert code(await send(edge, request, body=b'{"x": 2}')) == (403, "invalid_signature")
    assert code(await send(edge, request, {"X-Amz-Note": "other"})) == (403, "invalid_signature")
    request.url = request.url.replace("b=2", "b=3")
    assert code(await send(edge, request)) == (403, "invalid_signature")


@pytest.mark.parametrize("authorization", [None, "Bearer allow", "ApiKey hm_local_x_y", "AWS4-HMAC-SHA256 Credential=x", ""])
async def test_no_credential_but_an_iam_signature_opens_post_token(edge: Edge, authorization: str | None) -> None:
    async with client(edge) as opened:
        headers = {} if authorization is None else {"Authorization": authorization}
        answer = await opened.post("/token", headers=headers)
    assert code(answer) == (403, "no_such_route" if authorization is None else "invalid_signature")
    assert "access_token" not in answer.text


@pytest.mark.parametrize(
    "arguments",
    [
        {"region": "eu-west-1"},
        {"service": "sts"},
        {"url": "https://localhost:8443/echo"},
        {"url": "https://localhost:8443/token?a=1"},
        {"method": "GET"},
    ],
)
async def test_a_signature_of_another_call_is_refused(edge: Edge, assume: Callable, arguments: dict[str, Any]) -> None:
    request = signed(assume(), **arguments)
    request.method, request.url = "POST", "https://localhost:8443/token"
    assert code(await send(edge, request)) == (403, "invalid_signature")


async def test_a_signature_for_another_host_is_refused(edge: Edge, assume: Callable) -> None:
    request = signed(assume(), url="https://api.example.org/token")
    request.url = "https://localhost:8443/token"
    assert code(await send(edge, request)) == (403, "invalid_signature")


@pytest.mark.parametrize(
    "change",
    [
        lambda c: Credentials(c.access_key, c.secret_key.swapcase() + "x", c.token),
        lambda c: Credentials("ASIA" + "X" * 16, c.secret_key, c.token),
        lambda c: Credentials(c.access_key, c.secret_key, c.token + "x"),
        lambda c: Credentials(c.access_key, c.secret_key),
        lambda _: Credentials("local", "local"),
        lambda _: Credentials("localkey", "local"),
    ],
)
async def test_whoever_is_nobody_of_this_account_is_refused(edge: Edge, assume: Callable, change: Callable) -> None:
    assert code(await send(edge, signed(change(assume())))) == (403, "invalid_signature")


@pytest.mark.parametrize("minutes", [-6, 6])
async def test_an_old_signature_is_refused_and_one_of_the_future(
    edge: Edge, assume: Callable, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: moment.replace(tzinfo=None))
    request = signed(assume())
    assert request.headers["X-Amz-Date"] == moment.strftime("%Y%m%dT%H%M%SZ")
    assert code(await send(edge, request)) == (403, "invalid_signature")


async def test_headers_that_have_to_be_signed_are_not_taken_unsigned(edge: Edge, assume: Callable) -> None:
    request = signed(assume())
    assert code(await send(edge, request, {"X-Amz-Extra": "unsigned"})) == (403, "invalid_signature")
    assert code(await send(edge, request, {"X-Amz-Date": None})) == (403, "invalid_signature")
    async with client(edge) as opened:
        twice = [*request.headers.items(), ("Authorization", request.headers["Authorization"])]
        assert code(await opened.post("/token", headers=twice)) == (403, "invalid_signature")


async def test_a_presigned_url_is_no_signature_here(edge: Edge, assume: Callable) -> None:
    request: Any = AWSRequest("POST", "https://localhost:8443/token")
    SigV4QueryAuth(assume(), "execute-api", REGION).add_auth(request)
    async with client(edge) as opened:
        assert code(await opened.post(request.url)) == (403, "no_such_route")


def other(site: Any) -> str:
    return site.arn.replace("/POST/token", "/GET/echo")


@pytest.mark.parametrize(
    ("policies", "allowed"),
    [
        (lambda s: [], False),
        (lambda s: [policy(statement(other(s)))], False),
        (lambda s: [policy(statement(s.arn, Action="execute-api:ManageConnections"))], False),
        (lambda s: [policy(statement(s.arn, Action="s3:*"))], False),
        (lambda s: [policy(statement(s.arn)), policy(statement("*", Effect="Deny"))], False),
        (lambda s: [policy(statement(s.arn)), policy(statement([s.arn], Effect="Deny", Action=["*"]))], False),
        (lambda s: [policy(statement(s.arn, Condition={"StringEquals": {"aws:RequestedRegion": "x"}}))], False),
        (
            lambda s: [
                policy(statement(s.arn)),
                policy(statement("arn:aws:s3:::x", Effect="Deny", Condition={"Bool": {"a": "true"}})),
            ],
            False,
        ),
        (lambda s: [policy({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"})], False),
        (lambda s: [policy(statement(s.arn)), policy(statement(other(s), Effect="Deny"))], True),
        (lambda s: [policy(statement("*", Action="*"))], True),
        (lambda s: [policy(statement(s.arn.replace("/live/", "/*/"), Action=["execute-api:*"]))], True),
    ],
)
async def test_what_the_roles_policies_say_of_this_call_decides(
    edge: Edge, assume: Callable, site: Any, policies: Callable[[Any], list[str]], allowed: bool
) -> None:
    answer = await send(edge, signed(assume(policies=tuple(policies(site)))))
    assert code(answer) == (403, "forbidden") if not allowed else answer.status_code == 200


async def test_a_session_policy_and_a_boundary_limit_what_the_role_may(
    edge: Edge, assume: Callable, site: Any, aws: Callable
) -> None:
    narrow, wide = policy(statement(other(site))), policy(statement("*", Action="*"))
    assert code(await send(edge, signed(assume(Policy=narrow)))) == (403, "forbidden")
    assert (await send(edge, signed(assume(Policy=wide)))).status_code == 200
    boundary = aws("iam").create_policy(PolicyName="boundary", PolicyDocument=narrow)["Policy"]["Arn"]
    credentials = assume()
    aws("iam").put_role_permissions_boundary(RoleName="publisher", PermissionsBoundary=boundary)
    assert code(await send(edge, signed(credentials))) == (403, "forbidden")


async def test_an_attached_policy_counts_by_its_default_version(edge: Edge, assume: Callable, site: Any, aws: Callable) -> None:
    iam = aws("iam")
    arn = iam.create_policy(PolicyName="token-callers", PolicyDocument=policy(statement(site.arn)))["Policy"]["Arn"]
    credentials = assume(policies=())
    iam.attach_role_policy(RoleName="publisher", PolicyArn=arn)
    assert (await send(edge, signed(credentials))).status_code == 200
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(statement(other(site))), SetAsDefault=True)
    assert code(await send(edge, signed(credentials))) == (403, "forbidden")
    iam.detach_role_policy(RoleName="publisher", PolicyArn=arn)


async def test_a_role_that_the_stack_does_not_name_gets_nothing_and_a_user_neither(
    edge: Edge, assume: Callable, site: Any, aws: Callable
) -> None:
    assert code(await send(edge, signed(assume("stranger", path="/")))) == (403, "unknown_role")
    iam = aws("iam")
    iam.create_user(UserName="someone")
    iam.put_user_policy(UserName="someone", PolicyName="p", PolicyDocument=policy(statement(site.arn)))
    key = iam.create_access_key(UserName="someone")["AccessKey"]
    credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    assert code(await send(edge, signed(credentials))) == (403, "not_a_role")
    iam.update_access_key(UserName="someone", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert code(await send(edge, signed(credentials))) == (403, "invalid_signature")


async def test_a_role_of_another_account_is_refused(edge: Edge, site: Any, aws_endpoint: str, aws: Callable) -> None:
    elsewhere = aws("sts").assume_role(RoleArn="arn:aws:iam::210987654321:role/any", RoleSessionName="s1")["Credentials"]
    session: Any = boto3.Session(elsewhere["AccessKeyId"], elsewhere["SecretAccessKey"], elsewhere["SessionToken"], REGION)
    iam = session.client("iam", endpoint_url=aws_endpoint)
    role = iam.create_role(RoleName="publisher", Path="/ci/", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    assert ":210987654321:" in role
    iam.put_role_policy(RoleName="publisher", PolicyName="p", PolicyDocument=policy(statement("*", Action="*")))
    given = session.client("sts", endpoint_url=aws_endpoint).assume_role(RoleArn=role, RoleSessionName="s1")["Credentials"]
    credentials = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    assert code(await send(edge, signed(credentials))) == (403, "forbidden")


async def test_a_session_that_has_ended_is_nobody(edge: Edge, assume: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = assume(DurationSeconds=900)
    assert (await send(edge, signed(credentials))).status_code == 200
    later = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=901)
    monkeypatch.setattr("local_cloud.signatures.utcnow", lambda: later)
    assert code(await send(edge, signed(credentials))) == (403, "invalid_signature")


async def test_the_question_about_a_signature_gives_no_secret_away(aws_endpoint: str, assume: Callable) -> None:
    credentials = assume()
    scope = f"20300101/{REGION}/execute-api/aws4_request"
    question = {
        "access_key_id": credentials.access_key,
        "session_token": credentials.token,
        "scope": scope,
        "string_to_sign": "x",
        "signature": hashlib.sha256(b"").hexdigest(),
    }
    async with httpx.AsyncClient(base_url=aws_endpoint) as opened:
        assert (await opened.post("/heartmap/signatures", json=question)).status_code == 403
        for broken in ({}, [], question | {"scope": None}, question | {"signature": 1}):
            answer = await opened.post("/heartmap/signatures", json=broken)
            assert answer.status_code in (400, 403)
            assert credentials.secret_key not in answer.text
        assert (await opened.get("/heartmap/signatures")).status_code == 400


async def test_addresses_outside_the_policy_are_refused_before_anyone_is_asked(
    site: Any, local_environment: dict[str, str], assume: Callable
) -> None:
    def put(text: str) -> None:
        site.gateway.update_rest_api(restApiId=site.api, patchOperations=[{"op": "replace", "path": "/policy", "value": text}])

    refusal = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "execute-api:Invoke",
        "Resource": "*",
        "Condition": {"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}},
    }
    put(policy(refusal))
    try:
        async with running_edge(site.state, 8443) as edge:
            assert code(await send(edge, signed(assume()))) == (403, "forbidden")
            async with client(edge) as opened:
                assert code(await opened.get("/echo", headers={"Authorization": "Bearer allow"})) == (403, "forbidden")
    finally:
        put("")


@pytest.fixture
def audit(site: Any) -> Callable[[], SimpleNamespace]:
    return lambda: SimpleNamespace(text=(site.state / "log" / f"{site.token}.log").read_text())


async def test_the_exchange_is_recorded_in_the_functions_log(edge: Edge, assume: Callable, audit: Callable) -> None:
    key = (await send(edge, signed(assume()))).json()["access_token"]
    public_id = key.split("_")[2]
    # Not by blocking: what the function prints is read by a task of this same loop.
    for _ in range(500):
        if public_id in audit().text:
            break
        await asyncio.sleep(0.02)
    assert key not in audit().text
    line = next(json.loads(line) for line in audit().text.splitlines() if public_id in line)
    assert (line["event"], line["decision"], line["principal"], line["session"]) == ("token", "allow", PUBLISHER, "build-7")
