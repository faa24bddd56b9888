"""`heartmapctl preflight`: each condition broken in the emulated AWS, one at a time, is found, and healed is well again."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto.awslambda.models import lambda_backends
from moto.iam.models import iam_backends
from moto.servicequotas.models import servicequotas_backends
from moto.sesv2.models import sesv2_backends
from typer.testing import CliRunner

from operator_cli.errors import CliError
from operator_cli.main import app
from operator_cli.preflight import permissions, run
from operator_cli.preflight.account import LINKED_ROLES
from operator_cli.preflight.place import READING, NotReadOnly, Place, reading_only
from posture.plan import ACCOUNT, IN_AWS, ROOT, plan_of

REGION = "us-east-1"
Clients = Callable[[str], Any]
Break = Callable[[Clients, Place, Any], Any]
BREAKS: list[tuple[str, str, str, Break]] = []


def breaks(name: str, state: str, told: str) -> Callable[[Any], Any]:
    """Registers what breaks a check, and heals it after its yield: the state that it then has, and a word of its line."""

    def register(function: Any) -> Any:
        @contextmanager
        def broken(*args: Any) -> Iterator[None]:
            steps = function(*args)
            next(steps)
            try:
                yield
            finally:
                next(steps, None)

        BREAKS.append((name, state, told, broken))
        return function

    return register


# Permissions


@breaks("permissions", "fail", "s3:CreateBucket")
def a_policy_that_lacks_an_action(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    denied = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:CreateBucket", "Resource": "*"}]}
    aws("iam").put_role_policy(RoleName="deployer", PolicyName="less", PolicyDocument=json.dumps(denied))
    yield
    aws("iam").delete_role_policy(RoleName="deployer", PolicyName="less")


# Quotas


@contextmanager
def quota(code: str, value: float) -> Iterator[None]:
    values = vars(servicequotas_backends[ACCOUNT][REGION]).setdefault("values", {})
    values[code] = value
    yield
    del values[code]


def _quota(code: str, value: float) -> Any:
    def function(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
        with quota(code, value):
            yield

    return function


for code, value, told in (
    ("L-F678F1CE", 1, "VPCs"),
    ("L-29B6F2EB", 3, "interface endpoints"),
    ("L-1B52E74A", 1, "gateway endpoints"),
    ("L-53DA6B97", 0, "load balancers"),
    ("L-7B9D97DE", 0, "trails"),
):
    breaks("quotas", "fail", told)(_quota(code, value))
breaks("Fargate", "fail", "6 allowed")(_quota("L-3032A538", 6))
breaks("Fargate", "warn", "20 allowed")(_quota("L-3032A538", 20))


@breaks("Lambda concurrency", "fail", "100 must stay free")
def a_new_account_has_few_instances(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    backend = vars(lambda_backends[ACCOUNT][REGION])
    backend["account_concurrency"] = 10
    yield
    del backend["account_concurrency"]


@breaks("IAM quotas", "fail", "roles")
def many_roles(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    summary: Any = iam_backends[ACCOUNT]["aws"].account_summary
    kept = summary._roles_quota
    summary._roles_quota = 3
    yield
    summary._roles_quota = kept


# Networks


@breaks("networks", "warn", "overlaps with 10.40.0.0/20")
def another_vpc_has_the_range(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    vpc = aws("ec2").create_vpc(CidrBlock="10.40.0.0/20")["Vpc"]["VpcId"]
    yield
    aws("ec2").delete_vpc(VpcId=vpc)


@breaks("networks", "fail", "which joins VPCs")
def a_peering_leads_to_the_range(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    ec2 = aws("ec2")
    here, there = (ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"] for cidr in ("10.99.0.0/16", "10.40.16.0/20"))
    made = ec2.create_vpc_peering_connection(VpcId=here, PeerVpcId=there)["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    yield
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=made)
    for vpc in (here, there):
        ec2.delete_vpc(VpcId=vpc)


# The domain


@breaks("domain", "fail", "nobody is delegated example.org")
def the_parent_does_not_delegate(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    kept = zones.records.pop(("example.org", "NS"))
    yield
    zones.records[("example.org", "NS")] = kept


@breaks("domain", "fail", "delegated to ns.elsewhere.net")
def the_parent_delegates_to_others(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    kept = zones.records[("example.org", "NS")]
    zones.records[("example.org", "NS")] = ["ns.elsewhere.net."]
    yield
    zones.records[("example.org", "NS")] = kept


@breaks("domain", "warn", "DNS did not answer")
def this_machine_is_offline(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    zones.silent = True
    yield
    zones.silent = False


@breaks("domain", "fail", "forbid certificates of ACM")
def another_authority_is_named(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    zones.records[("example.org", "CAA")] = ['0 issue "letsencrypt.org"']
    yield
    del zones.records[("example.org", "CAA")]


# E-mail


def _mail(**state: Any) -> Any:
    def function(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
        backend = vars(sesv2_backends[ACCOUNT][REGION])
        backend["account"] = state
        yield
        del backend["account"]

    return function


breaks("e-mail", "warn", "sandbox")(_mail(ProductionAccessEnabled=False))
breaks("e-mail", "fail", "does not let this account send")(_mail(SendingEnabled=False))
breaks("e-mail", "fail", "does not let this account send")(_mail(EnforcementStatus="SHUTDOWN"))


@breaks("e-mail", "warn", "is in SES already")
def the_domain_is_in_ses(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    aws("sesv2").create_email_identity(EmailIdentity="heartmap.example.org")
    yield
    aws("sesv2").delete_email_identity(EmailIdentity="heartmap.example.org")


# What there is once


@breaks("service-linked roles", "warn", "1 of 6 are missing")
def a_linked_role_is_missing(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    name, service = LINKED_ROLES["ecs/cluster:Cluster"]
    aws("iam").delete_role(RoleName=name)
    yield
    aws("iam").create_role(RoleName=name, Path=f"/aws-service-role/{service}/", AssumeRolePolicyDocument="{}")


@breaks("trail", "warn", "there is a trail already: security")
def another_trail_records(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    aws("s3").create_bucket(Bucket="trails")
    aws("cloudtrail").create_trail(Name="security", S3BucketName="trails", IsMultiRegionTrail=True)
    yield
    aws("cloudtrail").delete_trail(Name="security")


def _gateway_role(name: str) -> Any:
    def function(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
        backend = _apigateway()
        backend.account.cloudwatch_role_arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        yield
        backend.account.cloudwatch_role_arn = None

    return function


def _apigateway() -> Any:
    from moto.apigateway.models import apigateway_backends

    return apigateway_backends[ACCOUNT][REGION]


breaks("API Gateway's role", "fail", "heartmap-dev-api-gateway-logs")(_gateway_role("heartmap-dev-api-gateway-logs"))
breaks("API Gateway's role", "warn", "somebody")(_gateway_role("somebody"))


# Names


@breaks("names", "fail", "Bucket heartmap-prod-uploads-123456789012-us-east-1 exists")
def a_bucket_is_left(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    name = f"heartmap-prod-uploads-{ACCOUNT}-{REGION}"
    aws("s3").create_bucket(Bucket=name)
    yield
    aws("s3").delete_bucket(Bucket=name)


@breaks("names", "fail", "is scheduled for deletion")
def a_secret_waits_for_its_deletion(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    secrets = aws("secretsmanager")
    secrets.create_secret(Name="heartmap-prod/authorizer", SecretString="x")
    secrets.delete_secret(SecretId="heartmap-prod/authorizer", RecoveryWindowInDays=30)
    yield
    secrets.restore_secret(SecretId="heartmap-prod/authorizer")
    secrets.delete_secret(SecretId="heartmap-prod/authorizer", ForceDeleteWithoutRecovery=True)


@breaks("names", "fail", "LogGroup /heartmap/prod/api exists")
def a_log_group_is_left(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    aws("logs").create_log_group(logGroupName="/heartmap/prod/api")
    yield
    aws("logs").delete_log_group(logGroupName="/heartmap/prod/api")


@breaks("names", "fail", "Role heartmap-prod-authorizer exists")
def a_role_is_left(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    aws("iam").create_role(RoleName="heartmap-prod-authorizer", AssumeRolePolicyDocument="{}")
    yield
    aws("iam").delete_role(RoleName="heartmap-prod-authorizer")


@breaks("names", "fail", "Alias alias/heartmap-prod-data exists")
def an_alias_is_left(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    key = aws("kms").create_key()["KeyMetadata"]["KeyId"]
    aws("kms").create_alias(AliasName="alias/heartmap-prod-data", TargetKeyId=key)
    yield
    aws("kms").delete_alias(AliasName="alias/heartmap-prod-data")


@breaks("names", "fail", "A record heartmap.example.org exists")
def the_host_has_a_record(aws: Clients, place: Place, zones: Any) -> Iterator[None]:
    record = {"Name": "heartmap.example.org", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}

    def change(action: str) -> None:
        batch: Any = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        aws("route53").change_resource_record_sets(HostedZoneId=place.settings.hosted_zone_id, ChangeBatch=batch)

    change("CREATE")
    yield
    change("DELETE")


@pytest.mark.parametrize(("name", "state", "told", "broken"), BREAKS, ids=[f"{name}: {told}" for name, _, told, _ in BREAKS])
def test_a_broken_condition_is_told_with_what_mends_it(
    name: str, state: str, told: str, broken: Any, look: Any, aws: Clients, place: Place, zones: Any
) -> None:
    assert {line.state for line in look(name)} == {"pass"}
    with broken(aws, place, zones):
        (line,) = [line for line in look(name) if told in line.detail]
        assert (line.name, line.state) == (name, state)
        assert line.next_step
    assert {line.state for line in look(name)} == {"pass"}


def test_every_check_is_broken_by_a_test() -> None:
    elsewhere = {"region", "zones", "GuardDuty", "break-glass", "cost"}
    assert {name for name, *_ in BREAKS} | elsewhere == set(run.checks())


# What the emulated account cannot be made to be: the stack is another one


def only(lines: Any, state: str) -> Any:
    (line,) = [line for line in lines if line.state != "pass"]
    assert line.state == state
    assert line.next_step
    return line


def test_a_region_without_a_service_is_told(look: Any, plan: Any) -> None:
    resources = [*plan.resources, replace(plan.of("s3/bucket:Bucket")[0], type="aws:atlantis/temple:Temple")]
    assert only(look("region", plan=replace(plan, resources=resources)), "fail").detail == "us-east-1 has no atlantis"
    unknown = plan.settings.model_copy(update={"region": "eu-atlantis-1"})
    assert "knows no region eu-atlantis-1" in only(look("region", settings=unknown), "fail").detail


def test_too_few_zones_and_missing_endpoints_are_told(look: Any, plan: Any) -> None:
    many = plan.settings.model_copy(update={"availability_zones": 9})
    assert "availability zones with VPC links" in only(look("zones", settings=many), "fail").detail
    endpoint = plan.of("ec2/vpcEndpoint:VpcEndpoint")[0]
    strange = replace(endpoint, inputs=endpoint.inputs | {"serviceName": "com.amazonaws.us-east-1.atlantis"})
    line = only(look("zones", plan=replace(plan, resources=[*plan.resources, strange])), "fail")
    assert "com.amazonaws.us-east-1.atlantis is not in" in line.detail


def test_a_detector_that_is_there_already_is_told(look: Any, plan: Any, aws: Clients) -> None:
    detector = replace(plan.of("s3/bucket:Bucket")[0], type="aws:guardduty/detector:Detector", name="detector")
    wanted = replace(plan, resources=[*plan.resources, detector])
    assert only_pass(look("GuardDuty", plan=wanted))
    made = aws("guardduty").create_detector(Enable=True)["DetectorId"]
    assert made in only(look("GuardDuty", plan=wanted), "fail").next_step
    assert only_pass(look("GuardDuty")), "a stack without one does not mind"
    assert only_pass(look("GuardDuty", plan=wanted, deployed=frozenset({"heartmap-prod"}))), "it may be the stack's own"
    aws("guardduty").delete_detector(DetectorId=made)


def only_pass(lines: Any) -> bool:
    return [line.state for line in lines] == ["pass"]


def test_the_cost_is_told_and_other_regions_have_other_prices(look: Any, plan: Any) -> None:
    (line,) = look("cost")
    assert re.search(r"about \$\d{3} a month", line.detail)
    assert line.items
    elsewhere = plan.settings.model_copy(update={"region": "eu-west-1"})
    assert "has others" in only(look("cost", settings=elsewhere), "warn").detail


def test_a_zone_that_is_not_there_private_or_another_one_is_told(look: Any, plan: Any, aws: Clients) -> None:
    def other(zone: str, domain: str = "heartmap.example.org") -> Any:
        return plan.settings.model_copy(update={"hosted_zone_id": zone, "domain": domain})

    assert "no hosted zone Z0000000000NONE" in only(look("domain", settings=other("Z0000000000NONE")), "fail").detail
    private = (
        aws("route53")
        .create_hosted_zone(
            Name="example.org",
            CallerReference="private",
            VPC={"VPCRegion": REGION, "VPCId": aws("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]},
            HostedZoneConfig={"PrivateZone": True, "Comment": ""},
        )["HostedZone"]["Id"]
        .rsplit("/", 1)[-1]
    )
    assert "is private" in only(look("domain", settings=other(private)), "fail").detail
    zone = plan.settings.hosted_zone_id
    assert "does not hold" in only(look("domain", settings=other(zone, "heartmap.example.com")), "fail").detail
    assert only_pass(look("domain", settings=plan.settings.model_copy(update={"domain": "", "hosted_zone_id": ""})))


def test_the_vpn_s_range_is_looked_at_too(look: Any, plan: Any, aws: Clients) -> None:
    with_vpn = plan.settings.model_copy(update={"vpn_cidr": IPv4Network("172.31.0.0/16")})
    assert "heartmap:vpn_cidr 172.31.0.0/16 overlaps" in only(look("networks", settings=with_vpn), "warn").detail


def test_a_network_to_be_used_is_looked_up(look: Any, plan: Any, aws: Clients) -> None:
    ec2 = aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24")["Subnet"]["SubnetId"]
    there = plan.settings.model_copy(update={"existing_vpc_id": vpc, "existing_subnet_ids": (subnet,)})
    assert "has no DNS host names" in only(look("networks", settings=there), "fail").detail
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    assert {line.state for line in look("networks", settings=there)} == {"pass"}
    gone = there.model_copy(update={"existing_vpc_id": "vpc-0123456789abcdef0"})
    assert "not in this account" in only(look("networks", settings=gone), "fail").detail
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)


def test_what_the_stack_s_own_state_holds_is_no_leftover(look: Any, aws: Clients) -> None:
    name = f"heartmap-prod-results-{ACCOUNT}-{REGION}"
    aws("s3").create_bucket(Bucket=name)
    assert only(look("names"), "fail").items == (f"Bucket {name} exists",)
    assert only_pass(look("names", deployed=frozenset({name})))
    assert "pulumi login" in only(look("names", deployed=None), "warn").detail, "without its state nobody can tell"
    aws("s3").delete_bucket(Bucket=name)


def test_break_glass_users_need_a_second_factor(look: Any, plan: Any, aws: Clients) -> None:
    def named(*arns: str) -> Any:
        return plan.settings.model_copy(update={"break_glass_users": arns})

    iam, jane = aws("iam"), f"arn:aws:iam::{ACCOUNT}:user/people/jane"
    assert only_pass(look("break-glass"))
    assert "jane does not exist" in only(look("break-glass", settings=named(jane)), "fail").detail
    iam.create_user(UserName="jane", Path="/people/")
    assert "jane has no second factor" in only(look("break-glass", settings=named(jane)), "fail").detail
    iam.enable_mfa_device(UserName="jane", SerialNumber="device-0001", AuthenticationCode1="123456", AuthenticationCode2="654321")
    assert only_pass(look("break-glass", settings=named(jane)))
    strange = named("arn:aws:iam::999999999999:user/eve")
    aws("iam").create_user(UserName="eve")
    assert "another account" in only(look("break-glass", settings=strange), "fail").detail


# Permissions


def test_the_actions_come_from_the_plan(place: Place) -> None:
    actions, unknown = permissions.needed(place)
    assert unknown == []
    assert {"s3:CreateBucket", "iam:PassRole", "ecr:PutImage", "cloudtrail:CreateTrail"} <= set(actions)
    fewer = replace(place, plan=replace(place.plan, resources=place.plan.of("s3/bucket:Bucket")))
    assert {action.split(":")[0] for action in permissions.needed(fewer)[0]} == {"s3"}


@pytest.mark.parametrize("stack", IN_AWS)
def test_every_type_of_the_plans_has_its_actions(stack: str) -> None:
    types = {resource.type for resource in plan_of(stack).resources if resource.type.startswith(("aws:", "awsx:"))}
    assert sorted(types - permissions.calls().keys()) == [], "add their lines to operator_cli/preflight/calls.yaml"


def test_a_type_without_known_actions_is_told(look: Any, plan: Any) -> None:
    strange = replace(plan.of("s3/bucket:Bucket")[0], type="aws:atlantis/temple:Temple")
    found = look("permissions", plan=replace(plan, resources=[*plan.resources, strange]))
    assert "aws:atlantis/temple:Temple" in only(found, "warn").detail


def test_permission_that_is_bound_to_the_stack_s_names_is_enough(look: Any, aws: Clients) -> None:
    bound = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
            {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::heartmap-prod-*"},
        ],
    }
    iam = aws("iam")
    iam.create_user(UserName="bound")
    iam.put_user_policy(UserName="bound", PolicyName="bound", PolicyDocument=json.dumps(bound))
    assert only_pass(look("permissions", caller=f"arn:aws:iam::{ACCOUNT}:user/bound"))


def test_who_cannot_be_simulated_is_told(look: Any) -> None:
    assert "root user" in only(look("permissions", caller=f"arn:aws:iam::{ACCOUNT}:root"), "warn").detail
    assert "cannot simulate" in only(look("permissions", caller=f"arn:aws:sts::{ACCOUNT}:federated-user/jane"), "warn").detail


# Reading only, and what may not be read


def test_nothing_but_reading_calls_are_made(place: Place, look: Any) -> None:
    """Each call of each check passes by here, whatever the guard of the session does."""
    made: list[str] = []
    watched = type(place.session)(place.session._endpoint)  # pyright: ignore[reportAttributeAccessIssue]
    watched.events.register("before-call", lambda model, **_: made.append(model.name))
    found = list(run.look(replace(place, session=watched, _clients={})))
    assert {line.state for line in found} == {"pass"}
    assert len(made) > 100
    assert [name for name in made if not re.match(r"(Describe|Get|Head|List|Simulate)[A-Z]", name)] == []


@pytest.mark.parametrize("operation", ["CreateBucket", "DeleteBucket", "PutObject", "Getaway"])
def test_a_call_that_could_change_something_is_refused(operation: str) -> None:
    assert not READING.fullmatch(operation)


def test_the_session_refuses_a_changing_call(moto_url: str) -> None:
    session: Any = reading_only(boto3.Session("local", "local", region_name=REGION))
    client = session.client("s3", endpoint_url=moto_url)
    with pytest.raises(NotReadOnly, match="s3:CreateBucket"):
        client.create_bucket(Bucket="never")
    assert "never" not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}


@pytest.mark.parametrize("name", sorted(run.checks().keys() - {"cost", "break-glass"}))
def test_what_may_not_be_read_is_a_warning(name: str, place: Place, look: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeSomething"))
    line = only(look(name), "warn")
    assert "not looked at" in line.detail
    answer(monkeypatch, EndpointConnectionError(endpoint_url="https://aws"))
    assert "gave no answer" in only(look(name), "warn").detail


def answer(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", fail)


def test_credentials_that_expire_meanwhile_end_it(look: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, ClientError({"Error": {"Code": "ExpiredTokenException"}}, "DescribeVpcs"))
    with pytest.raises(CliError, match="have expired"):
        look("networks")


# The command


def preflight(*words: str) -> Any:
    return CliRunner().invoke(app, ["preflight", *words], catch_exceptions=False)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str) -> Path:
    """A checkout with a stack file of its own, as somebody has filled it in."""
    (tmp_path / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    text = (ROOT / "Pulumi.prod.yaml").read_text()
    for placeholder, own in (("Z0123456789EXAMPLE", zone), ("example.org", "hearts.org"), ("192.0.2.0/24", "198.18.7.0/24")):
        text = text.replace(placeholder, own)
    (tmp_path / "Pulumi.prod.yaml").write_text(text)
    monkeypatch.setattr("operator_cli.verbs.preflight.PROJECT", tmp_path)
    return tmp_path


def test_settings_come_first_and_alone_when_they_are_wrong(project: Path) -> None:
    file = project / "Pulumi.prod.yaml"
    file.write_text(file.read_text().replace("audit_trail: true", "audit_trail: false"))
    done = preflight("--environment", "prod", "--json")
    assert done.exit_code == 1
    (check,) = json.loads(done.stdout)["checks"]
    assert (check["name"], check["state"]) == ("settings", "fail")
    assert "heartmap:audit_trail is" in check["detail"]


def test_placeholders_of_the_repository_are_found() -> None:
    _, (line,) = run.settings_lines(ROOT, "prod")
    assert line.state == "fail"
    assert set(line.items) == {
        f"heartmap:{key}" for key in ("domain", "hosted_zone_id", "hosted_zone_name", "alarm_email", "allowed_ipv4")
    }


def test_a_filled_in_file_is_well(project: Path) -> None:
    _, (line,) = run.settings_lines(project, "prod")
    assert line.state == "pass"


def test_the_command_says_everything_and_exits_by_it(
    project: Path, place: Place, monkeypatch: pytest.MonkeyPatch, aws: Clients
) -> None:
    monkeypatch.setattr(run, "place_of", lambda *_: place)
    done = preflight("--environment", "prod")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("pass  settings ")
    assert "fail" not in done.stdout
    with quota("L-F678F1CE", 1):
        done = preflight("--environment", "prod")
        assert done.exit_code == 1
        assert "aws service-quotas request-service-quota-increase --region us-east-1" in done.stdout
        document = json.loads(preflight("--environment", "prod", "--json").stdout)
    assert [check["name"] for check in document["checks"] if check["state"] == "fail"] == ["quotas"]


def test_local_needs_none() -> None:
    assert preflight("--environment", "local").exit_code == 2


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ClientError({"Error": {"Code": "ExpiredToken"}}, "GetCallerIdentity"), "are expired"),
        (ClientError({"Error": {"Code": "InvalidClientTokenId"}}, "GetCallerIdentity"), "are not valid"),
        (EndpointConnectionError(endpoint_url="https://sts"), "cannot be reached"),
    ],
)
def test_credentials_that_aws_does_not_take_are_one_line(
    error: Exception, told: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, error)
    done = preflight("--environment", "prod")
    assert done.exit_code == 1
    assert done.stdout.count("\n") <= 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_region_that_the_account_has_not_enabled_is_told(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    session: Any = boto3.Session("local", "local")
    off: Any = [{"Name": "opt-in-status", "Values": ["not-opted-in"]}]
    found = session.client("ec2", REGION).describe_regions(AllRegions=True, Filters=off)["Regions"]
    region = next(one["RegionName"] for one in found if one.get("OptInStatus") == "not-opted-in")
    with pytest.raises(CliError, match=f"has not enabled the region {region}"):
        run.identity(session, region)
    assert run.identity(session, REGION)[0] == ACCOUNT


def test_a_shell_without_credentials_is_told_how_to_get_some(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    done = preflight("--environment", "prod")
    assert done.exit_code == 1
    assert "This shell has no AWS credentials." in done.stderr
    assert "aws sso login" in done.stderr


def test_a_profile_that_is_not_there_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    done = preflight("--environment", "prod")
    assert done.exit_code == 1
    assert "profile" in done.stderr


def test_names_in_the_engine_s_state_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cli(script: str) -> None:
        file = tmp_path / "pulumi"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    resources = [{"inputs": {"name": "a"}}, {"inputs": {"bucket": "b"}}, {"inputs": {"name": {"secret": "c"}}}, {}]
    cli(f"echo '{json.dumps({'deployment': {'resources': resources}})}'")
    assert run.deployed_names(tmp_path, "prod") == {"a", "b"}
    cli("echo \"error: no stack named 'prod' found\" >&2; exit 255")
    assert run.deployed_names(tmp_path, "prod") == frozenset()
    cli("echo 'error: PULUMI_ACCESS_TOKEN must be set' >&2; exit 255")
    assert run.deployed_names(tmp_path, "prod") is None
    (tmp_path / "pulumi").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run.deployed_names(tmp_path, "prod") is None
