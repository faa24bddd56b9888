"""Whether the account may have as much as the plan asks for, beside what it has already."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from operator_cli.preflight.place import Line, Place, State, code_of
from operator_cli.preflight.registry import check

UNRESERVED = 100
"""Instances of functions that Lambda keeps for functions without a reservation.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
"""
CONCURRENCY = ("lambda", "L-B99A9384")
FARGATE = ("fargate", "L-3032A538")
UNITS = 1024
"""CPU units in a vCPU."""


class Quota(NamedTuple):
    """A quota of Service Quotas, with how much of it is used in the region and how much the plan adds."""

    name: str
    service: str
    code: str
    used: Callable[[Place], int]
    added: Callable[[Place], int]


def _planned(type_: str, **inputs: str) -> Callable[[Place], int]:
    def count(place: Place) -> int:
        return sum(all(one.inputs.get(key) == value for key, value in inputs.items()) for one in place.plan.of(type_))

    return count


def _listed(service: str, operation: str, result: str, **arguments: Any) -> Callable[[Place], int]:
    return lambda place: sum(1 for _ in place.pages(service, operation, result, **arguments))


def _none(_: Place) -> int:
    return 0


_GATEWAYS = [{"Name": "vpc-endpoint-type", "Values": ["Gateway"]}]

QUOTAS = (
    Quota("VPCs", "vpc", "L-F678F1CE", _listed("ec2", "describe_vpcs", "Vpcs"), _planned("ec2/vpc:Vpc")),
    Quota(
        "interface endpoints in one VPC",
        "vpc",
        "L-29B6F2EB",
        _none,
        _planned("ec2/vpcEndpoint:VpcEndpoint", vpcEndpointType="Interface"),
    ),
    Quota(
        "gateway endpoints",
        "vpc",
        "L-1B52E74A",
        _listed("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=_GATEWAYS),
        _planned("ec2/vpcEndpoint:VpcEndpoint", vpcEndpointType="Gateway"),
    ),
    Quota(
        "application load balancers",
        "elasticloadbalancing",
        "L-53DA6B97",
        _listed("elbv2", "describe_load_balancers", "LoadBalancers"),
        _planned("lb/loadBalancer:LoadBalancer"),
    ),
    Quota(
        "trails in the region",
        "cloudtrail",
        "L-7B9D97DE",
        lambda place: len(place.client("cloudtrail").describe_trails(includeShadowTrails=True)["trailList"]),
        _planned("cloudtrail/trail:Trail"),
    ),
)

DEFAULTS = {"L-7B9D97DE": 5}
"""What cannot be raised, and is not told by Service Quotas in every region: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/WhatIsCloudTrail-Limits.html"""


def limit(place: Place, service: str, code: str) -> float | None:
    """The account's quota; None where AWS tells none."""
    from botocore.exceptions import ClientError

    try:
        return place.client("service-quotas").get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]["Value"]
    except ClientError as error:
        if code_of(error) != "NoSuchResourceException":
            raise
        return DEFAULTS.get(code)


@check("quotas")
def quotas(place: Place) -> Iterator[Line]:
    """What is counted. There is no public address in the stack, so none of its quotas matters."""
    fits, all_fit = [], True
    for quota in QUOTAS:
        added, most = quota.added(place), limit(place, quota.service, quota.code)
        if not added or place.deployed:
            continue
        used = quota.used(place)
        if most is None:
            all_fit = False
            yield _unknown(quota.name, quota.service, quota.code)
        elif used + added > most:
            all_fit = False
            yield _short(
                place, quota.name, quota.service, quota.code, f"{used} used, {added} needed, {most:.0f} allowed", used + added
            )
        else:
            fits.append(f"{quota.name} {used + added} of {most:.0f}")
    if all_fit:
        told = "; ".join(fits) or "what counts is in the stack already"
        yield Line(name="quotas", state="pass", detail=f"{told}; no elastic addresses are needed")


