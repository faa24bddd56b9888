"""One thing changed in an export, and which property has to fail by it, with which rule or statement named.

``make prove`` tries them all on what it deployed: a proof that holds whatever is deployed would prove nothing. A change is made
to what was asked for and to what AWS answered alike, as after ``pulumi up``.
"""

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from posture.proof.assumptions import NOTHING, Assumed
from posture.proof.exported import resource, stack_of
from posture.proof.proving import counterexamples
from posture.proof.solving import Solver

Export = dict[str, Any]
FOREIGN = "999988887777"
_REFERENCE = re.compile(r"\{(\w+/[\w-]+)\.(\w+)\}")


@dataclass(frozen=True)
class Mutation:
    """``change`` is made to the export; ``property`` has to fail, naming an offender that begins with ``offender``."""

    name: str
    property: str
    offender: str
    change: Callable[[Export], None]


class NoSuchPlaceError(LookupError):
    """A mutation no longer applies: what it changes is not in the export."""


def _resources(export: Export) -> list[dict[str, Any]]:
    return export["deployment"]["resources"]


def find(export: Export, title: str) -> dict[str, Any]:
    """The resource of a title, ``BucketPolicy/audit``: a copy in its place, for exports share theirs. Raises NoSuchPlaceError."""
    kind, name = title.split("/", 1)
    for place, one in enumerate(_resources(export)):
        if one["type"].startswith("aws:") and one["type"].rsplit(":", 1)[-1] == kind and one["urn"].rsplit("::", 1)[-1] == name:
            _resources(export)[place] = copied = copy.deepcopy(one)
            return copied
    raise NoSuchPlaceError(title)


def put(title: str, **values: Any) -> Callable[[Export], None]:
    """Sets values of a resource."""

    def change(export: Export) -> None:
        one = find(export, title)
        for part in ("inputs", "outputs"):
            one[part] |= values

    return change


def gone(title: str) -> Callable[[Export], None]:
    """Leaves a resource out."""
    return lambda export: _resources(export).remove(find(export, title))


def added(type_: str, values: Mapping[str, Any]) -> Callable[[Export], None]:
    """Adds a resource. ``{Kind/name.key}`` in a value stands for that of another; ``id`` is the engine's."""

    def resolved(export: Export, value: Any) -> Any:
        named = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if not named:
            return value
        one = find(export, named[1])
        return one["id"] if named[2] == "id" else one["outputs"][named[2]]

    def change(export: Export) -> None:
        found = {key: resolved(export, value) for key, value in values.items()}
        urn = f"urn:pulumi:x::heartmap::{type_}::added"
        _resources(export).append({"urn": urn, "type": type_, "id": "added-1", "inputs": found, "outputs": {**found}})

    return change


def edited(title: str, key: str, edit: Callable[[Any], None]) -> Callable[[Export], None]:
    """Edits a value in place; policies as objects."""

    def change(export: Export) -> None:
        one = find(export, title)
        for part in ("inputs", "outputs"):
            value = one[part][key]
            parsed = json.loads(value) if isinstance(value, str) else value
            edit(parsed)
            one[part][key] = json.dumps(parsed) if isinstance(value, str) else parsed

    return change


def _statement(policy: dict[str, Any], sid: str) -> dict[str, Any]:
    found = next((one for one in policy["Statement"] if one.get("Sid") == sid), None)
    if found is None:
        raise NoSuchPlaceError(sid)
    return found


def with_statement(title: str, statement: Mapping[str, Any], key: str = "policy") -> Callable[[Export], None]:
    """Adds a statement to a policy."""
    new = {"Sid": "Added", "Effect": "Allow", **statement}
    return edited(title, key, lambda policy: policy["Statement"].append(copy.deepcopy(new)))


def without_statement(title: str, sid: str) -> Callable[[Export], None]:
    """Leaves a statement out of a policy."""
    return edited(title, "policy", lambda policy: policy["Statement"].remove(_statement(policy, sid)))


def statement(title: str, sid: str, key: str = "policy", **parts: Any) -> Callable[[Export], None]:
    """Sets parts of a statement; a part of None is left out."""

    def edit(policy: dict[str, Any]) -> None:
        one = _statement(policy, sid)
        for part, value in parts.items():
            one.pop(part, None)
            if value is not None:
                one[part] = value

    return edited(title, key, edit)


