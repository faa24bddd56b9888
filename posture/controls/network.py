"""The VPC, its endpoints and the bastion."""

from collections.abc import Iterable
from typing import Any

from posture.controls.registry import at, control, covers, each
from posture.plan import ACCOUNT, REGION, Plan
from posture.policies import Document, documents, listed

VPC, SUBNET, ENDPOINT = "ec2/vpc:Vpc", "ec2/subnet:Subnet", "ec2/vpcEndpoint:VpcEndpoint"
INGRESS = "vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "vpc/securityGroupEgressRule:SecurityGroupEgressRule"
TEMPLATE, GROUP = "ec2/launchTemplate:LaunchTemplate", "autoscaling/group:Group"

EVERYWHERE = {"0.0.0.0/0", "::/0"}
NEEDED_ENDPOINTS = {"ecr.api", "ecr.dkr", "logs", "sqs"}
FOR_THE_BASTION = {"ssm", "ssmmessages"}
WAYS_OUT = (
    "ec2/internetGateway:InternetGateway",
    "ec2/egressOnlyInternetGateway:EgressOnlyInternetGateway",
    "ec2/natGateway:NatGateway",
    "ec2/route:Route",
    "ec2/vpcPeeringConnection:VpcPeeringConnection",
    "ec2/vpnGateway:VpnGateway",
    "ec2/eip:Eip",
)


def own_vpc(plan: Plan) -> bool:
    """Whether the stack makes its VPC; what an existing one is like is told by whoever made it."""
    return not plan.settings.existing_vpc_id


def account_only(document: Document, import_buckets: Iterable[str] = ()) -> bool:
    """Whether a policy admits principals and resources of this account alone, but for reading from what it names, and this
    account's principals for reading from the buckets of imports."""
    imports = {f"arn:aws:s3:::{bucket}" for bucket in import_buckets}
    reading = {"s3:GetObject": {f"{bucket}/*" for bucket in imports}, "s3:ListBucket": imports}
    for statement in document.statements:
        if statement["Effect"] != "Allow":
            continue
        tests: dict[str, Any] = {}
        for condition in (statement.get("Condition") or {}).values():
            tests |= {key.lower(): listed(value) for key, value in condition.items()}
        our_people = tests.get("aws:principalaccount") == [ACCOUNT]
        ours = our_people and tests.get("aws:resourceaccount") == [ACCOUNT]
        actions, resources = listed(statement["Action"]), listed(statement["Resource"])
        imported = our_people and len(actions) == 1 and reading.get(actions[0], set()).issuperset(resources)
        # The layers of images lie in a bucket of AWS, from which ECR lets people read by signed addresses of its own.
        layers = [f"arn:aws:s3:::prod-{REGION}-starport-layer-bucket/*"]
        if not ours and not imported and (actions, resources) != (["s3:GetObject"], layers):
            return False
    return True


@control("70")
def the_default_security_group_is_empty(plan: Plan) -> Iterable[str]:
    if not own_vpc(plan):
        return []
    default = "ec2/defaultSecurityGroup:DefaultSecurityGroup"
    return each(plan, default, lambda one: one.get("ingress") == [] and one.get("egress") == [], "lets something through")


@control("71")
def all_traffic_is_logged(plan: Plan) -> Iterable[str]:
    if not own_vpc(plan):
        return
    yield from covers(plan, "ec2/flowLog:FlowLog", "vpcId", {vpc.id for vpc in plan.of(VPC)}, "has no flow log")
    yield from each(plan, "ec2/flowLog:FlowLog", lambda one: one.get("trafficType") == "ALL", "does not log all traffic")


@control("72")
def nothing_is_open_to_everywhere(plan: Plan) -> Iterable[str]:
    yield from each(plan, INGRESS, lambda rule: rule.get("referencedSecurityGroupId"), "lets in by address")
    for group in plan.of("ec2/securityGroup:SecurityGroup"):
        if group.inputs.get("ingress"):
            yield f"{group.id}: has rules of its own"


@control("73")
def what_goes_out_is_restricted_and_described(plan: Plan) -> Iterable[str]:
    def holds(rule: dict) -> bool:
        return bool(rule.get("referencedSecurityGroupId") or rule.get("prefixListId")) and rule.get("ipProtocol") == "tcp"

    yield from each(plan, EGRESS, holds, "lets out to addresses")
    for type_ in (INGRESS, EGRESS):
        yield from each(plan, type_, lambda rule: rule.get("description"), "does not say what it is for")
    yield from each(plan, "ec2/securityGroup:SecurityGroup", lambda one: one.get("description"), "does not say what it is for")
    for group in plan.of("ec2/securityGroup:SecurityGroup"):
        if group.inputs.get("egress"):
            yield f"{group.id}: has rules of its own"


@control("74")
def no_subnet_gives_public_addresses(plan: Plan) -> Iterable[str]:
    if not own_vpc(plan):
        return []
    return each(plan, SUBNET, lambda one: one.get("mapPublicIpOnLaunch") is False, "gives public addresses")


