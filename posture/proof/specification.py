"""What is to be proved: who may talk to whom, which role uses which key, and what AWS itself promises.

Names are those in the program, which are the same in every environment. Whoever adds a flow, a role or an endpoint adds a line
here, and says by it that the way is meant.
"""

from collections.abc import Mapping
from dataclasses import dataclass

HTTPS = 443
SERVICE_PORT = 8443

OUTSIDE, ENDPOINTS = "outside", "endpoints"
LINK, BALANCER, BASTION, VPN, API, WORKER = "link", "balancer", "bastion", "vpn", "api", "worker"

FLOWS: Mapping[tuple[str, str], int] = {
    (LINK, BALANCER): HTTPS,
    (BASTION, BALANCER): HTTPS,
    (VPN, BALANCER): HTTPS,
    (BALANCER, API): SERVICE_PORT,
    (API, ENDPOINTS): HTTPS,
    (WORKER, ENDPOINTS): HTTPS,
    (BASTION, ENDPOINTS): HTTPS,
}
"""Every connection inside the network, as (who, whom): the TCP port."""

GATEWAYS: Mapping[str, frozenset[str]] = {
    API: frozenset({"s3", "dynamodb"}),
    WORKER: frozenset({"s3", "dynamodb"}),
    BASTION: frozenset({"s3"}),
}
"""Which services' addresses are reached through a gateway endpoint, over HTTPS."""

ENDPOINT_SERVICES = frozenset({"ecr.api", "ecr.dkr", "logs", "sqs", "ssm", "kms", "ssmmessages", "s3", "dynamodb"})
"""The endpoints that there may be: AWS's own services, by the ends of their names."""

IMAGE_LAYERS = "arn:{partition}:s3:::prod-*-starport-layer-bucket/*"
"""The one foreign place that is read: AWS keeps the layers of container images there.
https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html#ecr-minimum-s3-perms"""

ANSWER_PORTS = (32768, 60999)
"""From where Linux calls, and so where answers of S3 and DynamoDB come in. Network ACLs know no connections."""


@dataclass(frozen=True)
class KeyUse:
    """A key that a role may use; with ``bound``, only in a request that has one of these keys, with a value of this pattern.

    With ``actions``, only for these.
    """

    key: str
    bound: tuple[tuple[str, str], ...] = ()
    actions: tuple[str, ...] = ()


_SESSION = ("kms:encryptioncontext:aws:ssm:sessionid", "*")
_BY_S3 = ("kms:viaservice", "s3.*")
_FUNCTION = (KeyUse("data"), KeyUse("secrets"))
# What brings a key back, and uses it for nothing.
_REPAIR = ("kms:cancelkeydeletion", "kms:enablekey")

KEYS: Mapping[str, tuple[KeyUse, ...]] = {
    "api-execution": (KeyUse("secrets", (("kms:encryptioncontext:parameter_arn", "*"),)),),
    "api-task": (KeyUse("data"),),
    "worker-task": (KeyUse("data"),),
    "authorizer": _FUNCTION,
    "token": _FUNCTION,
    "key-administration": _FUNCTION,
    "user-administration": _FUNCTION,
    # The audit bucket is under the key of the logs.
    "audit-search": (*_FUNCTION, KeyUse("logs", (_BY_S3,))),
    "sealing": (KeyUse("data"), KeyUse("signing"), KeyUse("logs", (_BY_S3,))),
    "rotation": (KeyUse("secrets"),),
    "malware-scan": (KeyUse("data", (_BY_S3,)),),
    "bastion": (KeyUse("logs", (_SESSION, _BY_S3)),),
    "bastion-operators": (KeyUse("logs", (_SESSION,)),),
    "break-glass": tuple(KeyUse(key, actions=_REPAIR) for key in ("data", "secrets", "logs")),
}
"""Which roles, and which policies for people, use which keys. A role that is not here uses none."""