def acl(direction: str, **entry: Any) -> Callable[[Export], None]:
    """Adds an entry before all others."""
    new = {"action": "allow", "protocol": "tcp", "ruleNo": 50, **entry}
    return edited("NetworkAcl/network", direction, lambda entries: entries.append(dict(new)))


_INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
_EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
_API_GROUP, _WORKER_GROUP = "{SecurityGroup/network-api.id}", "{SecurityGroup/network-worker.id}"
_EVERYONE = {"AWS": ["*"]}
_OTHER = {"AWS": [f"arn:aws:iam::{FOREIGN}:root"]}
_API, _WORKER, _BALANCER = "SecurityGroup/network-api", "SecurityGroup/network-worker", "SecurityGroup/network-balancer"


def _port(number: int, **peer: str) -> dict[str, Any]:
    return {"ipProtocol": "tcp", "fromPort": number, "toPort": number, **peer}


ENTRY = (
    Mutation(
        "the api tasks admit every address",
        "entry",
        "SecurityGroupIngressRule/added",
        added(_INGRESS, {"securityGroupId": _API_GROUP, **_port(8443, cidrIpv4="0.0.0.0/0")}),
    ),
    Mutation(
        "the api tasks admit every IPv6 address",
        "entry",
        "SecurityGroupIngressRule/added",
        added(_INGRESS, {"securityGroupId": _API_GROUP, **_port(8443, cidrIpv6="::/0")}),
    ),
    Mutation(
        "the worker tasks admit one address",
        "entry",
        "SecurityGroupIngressRule/added",
        added(_INGRESS, {"securityGroupId": _WORKER_GROUP, **_port(22, cidrIpv4="198.51.100.7/32")}),
    ),
    Mutation(
        "the api tasks admit the VPC link past the load balancer",
        "entry",
        "SecurityGroupIngressRule/added",
        added(
            _INGRESS,
            {"securityGroupId": _API_GROUP, **_port(8443, referencedSecurityGroupId="{SecurityGroup/network-link.id}")},
        ),
    ),
    Mutation(
        "the api tasks admit a security group of somebody else",
        "entry",
        "SecurityGroupIngressRule/added",
        added(_INGRESS, {"securityGroupId": _API_GROUP, **_port(8443, referencedSecurityGroupId="sg-0123456789abcdef0")}),
    ),
    Mutation(
        "the api tasks admit one port more",
        "entry",
        "SecurityGroupIngressRule/network-balancer-api",
        put("SecurityGroupIngressRule/network-balancer-api", toPort=8444),
    ),
    Mutation(
        "the load balancer admits every protocol of the VPC link",
        "entry",
        "SecurityGroupIngressRule/network-link-balancer",
        put("SecurityGroupIngressRule/network-link-balancer", ipProtocol="-1", fromPort=-1, toPort=-1),
    ),
    Mutation(
        "a security group has a rule of its own within",
        "entry",
        "SecurityGroup/network-api",
        put(_API, ingress=[{"protocol": "tcp", "fromPort": 8443, "toPort": 8443, "cidrBlocks": ["10.0.0.0/8"]}]),
    ),
    Mutation(
        "the network ACL lets SSH in",
        "entry",
        "NetworkAcl/network",
        acl("ingress", cidrBlock="0.0.0.0/0", fromPort=22, toPort=22),
    ),
    Mutation(
        "the network ACL lets everything in",
        "entry",
        "NetworkAcl/network",
        acl("ingress", protocol="-1", cidrBlock="0.0.0.0/0", fromPort=0, toPort=0),
    ),
    Mutation(
        "the network ACL lets IPv6 in",
        "entry",
        "NetworkAcl/network",
        acl("ingress", ipv6CidrBlock="::/0", fromPort=443, toPort=443),
    ),
    Mutation(
        "the network ACL admits one port more for answers",
        "entry",
        "NetworkAcl/network",
        edited("NetworkAcl/network", "ingress", lambda entries: entries[-1].update(toPort=61000)),
    ),
    Mutation("the subnets follow no network ACL", "entry", "Subnet/", put("NetworkAcl/network", subnetIds=[])),
    Mutation(
        "an internet gateway",
        "entry",
        "InternetGateway/added",
        added("aws:ec2/internetGateway:InternetGateway", {"vpcId": "{Vpc/network.id}"}),
    ),
    Mutation("an elastic address", "entry", "Eip/added", added("aws:ec2/eip:Eip", {"domain": "vpc"})),
    Mutation(
        "a peering with another network",
        "entry",
        "VpcPeeringConnection/added",
        added("aws:ec2/vpcPeeringConnection:VpcPeeringConnection", {"vpcId": "{Vpc/network.id}"}),
    ),
    Mutation(
        "the tasks have public addresses",
        "entry",
        "Service/api",
        edited("Service/api", "networkConfiguration", lambda where: where.update(assignPublicIp=True)),
    ),
    Mutation(
        "a subnet gives out public addresses",
        "entry",
        "Subnet/network-use1-az1",
        put("Subnet/network-use1-az1", mapPublicIpOnLaunch=True),
    ),
    Mutation(
        "the load balancer is on the internet", "entry", "LoadBalancer/balancer", put("LoadBalancer/balancer", internal=False)
    ),
    Mutation("commands can be run in the tasks", "entry", "Service/worker", put("Service/worker", enableExecuteCommand=True)),
    Mutation(
        "a function has a URL",
        "entry",
        "FunctionUrl/added",
        added("aws:lambda/functionUrl:FunctionUrl", {"functionName": "{Function/token.name}", "authorizationType": "NONE"}),
    ),
    Mutation(
        "everyone may call a function",
        "entry",
        "Permission/added",
        added(
            "aws:lambda/permission:Permission",
            {"action": "lambda:InvokeFunction", "function": "{Function/token.name}", "principal": "*", "statementId": "Added"},
        ),
    ),
    Mutation(
        "any account's API may call a function",
        "entry",
        "Permission/api-POST-token",
        put("Permission/api-POST-token", sourceArn=None, sourceAccount=None),
    ),
    Mutation("the API has no web ACL", "entry", "Stage/api", gone("WebAclAssociation/edge")),
    Mutation("the sign-in has no web ACL", "entry", "UserPool/identity", gone("WebAclAssociation/edge-sign-in")),
    Mutation(
        "a rule of the web ACL allows before the others",
        "entry",
        "WebAcl/edge",
        edited("WebAcl/edge", "rules", lambda rules: rules[0].update(action={"allow": {}})),
    ),
    Mutation(
        "the load balancer listens without TLS", "entry", "Listener/balancer", put("Listener/balancer", protocol="HTTP", port=80)
    ),
    Mutation("the tasks are called without TLS", "entry", "TargetGroup/balancer", put("TargetGroup/balancer", protocol="HTTP")),
    Mutation("the API accepts old TLS", "entry", "RestApi/api", put("RestApi/api", securityPolicy="TLS_1_0")),
    Mutation(
        "a method is answered over the internet",
        "entry",
        "Integration/api-GET-health",
        put("Integration/api-GET-health", connectionType="INTERNET", connectionId=None),
    ),
    Mutation(
        "a method is answered without TLS",
        "entry",
        "Integration/api-GET-health",
        put("Integration/api-GET-health", uri="http://internal.example.org/health"),
    ),
    Mutation(
        "a bucket's policy lets another account read",
        "entry",
        "BucketPolicy/results [Added]",
        edited(
            "BucketPolicy/results",
            "policy",
            lambda policy: policy.update(
                Statement=[
                    policy["Statement"][0],
                    {
                        "Sid": "Added",
                        "Effect": "Allow",
                        "Principal": _OTHER,
                        "Action": "s3:GetObject",
                        "Resource": f"{policy['Statement'][0]['Resource'][0]}/*",
                    },
                ]
            ),
        ),
    ),
    Mutation(
        "a bucket's policy does not refuse other accounts, and lets everyone read",
        "entry",
        "BucketPolicy/uploads [OwnAccountOnly]",
        statement("BucketPolicy/uploads", "OwnAccountOnly", Effect="Allow", Condition={"Bool": {"aws:SecureTransport": "true"}}),
    ),
    Mutation(
        "a bucket does not refuse requests without TLS",
        "entry",
        "BucketPolicy/uploads",
        without_statement("BucketPolicy/uploads", "TlsOnly"),
    ),
    Mutation("a bucket has no policy", "entry", "Bucket/artifacts", gone("BucketPolicy/artifacts")),
    Mutation(
        "a bucket's public policies are not blocked",
        "entry",
        "BucketPublicAccessBlock/results",
        put("BucketPublicAccessBlock/results", restrictPublicBuckets=False),
    ),
    Mutation(
        "a bucket obeys ACLs",
        "entry",
        "BucketOwnershipControls/results",
        put("BucketOwnershipControls/results", rule={"objectOwnership": "ObjectWriter"}),
    ),
    Mutation(
        "any account's logs may be written into the bucket of logs",
        "entry",
        "BucketPolicy/logs [AccessLogs]",
        statement("BucketPolicy/logs", "AccessLogs", Condition=None),
    ),
    Mutation(
        "everyone may use a key",
        "entry",
        "Key/data [Account]",
        statement("Key/data", "Account", Principal=_EVERYONE),
    ),
    Mutation(
        "another account may use a key",
        "entry",
        "Key/secrets [Added]",
        with_statement("Key/secrets", {"Principal": _OTHER, "Action": "kms:Decrypt", "Resource": "*"}),
    ),
    Mutation(
        "any account's log groups may use the key of logs",
        "entry",
        "Key/logs [LogGroups]",
        statement("Key/logs", "LogGroups", Condition=None),
    ),
    Mutation(
        "everyone may write to the queue",
        "entry",
        "QueuePolicy/work [OwnAccountOnly]",
        statement("QueuePolicy/work", "OwnAccountOnly", Effect="Allow", Condition=None),
    ),
    Mutation(
        "a role may be taken by another account",
        "entry",
        "Role/api-task [Added]",
        with_statement("Role/api-task", {"Principal": _OTHER, "Action": "sts:AssumeRole"}, "assumeRolePolicy"),
    ),
    Mutation(
        "a role may be taken by an identity provider",
        "entry",
        "Role/api-task [Added]",
        with_statement(
            "Role/api-task",
            {"Principal": {"Federated": "accounts.google.com"}, "Action": "sts:AssumeRoleWithWebIdentity"},
            "assumeRolePolicy",
        ),
    ),
    Mutation(
        "a role's service may take it for any account",
        "entry",
        "Role/worker-task [Trust]",
        statement("Role/worker-task", "Trust", "assumeRolePolicy", Condition=None),
    ),
    Mutation(
        "a table has a policy for everyone",
        "entry",
        "ResourcePolicy/added",
        added(
            "aws:dynamodb/resourcePolicy:ResourcePolicy",
            {
                "resourceArn": "{Table/jobs.arn}",
                "policy": json.dumps(
                    {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "dynamodb:GetItem", "Resource": "*"}]}
                ),
            },
        ),
    ),
)