@control("75")
def network_acls_name_what_passes(plan: Plan) -> Iterable[str]:
    if not own_vpc(plan):
        return
    yield from each(plan, SUBNET, lambda _: True, "")
    acls = plan.of("ec2/networkAcl:NetworkAcl")
    guarded = {subnet for acl in acls for subnet in acl.inputs.get("subnetIds") or []}
    for subnet in plan.of(SUBNET):
        if subnet.id not in guarded:
            yield f"{subnet.id}: has the default network ACL, which lets everything through"
    for acl in acls:
        for direction in ("ingress", "egress"):
            for rule in acl.inputs.get(direction) or []:
                anywhere = rule.get("cidrBlock") in EVERYWHERE or rule.get("ipv6CidrBlock") in EVERYWHERE
                all_ports = rule.get("protocol") in ("-1", "all") or rule.get("fromPort") == 0
                if rule.get("action") == "allow" and anywhere and (all_ports or _administrative(rule)):
                    yield f"{acl.id}: {direction} rule {rule.get('ruleNo')} lets everything through"


def _administrative(rule: dict) -> bool:
    return any(rule["fromPort"] <= port <= rule["toPort"] for port in (22, 3389))


@control("77")
def aws_is_reached_through_endpoints(plan: Plan) -> Iterable[str]:
    needed = NEEDED_ENDPOINTS | (FOR_THE_BASTION if plan.settings.bastion else set())
    there = {one.inputs["serviceName"].split(".", 3)[3] for one in plan.of(ENDPOINT)}
    for service in sorted(needed | {"s3", "dynamodb"}):
        if service not in there:
            yield f"{service}: has no endpoint"
    for endpoint in plan.of(ENDPOINT):
        if endpoint.inputs["vpcEndpointType"] == "Interface" and endpoint.inputs.get("privateDnsEnabled") is not True:
            yield f"{endpoint.id}: its names lead elsewhere"


@control("78")
def endpoints_admit_this_account_in_several_zones(plan: Plan) -> Iterable[str]:
    policies = {document.resource.id: document for document in documents(plan) if document.resource.type == f"aws:{ENDPOINT}"}
    yield from each(plan, ENDPOINT, lambda _: True, "")
    for endpoint in plan.of(ENDPOINT):
        if endpoint.id not in policies:
            yield f"{endpoint.id}: admits everyone"
        elif not account_only(policies[endpoint.id], plan.settings.import_buckets):
            yield f"{endpoint.id}: admits other accounts"
        zones = endpoint.inputs.get("subnetIds") or []
        if endpoint.inputs["vpcEndpointType"] == "Interface" and len(zones) < 2:
            yield f"{endpoint.id}: is in one zone"


@control("80")
def no_way_leads_to_the_internet(plan: Plan) -> Iterable[str]:
    for type_ in WAYS_OUT:
        yield from (f"{resource.id}: leads out" for resource in plan.of(type_))
    for table in plan.of("ec2/routeTable:RouteTable"):
        if table.inputs.get("routes"):
            yield f"{table.id}: has routes"


@control("82")
def instances_ask_for_metadata_with_a_token(plan: Plan) -> Iterable[str]:
    def holds(template: dict) -> bool:
        options = template.get("metadataOptions") or {}
        return options.get("httpTokens") == "required" and options.get("httpPutResponseHopLimit") == 1

    return each(plan, TEMPLATE, holds, "gives its credentials to whoever asks")


@control("83")
def the_bastion_has_no_public_address(plan: Plan) -> Iterable[str]:
    def interfaces(template: dict) -> list[dict]:
        return template.get("networkInterfaces") or []

    def holds(template: dict) -> bool:
        # Pulumi knows the argument as text; without one the subnet decides.
        told = [str(one.get("associatePublicIpAddress")).lower() for one in interfaces(template)]
        return bool(told) and set(told) == {"false"}

    yield from each(plan, TEMPLATE, holds, "may get a public address")
    groups = {group for template in plan.of(TEMPLATE) for one in interfaces(template.inputs) for group in one["securityGroups"]}
    for rule in plan.of(INGRESS):
        if rule.inputs["securityGroupId"] in groups:
            yield f"{rule.id}: lets somebody in"


@control("84")
def disks_are_encrypted(plan: Plan) -> Iterable[str]:
    def holds(template: dict) -> bool:
        disks = template.get("blockDeviceMappings") or []
        return bool(disks) and all(str(at(disk, "ebs.encrypted")).lower() == "true" for disk in disks)

    return each(plan, TEMPLATE, holds, "its disk is not encrypted")


@control("86")
def the_bastion_is_watched_and_kept(plan: Plan) -> Iterable[str]:
    yield from each(plan, TEMPLATE, lambda one: at(one, "monitoring.enabled") is True, "is not watched in detail")
    yield from each(plan, TEMPLATE, lambda one: str(one.get("ebsOptimized")).lower() == "true", "is not EBS-optimised")
    yield from each(plan, TEMPLATE, lambda one: one.get("disableApiTermination") is True, "can be terminated by mistake")
