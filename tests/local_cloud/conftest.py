"""An emulated AWS for the tests of the local cloud, a deployed REST API in it, and a service for that API to lead to."""

import functools
import hashlib
import io
import json
import os
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import uvicorn

from local_cloud import tls
from local_cloud.moto_server import running_moto

REGION, ACCOUNT = "us-east-1", "123456789012"


@pytest.fixture(scope="module")
def aws_endpoint() -> Iterator[str]:
    """The URL of an emulated AWS that is empty when the module begins."""
    with running_moto() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def aws(aws_endpoint: str) -> Callable[[str], Any]:
    """Gives the boto3 client of a service of the emulated AWS."""
    session: Any = boto3.Session("local", "local", region_name=REGION)
    return functools.cache(lambda service: session.client(service, endpoint_url=aws_endpoint))


@pytest.fixture
def local_environment(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables by which the processes of the local environment find AWS."""
    variables = {
        "AWS_ENDPOINT_URL": aws_endpoint,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture(scope="session")
def zipped() -> Callable[..., bytes]:
    """Makes a zip with these Python files."""

    def build(**files: str) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, text in files.items():
                archive.writestr(f"{name}.py", text)
        return buffer.getvalue()

    return build


@pytest.fixture(scope="session")
def poll() -> Callable[[Callable[[], Any]], Any]:
    """Waits until a condition holds and gives its value; fails after 10 seconds."""

    def wait(condition: Callable[[], Any]) -> Any:
        pause = threading.Event()
        for _ in range(500):
            if value := condition():
                return value
            pause.wait(0.02)
        pytest.fail("nothing came within 10 seconds")

    return wait


@pytest.fixture(scope="session")
def authorizer_code() -> str:
    """An authorizer that does what the credential says."""
    return """
import json, os, time

def handler(event, context):
    word = event["headers"]["authorization"].removeprefix("Bearer ")
    print(json.dumps({"audit": word, "request_id": event["requestContext"]["requestId"]}))
    if word == "unauthorized":
        raise Exception("Unauthorized")
    if word == "broken":
        raise ValueError("a secret detail")
    if word == "nearly":
        raise Exception("Unauthorized: expired")
    if word == "slow":
        time.sleep(60)
    if word == "exit":
        os._exit(1)
    arn = event["methodArn"]
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": arn}
    answer = {
        "principalId": "someone",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"assertion": "minted." + event["requestContext"]["requestId"], "number": 7, "flag": True},
    }
    if word == "event":
        answer["context"]["event"] = json.dumps(event)
    if word == "deny":
        statement["Effect"] = "Deny"
        answer["context"]["reason"] = 'too "old"'
    if word == "other route":
        statement["Resource"] = arn.replace("/echo", "/other")
    if word == "no assertion":
        del answer["context"]["assertion"]
    if word == "nested":
        answer["context"]["groups"] = ["viewer"]
    if word == "nameless":
        answer["principalId"] = ""
    if word == "header injection":
        answer["context"]["assertion"] = "x\\r\\nX-Injected: yes"
    return answer
"""


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A service over TLS that answers with what it got, or misbehaves as the query says. ``requests`` holds what arrived."""
    files = tls.ensure(tmp_path_factory.mktemp("backend-tls"))
    requests: list[dict[str, Any]] = []
    release = threading.Event()

    async def app(scope: dict[str, Any], receive: Callable, send: Callable) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        got = {
            "method": scope["method"],
            "target": scope["raw_path"].decode() + (f"?{scope['query_string'].decode()}" if scope["query_string"] else ""),
            "headers": [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]],
            "sha256": hashlib.sha256(body).hexdigest(),
            "bytes": len(body),
        }
        requests.append(got)
        query = scope["query_string"]
        if query == b"hang":
            while not release.is_set() and (await receive())["type"] != "http.disconnect":
                pass
            return
        content = b"x" * (11 * 1024 * 1024) if query == b"large" else json.dumps(got).encode()
        headers = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff"), (b"x-from", b"service")]
        headers += [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"connection", b"x-hop"), (b"x-hop", b"1")]
        status = 418 if query == b"teapot" else 200
        if query.startswith(b"conditional="):
            status = int(query.removeprefix(b"conditional="))
            headers += [(b"etag", b'"7"'), (b"retry-after", b"60")]
            content = b"" if status == 304 else content
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off", ws="none", http="h11")
    config.load()
    config.ssl = tls.server_context(files)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    pause = threading.Event()
    while not server.started:
        pause.wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield SimpleNamespace(port=port, requests=requests)
    release.set()
    server.should_exit = True
    thread.join(10)


