"""Entry by IAM: no policy of a bucket, key, queue, topic, secret, function, role or API lets anybody in; TLS everywhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import z3

from posture.proof import specification as spec
from posture.proof.exported import NotUnderstood, Resource, Stack
from posture.proof.findings import Counterexample
from posture.proof.logic import all_of, any_of, none_of
from posture.proof.outsiders import KINDS, Outside, outside
from posture.proof.policies import Condition, Statement, read
from posture.proof.requests import ACTION, RESOURCE, SERVICE, TLS, Request, allowed, applies
from posture.proof.solving import Solver

# Where policies of resources stand, as resources of their own: type and argument.
_POLICIES = (
    ("s3/bucketPolicy:BucketPolicy", "policy"),
    ("sqs/queuePolicy:QueuePolicy", "policy"),
    ("sns/topicPolicy:TopicPolicy", "policy"),
    ("secretsmanager/secretPolicy:SecretPolicy", "policy"),
    ("ses/identityPolicy:IdentityPolicy", "policy"),
    ("ecr/repositoryPolicy:RepositoryPolicy", "policy"),
    ("dynamodb/resourcePolicy:ResourcePolicy", "policy"),
    ("cloudwatch/logResourcePolicy:LogResourcePolicy", "policyDocument"),
    ("apigateway/restApiPolicy:RestApiPolicy", "policy"),
    ("kms/key:Key", "policy"),
    ("iam/role:Role", "assumeRolePolicy"),
)
# What has a policy within itself or beside: type, its own argument, the type beside, and how that names it.
_BESIDE = (
    ("sqs/queue:Queue", "sqs/queuePolicy:QueuePolicy", "queueUrl"),
    ("sns/topic:Topic", "sns/topicPolicy:TopicPolicy", "arn"),
    ("secretsmanager/secret:Secret", "secretsmanager/secretPolicy:SecretPolicy", "secretArn"),
    ("apigateway/restApi:RestApi", "apigateway/restApiPolicy:RestApiPolicy", "restApiId"),
)
# What has to refuse whoever comes without TLS, and which actions carry data. For the others see docs/proof.md.
_TLS = (
    ("s3/bucket:Bucket", "s3/bucketPolicy:BucketPolicy", "bucket", "s3:*"),
    ("sqs/queue:Queue", "sqs/queuePolicy:QueuePolicy", "queueUrl", "sqs:*"),
    ("sns/topic:Topic", "sns/topicPolicy:TopicPolicy", "arn", "sns:publish"),
    ("secretsmanager/secret:Secret", "secretsmanager/secretPolicy:SecretPolicy", "secretArn", "secretsmanager:*"),
)
_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def _names(resource: Resource) -> set[str]:
    """How other resources name it."""
    return {resource.id, *(str(resource.values[key]) for key in ("arn", "url", "bucket") if key in resource.values)}


def _beside(stack: Stack, resource: Resource, type_: str, key: str) -> Resource | None:
    return next((one for one in stack.of(type_) if one.get(key) in _names(resource)), None)


def policies(stack: Stack) -> Iterator[list[Statement]]:
    """The statements of each policy of a resource. Raises NotUnderstood."""
    for type_, key in _POLICIES:
        yield from (read(resource, key) for resource in stack.of(type_))
    for type_, beside, key in _BESIDE:
        for resource in stack.of(type_):
            if resource.get("policy") and not _beside(stack, resource, beside, key):
                yield read(resource, "policy")
    yield from ([_permission(one)] for one in stack.of("lambda/permission:Permission"))


def _permission(resource: Resource) -> Statement:
    """What a permission of a function comes to as a statement of its policy."""
    principal = resource.text("principal")
    conditions = [
        Condition(operator, key, (str(resource.get(argument)),), "", if_exists=False)
        for argument, operator, key in (
            ("sourceArn", "ArnLike", "aws:sourcearn"),
            ("sourceAccount", "StringEquals", "aws:sourceaccount"),
            ("principalOrgId", "StringEquals", "aws:principalorgid"),
            ("functionUrlAuthType", "StringEquals", "lambda:functionurlauthtype"),
        )
        if resource.get(argument)
    ]
    kind = "Service" if principal.endswith(".amazonaws.com") else "AWS"
    return Statement(
        resource.title,
        resource.text("statementId"),
        True,
        ((kind, principal),),
        False,
        (resource.text("action").lower(),),
        False,
        ("*",),
        False,
        tuple(conditions),
    )


@dataclass(frozen=True)
class _Entering:
    """The situation of who comes from outside, and is no service that takes a role without a source."""

    outside: Outside

    def __call__(self, request: Request) -> Iterator[z3.BoolRef]:
        yield from self.outside(request)
        # Roles are taken by AWS's services for whoever may pass them, which is proved of the roles themselves.
        trusts = request.like(ACTION, "sts:*")
        yield from (none_of(all_of(trusts, request.equal(SERVICE, name))) for name in spec.NO_SOURCE)


def nobody_is_let_in(stack: Stack, solver: Solver) -> Iterator[Counterexample]:
    """No policy allows a request from outside."""
    entering = _Entering(outside(stack))
    for statements in policies(stack):
        for kind in KINDS:
            for statement, example in allowed(statements, Request(kind), entering, solver):
                path = (spec.OUTSIDE, statement.place)
                yield Counterexample("entry", statement.title, "it lets in who is not of this account", path, example)


def nothing_without_tls(stack: Stack, solver: Solver) -> Iterator[Counterexample]:
    """Every bucket, queue, topic and secret refuses every request without TLS, whoever it is from."""
    for type_, beside, key, actions in _TLS:
        for resource in stack.of(type_):
            policy = _beside(stack, resource, beside, key)
            statements = read(policy, "policy") if policy else []
            premises = ("without TLS", tuple(statements), resource.arn, actions)
            about = (statements, resource.arn, actions, solver)
            example = solver.concluded(premises, lambda about=about: _without_tls(*about))
            if example is not None:
                offender = policy.title if policy else resource.title
                yield Counterexample(
                    "entry", offender, f"it does not refuse requests to {resource.title} without TLS", (), example
                )


def _without_tls(statements: Sequence[Statement], arn: str, actions: str, solver: Solver) -> dict[str, str] | None:
    request = Request("aws")
    refused = any_of(*(applies(one, request) for one in statements if not one.allow))
    within = [request.equal(RESOURCE, arn)]
    if actions == "s3:*":
        within.append(request.like(RESOURCE, f"{arn}/?*"))
    wanted = [none_of(refused), any_of(*within), request.like(ACTION, actions), request.is_value(TLS, "false")]
    model = solver.find([*wanted, *request.closed()])
    return request.example(model) if model is not None else None


def buckets_are_blocked(stack: Stack) -> Iterator[Counterexample]:
    """Every bucket has all four blocks, and no ACLs."""
    for bucket in stack.of("s3/bucket:Bucket"):
        block = _beside(stack, bucket, "s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "bucket")
        missing = [key for key in _BLOCKS if not (block and block.get(key) is True)]
        if missing:
            what = f"it does not block what is public in {bucket.title} ({', '.join(missing)})"
            yield Counterexample("entry", (block or bucket).title, what, (spec.OUTSIDE, bucket.title))
        owner = _beside(stack, bucket, "s3/bucketOwnershipControls:BucketOwnershipControls", "bucket")
        if not owner or (owner.get("rule") or {}).get("objectOwnership") != "BucketOwnerEnforced":
            what = f"{bucket.title} obeys ACLs"
            yield Counterexample("entry", (owner or bucket).title, what, (spec.OUTSIDE, bucket.title))


def check(stack: Stack, solver: Solver) -> Iterator[Counterexample]:
    """All of it."""
    for key in stack.of("kms/key:Key"):
        if not key.get("policy"):
            raise NotUnderstood(f"{key.title}: its policy is not in the export")
    yield from nobody_is_let_in(stack, solver)
    yield from nothing_without_tls(stack, solver)
    yield from buckets_are_blocked(stack)