WIDENING = (
    *("iam:*", "sts:assumerole*", "sts:getfederationtoken", "organizations:*", "account:*", "cloudformation:*", "codebuild:*"),
    *("kms:putkeypolicy", "kms:creategrant", "kms:replicatekey", "kms:updateprimaryregion"),
    *("lambda:addpermission", "lambda:create*", "lambda:update*", "lambda:put*", "lambda:publish*", "lambda:invoke*"),
    *("lambda:addlayerversionpermission", "lambda:removepermission"),
    *("ecs:register*", "ecs:run*", "ecs:start*", "ecs:execute*", "ecs:create*", "ecs:updateservice", "ecs:updateserviceprimary*"),
    *("ec2:run*", "ec2:associate*", "ec2:replace*", "ec2:create*", "ec2:modify*", "ec2:authorize*", "ec2:attach*"),
    *("ec2:requestspot*", "ec2-instance-connect:*", "autoscaling:create*", "autoscaling:update*", "autoscaling:start*"),
    *(
        "ssm:sendcommand",
        "ssm:startsession",
        "ssm:startautomation*",
        "ssm:create*",
        "ssm:updateassociation*",
        "ssm:updatedocument*",
    ),
    *("s3:putbucketpolicy", "s3:deletebucketpolicy", "s3:putbucketacl", "s3:putobjectacl", "s3:putobjectversionacl"),
    *("s3:put*publicaccessblock", "s3:putbucketownershipcontrols", "s3:putreplicationconfiguration", "s3:*accesspoint*"),
    *("dynamodb:putresourcepolicy", "dynamodb:deleteresourcepolicy", "ecr:setrepositorypolicy", "ecr:putregistrypolicy"),
    *("secretsmanager:putresourcepolicy", "secretsmanager:deleteresourcepolicy", "secretsmanager:replicatesecrettoregions"),
    *("sqs:addpermission", "sqs:setqueueattributes", "sns:addpermission", "sns:settopicattributes", "logs:putresourcepolicy"),
    *("apigateway:*", "wafv2:*", "elasticloadbalancing:*", "cognito-idp:*", "cognito-identity:*", "scheduler:*", "states:*"),
)
"""Actions that make rights which nobody gave: new policies, other roles, other code under a role, a door of another's."""

HARMLESS = (
    *("iam:get*", "iam:list*", "cloudformation:describe*", "cloudformation:list*", "wafv2:get*", "wafv2:list*"),
    *("elasticloadbalancing:describe*", "cognito-idp:list*", "cognito-idp:describe*", "cognito-idp:get*"),
    *("cognito-idp:admingetuser", "cognito-idp:adminlist*", "organizations:describe*", "organizations:list*", "states:describe*"),
)
"""Of these, what only reads."""