class Site:
    """A REST API in front of the backend, in the shape in which infra/ deploys it. Tests change its parts by boto3."""

    def __init__(self, aws: Callable[[str], Any], code: bytes, port: int, state: Path, **settings: Any) -> None:
        """``settings`` are of the authorizer's function, in place of those of one that is ``app.handler``."""
        self.aws, self.state = aws, state
        self.gateway = aws("apigateway")
        self._unique = os.urandom(4).hex()
        self.access_log_group = f"/api/access-{self._unique}"
        self._balancer(port)
        self.api = self.gateway.create_rest_api(
            name="site", endpointConfiguration={"types": ["REGIONAL"]}, binaryMediaTypes=["multipart/form-data"]
        )["id"]
        self.root = self.gateway.get_resources(restApiId=self.api)["items"][0]["id"]
        self.resources = {"/": self.root}
        self.link = aws("apigatewayv2").create_vpc_link(Name="link", SubnetIds=[self.subnet])["VpcLinkId"]
        self._function(code, {"Handler": "app.handler", "Timeout": 1, **settings})
        self.validator = self.gateway.create_request_validator(
            restApiId=self.api, name="parameters", validateRequestParameters=True, validateRequestBody=False
        )["id"]

    def _balancer(self, port: int) -> None:
        ec2, elb = self.aws("ec2"), self.aws("elbv2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        zones = ("us-east-1a", "us-east-1b")
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
            for n, zone in enumerate(zones)
        ]
        self.subnet = subnets[0]
        self.balancer = elb.create_load_balancer(Name=f"alb-{self._unique}", Subnets=subnets, Scheme="internal")["LoadBalancers"][
            0
        ]["LoadBalancerArn"]
        self.group = elb.create_target_group(
            Name=f"group-{self._unique}", Protocol="HTTPS", Port=8443, VpcId=vpc, TargetType="ip"
        )["TargetGroups"][0]["TargetGroupArn"]
        self.listener = elb.create_listener(
            LoadBalancerArn=self.balancer,
            Protocol="HTTPS",
            Port=443,
            Certificates=[
                {"CertificateArn": self.aws("acm").request_certificate(DomainName="service.internal")["CertificateArn"]}
            ],
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.group}],
        )["Listeners"][0]["ListenerArn"]
        elb.register_targets(TargetGroupArn=self.group, Targets=[{"Id": "127.0.0.1", "Port": port}])

    def _function(self, code: bytes, settings: dict[str, Any]) -> None:
        iam, s3, functions = self.aws("iam"), self.aws("s3"), self.aws("lambda")
        role = iam.create_role(RoleName=f"authorizer-{self._unique}", AssumeRolePolicyDocument='{"Statement": []}')["Role"]["Arn"]
        self.function = f"authorizer-{self._unique}"
        self.audit_log_group = f"/aws/lambda/{self.function}"
        self.aws("logs").create_log_group(logGroupName=self.audit_log_group)
        bucket = f"artifacts-{self._unique}"
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="authorizer/code.zip", Body=code)
        arn = functions.create_function(
            FunctionName=self.function,
            Runtime="python3.13",
            Role=role,
            Code={"S3Bucket": bucket, "S3Key": "authorizer/code.zip"},
            MemorySize=512,
            LoggingConfig={"LogFormat": "Text", "LogGroup": self.audit_log_group},
            **settings,
        )["FunctionArn"]
        self.authorizer = self.gateway.create_authorizer(
            restApiId=self.api,
            name="authorizer",
            type="REQUEST",
            authorizerUri=f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations",
            identitySource="method.request.header.Authorization",
            authorizerResultTtlInSeconds=0,
        )["id"]
        functions.add_permission(
            FunctionName=self.function,
            StatementId="gateway",
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{self.api}/authorizers/{self.authorizer}",
        )

    def resource(self, route: str) -> str:
        if route not in self.resources:
            parent, _, part = route.rpartition("/")
            created = self.gateway.create_resource(restApiId=self.api, parentId=self.resource(parent or "/"), pathPart=part)
            self.resources[route] = created["id"]
        return self.resources[route]

    def method(self, method: str, route: str, *, required: tuple[str, ...] = (), **changes: Any) -> None:
        """Adds a method; ``changes`` are of the integration."""
        at = {"restApiId": self.api, "resourceId": self.resource(route), "httpMethod": method}
        parameters = [part[1:-1] for part in route.split("/") if part.startswith("{")]
        self.gateway.put_method(
            **at,
            authorizationType="CUSTOM",
            authorizerId=self.authorizer,
            requestValidatorId=self.validator,
            requestParameters={f"method.request.path.{name}": True for name in parameters} | dict.fromkeys(required, True),
        )
        integration = {
            "type": "HTTP_PROXY",
            "integrationHttpMethod": method,
            "connectionType": "VPC_LINK",
            "connectionId": self.link,
            "integrationTarget": self.balancer,
            "uri": f"https://service.internal{route}",
            "timeoutInMillis": 29_000,
            "tlsConfig": {"insecureSkipVerification": True},
            "requestParameters": {f"integration.request.path.{name}": f"method.request.path.{name}" for name in parameters}
            | {
                "integration.request.header.X-HeartMAP-Assertion": "context.authorizer.assertion",
                "integration.request.header.X-Request-Id": "context.requestId",
                "integration.request.header.X-Event": "context.authorizer.event",
                "integration.request.header.Authorization": "'redacted'",
            },
        }
        self.gateway.put_integration(**at, **(integration | changes))

    def token_function(self, code: bytes, variables: dict[str, str]) -> None:
        """Adds POST /token, which asks for a signature, before a function with this code."""
        arn = self._another_function("token", code, Handler="lambda_token.handler.handler", Environment={"Variables": variables})
        self.token = arn.rpartition(":")[2]
        self.function_method(arn, "POST", "/token", authorizationType="AWS_IAM")

    def _another_function(self, purpose: str, code: bytes, **settings: Any) -> str:
        """The ARN of a function beside the authorizer's."""
        functions, name, bucket = self.aws("lambda"), f"{purpose}-{self._unique}", f"artifacts-{self._unique}"
        self.aws("logs").create_log_group(logGroupName=f"/aws/lambda/{name}")
        self.aws("s3").put_object(Bucket=bucket, Key=f"{purpose}/code.zip", Body=code)
        return functions.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=functions.get_function_configuration(FunctionName=self.function)["Role"],
            Code={"S3Bucket": bucket, "S3Key": f"{purpose}/code.zip"},
            Timeout=10,
            **settings,
        )["FunctionArn"]

    def behind_the_authorizer(self, purpose: str, code: bytes, *calls: tuple[str, str], **settings: Any) -> None:
        """Adds methods that the authorizer guards and a function with this code answers."""
        arn = self._another_function(purpose, code, **settings)
        for method, route in calls:
            self.function_method(arn, method, route, authorizationType="CUSTOM", authorizerId=self.authorizer)

    def function_method(self, function_arn: str, method: str, route: str, **authorization: Any) -> None:
        """Adds a method that a function answers, and lets it be invoked for that."""
        self.aws("lambda").add_permission(
            FunctionName=function_arn.rpartition(":")[2],
            StatementId=f"{method}{re.sub('[^A-Za-z]', '-', route)}",
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{self.api}/live/{method}{re.sub('{[a-z_]+}', '*', route)}",
            SourceAccount=ACCOUNT,
        )
        at = {"restApiId": self.api, "resourceId": self.resource(route), "httpMethod": method}
        self.gateway.put_method(**at, requestValidatorId=self.validator, **authorization)
        self.gateway.put_integration(
            **at,
            type="AWS_PROXY",
            integrationHttpMethod="POST",
            uri=f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function_arn}/invocations",
        )

    def gateway_response(self, response_type: str, status: int | None, code: str, **members: str) -> None:
        self.gateway.put_gateway_response(
            restApiId=self.api,
            responseType=response_type,
            responseParameters={
                "gatewayresponse.header.Content-Type": "'application/problem+json'",
                "gatewayresponse.header.X-Content-Type-Options": "'nosniff'",
                "gatewayresponse.header.X-Request-Id": "context.requestId",
            },
            responseTemplates={"application/json": json.dumps({"code": code, "request_id": "$context.requestId"} | members)},
            **({"statusCode": str(status)} if status else {}),
        )

    def deploy(self, *, log_format: str = '{"id":"$context.requestId","status":$context.status}') -> None:
        """Makes the stage."""
        deployment = self.gateway.create_deployment(restApiId=self.api)["id"]
        self.gateway.create_stage(restApiId=self.api, stageName="live", deploymentId=deployment)
        self.aws("logs").create_log_group(logGroupName=self.access_log_group)
        arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{self.access_log_group}"
        self.patch({"/accessLogSettings/destinationArn": arn, "/accessLogSettings/format": log_format})
        self.stage_arn = f"arn:aws:apigateway:{REGION}::/restapis/{self.api}/stages/live"
        self.outputs = {"rest_api_id": self.api, "stage_name": "live", "stage_arn": self.stage_arn}
        self.save()

    def patch(self, settings: dict[str, str]) -> None:
        operations = [{"op": "replace", "path": path, "value": value} for path, value in settings.items()]
        self.gateway.update_stage(restApiId=self.api, stageName="live", patchOperations=operations)

    def throttle(self, method: str, route: str, rate: float, burst: int) -> None:
        path = f"/{route.replace('/', '~1')}/{method}/throttling"
        self.patch({f"{path}/rateLimit": str(rate), f"{path}/burstLimit": str(burst)})

    def web_acl(self, *rules: dict[str, Any], **changes: Any) -> str:
        """Associates a web ACL with these rules, in this order."""
        visibility = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "acl"}
        numbered = [{"Name": f"rule-{n}", "Priority": n, "VisibilityConfig": visibility, **rule} for n, rule in enumerate(rules)]
        wafv2 = self.aws("wafv2")
        arguments = {"Rules": numbered, "DefaultAction": {"Allow": {}}, "VisibilityConfig": visibility} | changes
        arn = wafv2.create_web_acl(Name=f"acl-{self._unique}", Scope="REGIONAL", **arguments)["Summary"]["ARN"]
        wafv2.associate_web_acl(WebACLArn=arn, ResourceArn=self.stage_arn)
        self.outputs["web_acl_arn"] = arn
        self.save()
        return arn

    def statement(self, version: str, *addresses: str) -> dict[str, Any]:
        """Matches what is in a new IP set."""
        arguments = {"Scope": "REGIONAL", "IPAddressVersion": version, "Addresses": list(addresses)}
        ip_set = self.aws("wafv2").create_ip_set(Name=f"set-{os.urandom(4).hex()}", **arguments)
        return {"IPSetReferenceStatement": {"ARN": ip_set["Summary"]["ARN"]}}

    def save(self) -> None:
        """Writes the outputs as the deployment does."""
        self.state.mkdir(parents=True, exist_ok=True)
        (self.state / "outputs.json").write_text(json.dumps(self.outputs))


@pytest.fixture(scope="module")
def make_site(
    aws: Callable[[str], Any],
    zipped: Callable[..., bytes],
    authorizer_code: str,
    backend: SimpleNamespace,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Site]:
    """Gives a site of its own with GET /echo, not deployed yet; with another authorizer where there is ``code``."""

    def make(code: bytes | None = None, **settings: Any) -> Site:
        code = zipped(app=authorizer_code) if code is None else code
        site = Site(aws, code, backend.port, tmp_path_factory.mktemp("state"), **settings)
        site.method("GET", "/echo")
        return site

    return make