LEAVING = (
    Mutation(
        "the worker tasks may call every address",
        "leaving",
        "SecurityGroupEgressRule/added",
        added(_EGRESS, {"securityGroupId": _WORKER_GROUP, **_port(443, cidrIpv4="0.0.0.0/0")}),
    ),
    Mutation(
        "the worker tasks may ask any name server",
        "leaving",
        "SecurityGroupEgressRule/added",
        added(
            _EGRESS,
            {"securityGroupId": _WORKER_GROUP, "ipProtocol": "udp", "fromPort": 53, "toPort": 53, "cidrIpv4": "8.8.8.8/32"},
        ),
    ),
    Mutation(
        "the worker tasks may call a service over one port more",
        "leaving",
        "SecurityGroupEgressRule/network-worker-s3",
        put("SecurityGroupEgressRule/network-worker-s3", fromPort=442),
    ),
    Mutation(
        "the worker tasks may call the addresses of another list",
        "leaving",
        "SecurityGroupEgressRule/network-worker-s3",
        put("SecurityGroupEgressRule/network-worker-s3", prefixListId="pl-0123456789abcdef0"),
    ),
    Mutation(
        "the worker tasks may call the api tasks",
        "leaving",
        "SecurityGroupEgressRule/added",
        added(_EGRESS, {"securityGroupId": _WORKER_GROUP, **_port(8443, referencedSecurityGroupId=_API_GROUP)}),
    ),
    Mutation(
        "the network ACL lets everything out",
        "leaving",
        "NetworkAcl/network",
        acl("egress", protocol="-1", cidrBlock="0.0.0.0/0", fromPort=0, toPort=0),
    ),
    Mutation(
        "a route to an internet gateway",
        "leaving",
        "RouteTable/network",
        put("RouteTable/network", routes=[{"cidrBlock": "0.0.0.0/0", "gatewayId": "igw-0123456789abcdef0"}]),
    ),
    Mutation(
        "a route of its own to a NAT gateway",
        "leaving",
        "Route/added",
        added(
            "aws:ec2/route:Route",
            {
                "routeTableId": "{RouteTable/network.id}",
                "destinationCidrBlock": "203.0.113.0/24",
                "natGatewayId": "nat-0123456789abcdef0",
            },
        ),
    ),
    Mutation(
        "a subnet follows the main route table",
        "leaving",
        "Subnet/network-use1-az1",
        gone("RouteTableAssociation/network-use1-az1"),
    ),
    Mutation("a NAT gateway", "leaving", "NatGateway/added", added("aws:ec2/natGateway:NatGateway", {"subnetId": "x"})),
    Mutation(
        "an endpoint's policy lets every account be reached",
        "leaving",
        "VpcEndpoint/network-s3 [ThisAccount]",
        statement("VpcEndpoint/network-s3", "ThisAccount", Condition=None),
    ),
    Mutation(
        "an endpoint's policy lets credentials of others be used",
        "leaving",
        "VpcEndpoint/network-sqs [ThisAccount]",
        edited(
            "VpcEndpoint/network-sqs",
            "policy",
            lambda policy: policy["Statement"][0]["Condition"]["StringEquals"].pop("aws:PrincipalAccount"),
        ),
    ),
    Mutation(
        "an endpoint's policy lets others' tables be reached",
        "leaving",
        "VpcEndpoint/network-dynamodb [ThisAccount]",
        edited(
            "VpcEndpoint/network-dynamodb",
            "policy",
            lambda policy: policy["Statement"][0]["Condition"]["StringEquals"].pop("aws:ResourceAccount"),
        ),
    ),
    Mutation(
        "an endpoint has no policy",
        "leaving",
        "VpcEndpoint/network-logs [AWS default]",
        put("VpcEndpoint/network-logs", policy=None),
    ),
    Mutation(
        "the layers' bucket may be written to",
        "leaving",
        "VpcEndpoint/network-s3 [ImageLayers]",
        statement("VpcEndpoint/network-s3", "ImageLayers", Action=["s3:GetObject", "s3:PutObject"]),
    ),
    Mutation(
        "every bucket of a similar name may be read",
        "leaving",
        "VpcEndpoint/network-s3 [ImageLayers]",
        statement("VpcEndpoint/network-s3", "ImageLayers", Resource="arn:aws:s3:::prod-*-starport-layer-bucket/*"),
    ),
    Mutation(
        "an endpoint of somebody's service",
        "leaving",
        "VpcEndpoint/network-ssm",
        put("VpcEndpoint/network-ssm", serviceName="com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"),
    ),
)