def _unknown(name: str, service: str, code: str) -> Line:
    look = f"aws service-quotas get-aws-default-service-quota --service-code {service} --quota-code {code}"
    return Line(name="quotas", state="warn", detail=f"AWS does not tell the quota of {name}", next_step=f"Look: {look}")


def _short(place: Place, name: str, service: str, code: str, told: str, wanted: int, state: State = "fail") -> Line:
    ask = (
        f"aws service-quotas request-service-quota-increase --region {place.settings.region} "
        f"--service-code {service} --quota-code {code} --desired-value {wanted}"
    )
    return Line(name="quotas", state=state, detail=f"{name}: {told}", next_step=f"Ask for more: {ask}")


@check("Lambda concurrency")
def concurrency(place: Place) -> Iterator[Line]:
    """What functions reserve has to leave 100 instances to others. New accounts have as few as 10 in all."""
    account = place.client("lambda").get_account_settings()["AccountLimit"]
    reserved = sum(one.inputs.get("reservedConcurrentExecutions") or 0 for one in place.plan.of("lambda/function:Function"))
    most, free = account["ConcurrentExecutions"], account["UnreservedConcurrentExecutions"]
    own = sum(_reserved_by(place, name) for name in place.names("lambda/function:Function", "name")) if place.deployed else 0
    told = f"{reserved} reserved by the stack, {free + own} of {most} are free"
    if free + own - reserved < UNRESERVED:
        wanted = most + reserved + UNRESERVED - free - own
        short = _short(place, "Lambda concurrency", *CONCURRENCY, f"{told}, and {UNRESERVED} must stay free", wanted)
        yield Line(name="Lambda concurrency", state="fail", detail=short.detail, next_step=short.next_step)
    else:
        yield Line(name="Lambda concurrency", state="pass", detail=told)


def _reserved_by(place: Place, function: str) -> int:
    from botocore.exceptions import ClientError

    try:
        return place.client("lambda").get_function_concurrency(FunctionName=function).get("ReservedConcurrentExecutions", 0)
    except ClientError as error:
        if code_of(error) != "ResourceNotFoundException":
            raise
        return 0


@check("Fargate")
def fargate(place: Place) -> Iterator[Line]:
    """vCPUs of the tasks that start, and of those that load may start. What else runs in the account is not counted."""
    settings, most = place.settings, limit(place, *FARGATE)
    if most is None:
        yield Line(**{**vars(_unknown("Fargate vCPUs", *FARGATE)), "name": "Fargate"})
        return
    # While tasks are replaced, the old and the new ones run.
    least = (2 * settings.api_tasks_min * settings.api_cpu + max(1, settings.worker_tasks_min) * settings.worker_cpu) / UNITS
    peak = max(least, (settings.api_tasks_max * settings.api_cpu + settings.worker_tasks_max * settings.worker_cpu) / UNITS)
    told = f"{least:g} vCPUs to begin with, {peak:g} under load, {most:g} allowed"
    if peak <= most:
        yield Line(name="Fargate", state="pass", detail=told)
        return
    state: State = "fail" if least > most else "warn"
    short = _short(place, "Fargate vCPUs", *FARGATE, told, int(peak + 1), state)
    yield Line(name="Fargate", state=state, detail=short.detail, next_step=short.next_step)


@check("IAM quotas")
def iam(place: Place) -> Iterator[Line]:
    """Roles and policies of the account."""
    summary = place.client("iam").get_account_summary()["SummaryMap"]
    told, short = [], []
    for name, type_ in (("Roles", "iam/role:Role"), ("Policies", "iam/policy:Policy")):
        wanted = summary[name] + (0 if place.deployed else len(place.plan.of(type_)))
        (short if wanted > summary[f"{name}Quota"] else told).append(f"{name.lower()} {wanted} of {summary[f'{name}Quota']}")
    if short:
        step = "Remove what nobody uses, or ask for more in Service Quotas (IAM, in us-east-1)."
        yield Line(name="IAM quotas", state="fail", detail=f"not enough: {', '.join(short)}", next_step=step)
    else:
        yield Line(name="IAM quotas", state="pass", detail=", ".join(told))