@dataclass(frozen=True)
class Exemption:
    """What a role may do of it all the same: these actions, on these resources ({…} stands for the stack's own), for a reason."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    reason: str


_HERE = "arn:{partition}:{service}:*:{account}:"
EXEMPT: Mapping[str, tuple[Exemption, ...]] = {
    "user-administration": (
        Exemption(
            (
                *("cognito-idp:admincreateuser", "cognito-idp:adminaddusertogroup", "cognito-idp:adminremoveuserfromgroup"),
                *("cognito-idp:admindisableuser", "cognito-idp:adminenableuser", "cognito-idp:adminuserglobalsignout"),
                "cognito-idp:admindeletesoftwaretoken",
            ),
            ("arn:{partition}:cognito-idp:*:{account}:userpool/*",),
            "it is how an admin administers people; it cannot set a password or an address, with which it could sign in as one",
        ),
    ),
    "rotation": (
        Exemption(
            ("ecs:updateservice",),
            ("arn:{partition}:ecs:*:{account}:service/heartmap-*/heartmap-*-api",),
            "it restarts the tasks so that they read the new keys; no role of the stack registers another task definition",
        ),
    ),
    "bastion-operators": (
        Exemption(
            ("ssm:startsession",),
            (
                "arn:{partition}:ec2:*:{account}:instance/*",
                "arn:{partition}:ssm:*:{account}:document/heartmap-*-session",
                "arn:{partition}:ssm:*::document/AWS-StartPortForwardingSessionToRemoteHost",
                "arn:{partition}:ssm:*::document/AWS-StartSSHSession",
            ),
            "a session on the bastion, recorded and without root, is what the policy is for",
        ),
        Exemption(
            ("ec2-instance-connect:sendsshpublickey",),
            ("arn:{partition}:ec2:*:{account}:instance/*",),
            "the key of a tunnel, for the user without a shell",
        ),
    ),
    "break-glass": (
        Exemption(
            (
                *("cognito-idp:adminaddusertogroup", "cognito-idp:admincreateuser", "cognito-idp:admindisableuser"),
                *("cognito-idp:adminenableuser", "cognito-idp:adminsetusermfapreference", "cognito-idp:adminuserglobalsignout"),
            ),
            ("arn:{partition}:cognito-idp:*:{account}:userpool/*",),
            "where no administrator can sign in, one has to be made; groups are rights in the API, and none in AWS",
        ),
        Exemption(
            ("ecs:updateservice",),
            ("arn:{partition}:ecs:*:{account}:service/heartmap-*/heartmap-*",),
            "it restarts, scales and stops the services; no role of the stack registers another task definition",
        ),
    ),
}
"""By role, or policy for people."""


@dataclass(frozen=True)
class Taking:
    """How IAM users whom the trust policy names may take a role: with a second factor younger than ``factor_seconds``, in a
    request that has each key of ``bound`` with a value of its pattern, and the user's own name under each of ``named_by``.
    ``needs`` says it for people.
    """

    factor_seconds: int
    bound: tuple[tuple[str, str], ...]
    named_by: tuple[str, ...]
    needs: str


TAKEN: Mapping[str, Taking] = {
    "break-glass": Taking(
        300,
        (("aws:requesttag/reason", "?" * 10 + "*"),),
        ("sts:rolesessionname", "sts:sourceidentity"),
        "with a second factor of the last five minutes, a reason, and under the user's own name",
    ),
}
"""The roles that people take. Every other role is taken by AWS's services alone."""

NEVER: Mapping[str, tuple[str, ...]] = {
    "break-glass": (
        *("iam:*", "sts:assumerole", "kms:creategrant", "kms:putkeypolicy", "kms:decrypt", "s3:*"),
        *("secretsmanager:getsecretvalue", "kms:disablekey", "kms:schedulekeydeletion"),
        *("cloudtrail:*", "cloudwatch:put*", "cloudwatch:d*", "events:*", "sns:*", "logs:put*", "logs:delete*"),
    ),
}
"""What a role's own policy refuses, whatever is attached to it: more rights, data and secrets, and what removes its traces."""

PASSES: Mapping[str, tuple[str, ...]] = {}
"""Which role may pass which role: none, since nothing of the stack makes anything that runs."""

NO_SOURCE: Mapping[str, str] = {
    "ec2.amazonaws.com": "EC2 names no source when an instance takes its role",
    "apigateway.amazonaws.com": "API Gateway names no source when it writes logs",
    "cloudtrail.amazonaws.com": "CloudTrail's role for its log group is bound by no source in AWS's own example",
    "malware-protection-plan.guardduty.amazonaws.com": "GuardDuty's own trust policy for the role has no source",
}
"""Services that take a role without saying for whom. That they take it only for who may pass it, AWS promises:
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html"""

WRITES_UNDER: Mapping[str, str] = {
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
    "logdelivery.elasticloadbalancing.amazonaws.com": "*/AWSLogs/{account}/*",
}
"""Services that write only below the account for which they act, as AWS promises."""