def _more(role: str, action: Any, resource: str = "*", **parts: Any) -> Callable[[Export], None]:
    return with_statement(f"Policy/{role}", {"Action": action, "Resource": resource, **parts})


def _for_role(title: str, role: str, action: str) -> Callable[[Export], None]:
    def change(export: Export) -> None:
        who = {"AWS": find(export, role)["outputs"]["arn"]}
        with_statement(title, {"Principal": who, "Action": action, "Resource": "*"})(export)

    return change


RIGHTS = (
    Mutation("a role may pass any role", "rights", "Policy/worker-task [Added]", _more("worker-task", "iam:PassRole")),
    Mutation(
        "a role may pass one role to one service",
        "rights",
        "Policy/rotation [Added]",
        _more(
            "rotation",
            "iam:PassRole",
            "arn:aws:iam::123456789012:role/heartmap-dev-api-task",
            Condition={"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        ),
    ),
    Mutation("a role may write policies", "rights", "Policy/api-task [Added]", _more("api-task", "iam:PutRolePolicy")),
    Mutation("a role may attach policies", "rights", "Policy/token [Added]", _more("token", ["iam:GetRole", "iam:Attach*"])),
    Mutation("a role may do everything", "rights", "Policy/api-task [Added]", _more("api-task", "*")),
    Mutation(
        "a role may do everything but one thing",
        "rights",
        "Policy/api-task [Added]",
        with_statement("Policy/api-task", {"NotAction": "s3:*", "Resource": "*"}),
    ),
    Mutation("a role may take another", "rights", "Policy/audit-search [Added]", _more("audit-search", "sts:AssumeRole")),
    Mutation(
        "a role may replace a function's code", "rights", "Policy/token [Added]", _more("token", "lambda:UpdateFunctionCod?")
    ),
    Mutation("a role may run another task", "rights", "Policy/rotation [Added]", _more("rotation", "ecs:RunTask")),
    Mutation(
        "a role may restart services of every name",
        "rights",
        "Policy/rotation [Tasks]",
        statement("Policy/rotation", "Tasks", Resource="arn:aws:ecs:*:*:service/*"),
    ),
    Mutation("a role may change a key's policy", "rights", "Policy/rotation [Added]", _more("rotation", "kms:Put*")),
    Mutation("a role may open a bucket", "rights", "Policy/api-task [Added]", _more("api-task", "s3:Put*")),
    Mutation(
        "a bucket's policy lets a role write the policy",
        "rights",
        "BucketPolicy/results [Added]",
        _for_role("BucketPolicy/results", "Role/api-task", "s3:PutBucketPolicy"),
    ),
    Mutation(
        "another role may sign seals",
        "rights",
        "Policy/audit-search [Added]",
        _more("audit-search", "kms:Sign", "arn:aws:kms:*:123456789012:key/*"),
    ),
    Mutation(
        "people may be administered by another function",
        "rights",
        "Policy/audit-search [Added]",
        _more("audit-search", "cognito-idp:AdminAddUserToGroup"),
    ),
    Mutation(
        "a password may be set",
        "rights",
        "Policy/user-administration [Added]",
        _more("user-administration", "cognito-idp:AdminSetUserPassword", "arn:aws:cognito-idp:us-east-1:123456789012:userpool/*"),
    ),
    Mutation(
        "a role may use all keys",
        "rights",
        "Policy/worker-task [DataKey]",
        statement("Policy/worker-task", "DataKey", Resource="*"),
    ),
    Mutation(
        "a role may use another purpose's key",
        "rights",
        "Policy/worker-task [Added]",
        lambda export: _more("worker-task", "kms:Decrypt", find(export, "Key/secrets")["outputs"]["arn"])(export),
    ),
    Mutation(
        "a key's policy lets a role of another purpose use it",
        "rights",
        "Key/secrets [Added]",
        _for_role("Key/secrets", "Role/worker-task", "kms:Decrypt"),
    ),
    Mutation(
        "a key is used beyond what binds it",
        "rights",
        "Policy/api-execution [SecretsKey]",
        statement("Policy/api-execution", "SecretsKey", Condition=None),
    ),
    Mutation(
        "a role has more in its trust",
        "rights",
        "Role/token [Added]",
        with_statement(
            "Role/token",
            {"Principal": {"AWS": "arn:aws:iam::123456789012:role/heartmap-dev-api-task"}, "Action": "sts:AssumeRole"},
            "assumeRolePolicy",
        ),
    ),
    Mutation(
        "a role has a policy within itself",
        "rights",
        "RolePolicy/added [without a sid]",
        added(
            "aws:iam/rolePolicy:RolePolicy",
            {
                "role": "{Role/worker-task.id}",
                "policy": json.dumps({"Statement": {"Effect": "Allow", "Action": "iam:Create*", "Resource": "*"}}),
            },
        ),
    ),
    Mutation("a grant of a key", "rights", "Grant/added", added("aws:kms/grant:Grant", {"keyId": "{Key/data.keyId}"})),
    Mutation(
        "a user with an access key", "rights", "AccessKey/added", added("aws:iam/accessKey:AccessKey", {"user": "somebody"})
    ),
)


def _open_api(export: Export) -> None:
    """The API's policy is within it, or, where the stack bounds its callers' addresses, beside it."""
    statement = {"Sid": "Added", "Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "*"}
    try:
        with_statement("RestApiPolicy/api", statement)(export)
    except NoSuchPlaceError:
        put("RestApi/api", policy=json.dumps({"Statement": [statement]}))(export)


METHODS = (
    Mutation(
        "a method has no authorization",
        "methods",
        "Method/api-GET-health",
        put("Method/api-GET-health", authorization="NONE", authorizerId=None),
    ),
    Mutation(
        "the method that gives tokens has no authorization",
        "methods",
        "Method/api-POST-token",
        put("Method/api-POST-token", authorization="NONE"),
    ),
    Mutation(
        "a method asks the user pool, and not the authorizer",
        "methods",
        "Method/api-GET-keys",
        put("Method/api-GET-keys", authorization="COGNITO_USER_POOLS"),
    ),
    Mutation(
        "a method asks another authorizer", "methods", "Method/api-GET-users", put("Method/api-GET-users", authorizerId="abc123")
    ),
    Mutation(
        "the authorizer's answers are kept", "methods", "Method/api-GET", put("Authorizer/api", authorizerResultTtlInSeconds=300)
    ),
    Mutation(
        "the authorizer is a function of somebody else",
        "methods",
        "Method/api-GET",
        put(
            "Authorizer/api",
            authorizerUri="arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
            f"arn:aws:lambda:us-east-1:{FOREIGN}:function:theirs/invocations",
        ),
    ),
    Mutation(
        "a method more, without authorization",
        "methods",
        "Method/added",
        added(
            "aws:apigateway/method:Method",
            {
                "restApi": "{RestApi/api.id}",
                "resourceId": "{RestApi/api.rootResourceId}",
                "httpMethod": "ANY",
                "authorization": "NONE",
            },
        ),
    ),
    Mutation(
        "the API's policy lets every account call what IAM authorizes",
        "entry",
        "RestApi",
        _open_api,
    ),
)

UNDERSTOOD = (
    Mutation(
        "a type that nobody has thought about", "understood", "Domain/added", added("aws:opensearch/domain:Domain", {"x": 1})
    ),
    Mutation(
        "another provider's resource",
        "understood",
        "Tunnel/added",
        added("cloudflare:index/tunnel:Tunnel", {"name": "x"}),
    ),
    Mutation(
        "an argument that nobody has thought about", "understood", "Vpc/network", put("Vpc/network", ipv6IpamPoolId="ipam-1")
    ),
    Mutation(
        "the api tasks have a security group of somebody else",
        "understood",
        "",
        edited("Service/api", "networkConfiguration", lambda where: where["securityGroups"].append("sg-0123456789abcdef0")),
    ),
    Mutation(
        "a policy of AWS's on a role",
        "understood",
        "",
        put("RolePolicyAttachment/token", policyArn="arn:aws:iam::aws:policy/AdministratorAccess"),
    ),
    Mutation(
        "a condition that is not known",
        "understood",
        "",
        statement("BucketPolicy/uploads", "TlsOnly", Condition={"StringSounds": {"aws:SecureTransport": "false"}}),
    ),
)

MUTATIONS = (*ENTRY, *LEAVING, *RIGHTS, *METHODS, *UNDERSTOOD)


def unnoticed(text: str, mutations: Sequence[Mutation] = MUTATIONS, assumed: Assumed = NOTHING) -> Iterator[str]:
    """The mutations of an export that its proof does not refuse by the right property, with the right place named.

    One solver for all: it concludes anew what follows from what was changed, and remembers the rest.
    """
    solver, export = Solver(), json.loads(text)
    known = {id(one): resource(one) for one in _resources(export)}
    for mutation in mutations:
        changed = {"deployment": {"resources": [*_resources(export)]}}
        mutation.change(changed)
        stack = stack_of(tuple(known.get(id(one)) or resource(one) for one in _resources(changed)))
        found = counterexamples(stack, solver, assumed)
        if not any(one.property == mutation.property and one.offender.startswith(mutation.offender) for one in found):
            yield f"{mutation.name}: {mutation.property} is not refused for {mutation.offender}"
