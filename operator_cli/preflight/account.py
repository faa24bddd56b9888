"""What there is once in an account or region, whose second one costs or replaces the first."""

from collections.abc import Iterator

from operator_cli.preflight.place import Line, Place, code_of
from operator_cli.preflight.registry import check

# The roles that AWS makes itself for its services, at the first use. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html
LINKED_ROLES = {
    "apigatewayv2/vpcLink:VpcLink": ("AWSServiceRoleForAPIGateway", "ops.apigateway.amazonaws.com"),
    "appautoscaling/target:Target": (
        "AWSServiceRoleForApplicationAutoScaling_ECSService",
        "ecs.application-autoscaling.amazonaws.com",
    ),
    "autoscaling/group:Group": ("AWSServiceRoleForAutoScaling", "autoscaling.amazonaws.com"),
    "ec2clientvpn/endpoint:Endpoint": ("AWSServiceRoleForClientVPN", "clientvpn.amazonaws.com"),
    "ecs/cluster:Cluster": ("AWSServiceRoleForECS", "ecs.amazonaws.com"),
    "lb/loadBalancer:LoadBalancer": ("AWSServiceRoleForElasticLoadBalancing", "elasticloadbalancing.amazonaws.com"),
    "wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": ("AWSServiceRoleForWAFV2Logging", "wafv2.amazonaws.com"),
}


@check("service-linked roles")
def linked_roles(place: Place) -> Iterator[Line]:
    """A role that is missing is made at the first use, and the first use may come before IAM knows it everywhere."""
    there = {role["RoleName"] for role in place.pages("iam", "list_roles", "Roles", PathPrefix="/aws-service-role/")}
    wanted = [role for type_, role in LINKED_ROLES.items() if place.plan.of(type_)]
    missing = [(name, service) for name, service in wanted if name not in there]
    if missing:
        make = " && ".join(f"aws iam create-service-linked-role --aws-service-name {service}" for _, service in missing)
        yield Line(
            name="service-linked roles",
            state="warn",
            detail=f"{len(missing)} of {len(wanted)} are missing: AWS makes them, and the first `pulumi up` may come too early",
            next_step=f"Make them before: {make}",
            items=tuple(name for name, _ in missing),
        )
    else:
        yield Line(name="service-linked roles", state="pass", detail=f"all {len(wanted)} are there")


@check("trail")
def trail(place: Place) -> Iterator[Line]:
    """Each further copy of the management events is paid for."""
    planned = place.names("cloudtrail/trail:Trail", "name")
    if not planned:
        yield Line(name="trail", state="pass", detail="the plan has none")
        return
    others = [
        found["Name"]
        for found in place.client("cloudtrail").describe_trails(includeShadowTrails=True)["trailList"]
        if found["Name"] not in planned and (found.get("IsMultiRegionTrail") or found["HomeRegion"] == place.settings.region)
    ]
    if others:
        yield Line(
            name="trail",
            state="warn",
            detail=f"there is a trail already: {', '.join(others)}. AWS charges the second copy of every management event",
            next_step="Keep both if they serve different people; else remove the other one.",
            items=tuple(others),
        )
    else:
        yield Line(name="trail", state="pass", detail="no other one records here")


@check("GuardDuty")
def detector(place: Place) -> Iterator[Line]:
    """A region holds one detector."""
    planned = place.plan.of("guardduty/detector:Detector")
    there = list(place.pages("guardduty", "list_detectors", "DetectorIds"))
    if planned and there and not place.deployed:
        yield Line(
            name="GuardDuty",
            state="fail",
            detail=f"the region has the detector {there[0]}, and there can be only one",
            next_step=f"Take it into the stack: pulumi import aws:guardduty/detector:Detector {planned[0].name} {there[0]}",
        )
    elif planned or there:
        yield Line(name="GuardDuty", state="pass", detail="the stack's detector" if planned else "the account has a detector")
    else:
        yield Line(name="GuardDuty", state="pass", detail="no detector: uploads are scanned without one, where the stack scans")


@check("API Gateway's role")
def gateway_role(place: Place) -> Iterator[Line]:
    """The role by which API Gateway writes logs is one for the account and region: each environment has an account of its own."""
    role = place.client("apigateway").get_account().get("cloudwatchRoleArn") or ""
    own = f"{place.prefix}-api-gateway-logs"
    if not role or role.endswith(f"/{own}"):
        yield Line(name="API Gateway's role", state="pass", detail="no other API's logs depend on it")
        return
    yield Line(
        name="API Gateway's role",
        state="fail" if "/heartmap-" in role else "warn",
        detail=f"API Gateway writes the logs of this account as {role}, which this stack would replace, and remove at its end",
        next_step="Deploy each environment into an account of its own.",
    )


@check("break-glass")
def break_glass(place: Place) -> Iterator[Line]:
    """Users that are not there stop the deployment; one without a second factor finds out when it is too late."""
    from botocore.exceptions import ClientError

    wrong = []
    for arn in place.settings.break_glass_users:
        account, name = arn.split(":")[4], arn.rsplit("/", 1)[-1]
        try:
            bare = account == place.account and not place.client("iam").list_mfa_devices(UserName=name)["MFADevices"]
        except ClientError as error:
            if code_of(error) != "NoSuchEntity":
                raise
            wrong.append(f"{name} does not exist")
        else:
            if account != place.account:
                wrong.append(f"{name} is of another account")
            elif bare:
                wrong.append(f"{name} has no second factor")
    if wrong:
        step = "Make the user, and its second factor: docs/break-glass.md"
        yield Line(name="break-glass", state="fail", detail="; ".join(wrong), next_step=step, items=tuple(wrong))
    else:
        count = len(place.settings.break_glass_users)
        detail = f"{count} users have a second factor" if count else "nobody is named, so there is no such role"
        yield Line(name="break-glass", state="pass", detail=detail)
