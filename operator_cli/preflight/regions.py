"""Whether the region has the services, and enough zones in which all of them are."""

from collections.abc import Iterator

from operator_cli.preflight.place import Line, Place
from operator_cli.preflight.registry import check

# Lists of what there is in a region, kept by AWS: https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters-global-infrastructure.html
SERVICES = "/aws/service/global-infrastructure/regions/{region}/services"
LISTS = "us-east-1"
"""A region that every account has."""

# Names of services there, where they differ from the modules that Pulumi has the types in.
NAMES = {
    "appautoscaling": "application-autoscaling",
    "cfg": "config",
    "cognito": "cognito-idp",
    "ec2clientvpn": "ec2",
    "lb": "elb",
    "scheduler": "scheduler",
    "wafv2": "waf",
}
PARTS = {"ecs/service:Service": "fargate"}
"""Types that need another service as well."""


def services(place: Place) -> set[str]:
    """The services that the plan uses, by the names of AWS's list."""
    types = {resource.type.removeprefix("aws:") for resource in place.plan.resources if resource.type.startswith("aws:")}
    modules = {type_.split("/")[0] for type_ in types}
    return {NAMES.get(module, module) for module in modules} | {PARTS[type_] for type_ in types & PARTS.keys()}


@check("region")
def region(place: Place) -> Iterator[Line]:
    """Every service of the plan, by AWS's own list for the region."""
    name = place.settings.region
    pages = place.client("ssm", LISTS).get_paginator("get_parameters_by_path").paginate(Path=SERVICES.format(region=name))
    listed = {parameter["Name"].rsplit("/", 1)[1] for page in pages for parameter in page["Parameters"]}
    used = services(place)
    if not listed:
        detail = f"AWS's list of services knows no region {name}"
        yield Line(name="region", state="fail", detail=detail, next_step="Set aws:region in the stack file to a region of AWS.")
    elif missing := sorted(used - listed):
        yield Line(
            name="region",
            state="fail",
            detail=f"{name} has no {', '.join(missing)}",
            next_step="Set aws:region in the stack file to a region that has them.",
            items=tuple(missing),
        )
    else:
        yield Line(name="region", state="pass", detail=f"{name} has the {len(used)} services that the plan uses")


@check("zones")
def zones(place: Place) -> Iterator[Line]:
    """Enough availability zones with VPC links, and every endpoint service in each of them."""
    from infra.network import NetworkPlanError, choose_zones

    if place.settings.existing_vpc_id:
        yield Line(name="zones", state="pass", detail="those of the VPC that there is")
        return
    found = place.client("ec2").describe_availability_zones(Filters=[{"Name": "state", "Values": ["available"]}])
    names = {zone["ZoneId"]: zone["ZoneName"] for zone in found["AvailabilityZones"]}
    try:
        chosen = choose_zones(list(names), place.settings.availability_zones)
    except NetworkPlanError as error:
        yield Line(name="zones", state="fail", detail=str(error), next_step="Lower it, or choose another region.")
        return
    lacking = sorted(_lacking(place, {names[zone] for zone in chosen}))
    if lacking:
        yield Line(
            name="zones",
            state="fail",
            detail=f"not everything is in {', '.join(chosen)}: {'; '.join(lacking)}",
            next_step="Choose another region, or ask AWS support for the service in these zones.",
            items=tuple(lacking),
        )
    else:
        yield Line(name="zones", state="pass", detail=f"{', '.join(chosen)} have VPC links, all endpoints and the instance types")


def _lacking(place: Place, zones: set[str]) -> Iterator[str]:
    wanted = place.names("ec2/vpcEndpoint:VpcEndpoint", "serviceName")
    found = place.pages("ec2", "describe_vpc_endpoint_services", "ServiceDetails")
    there = {service["ServiceName"]: set(service["AvailabilityZones"]) for service in found}
    for service in wanted:
        if absent := sorted(zones - there.get(service, set())):
            yield f"{service} is not in {', '.join(absent)}"
    for kind in place.names("ec2/launchTemplate:LaunchTemplate", "instanceType"):
        offers = place.pages(
            "ec2",
            "describe_instance_type_offerings",
            "InstanceTypeOfferings",
            LocationType="availability-zone",
            Filters=[{"Name": "instance-type", "Values": [kind]}],
        )
        if absent := sorted(zones - {offer["Location"] for offer in offers}):
            yield f"{kind} is not in {', '.join(absent)}"
