"""Rights: what each role may do, and what it must not be able to, over all actions and resources."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import z3

from posture.proof import data
from posture.proof import specification as spec
from posture.proof.exported import NotUnderstood, Resource, Stack
from posture.proof.findings import Counterexample
from posture.proof.logic import all_of, none_of
from posture.proof.policies import Statement, parse, read
from posture.proof.requests import ACCOUNT, ACTION, ARN, BY_SERVICE, RESOURCE, Request, allowed
from posture.proof.solving import Solver

# Of a key's actions, what tells of the key and uses it for nothing.
_ABOUT_KEYS = ("kms:describe*", "kms:get*", "kms:list*")
# The most that anybody could attach.
(_EVERYTHING,) = parse("whatever is attached", {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})


@dataclass(frozen=True)
class Identity:
    """A role, or a policy that is made for people's roles. ``arn`` is empty for such a policy."""

    name: str
    title: str
    arn: str
    statements: tuple[Statement, ...]


def identities(stack: Stack) -> Iterator[Identity]:
    """Everything that has rights. Raises NotUnderstood for rights whose text is not in the export."""
    policies = {policy.arn: policy for policy in stack.of("iam/policy:Policy")}
    attached: set[str] = set()
    for role in stack.of("iam/role:Role"):
        arns = [str(arn) for arn in role.list("managedPolicyArns")]
        arns += [
            one.text("policyArn")
            for one in stack.of("iam/rolePolicyAttachment:RolePolicyAttachment")
            if one.get("role") in (role.id, role.get("name"), role.get("arn"))
        ]
        attached |= set(arns)
        yield Identity(role.name, role.title, role.arn, tuple(_statements(stack, role, arns, policies)))
    for policy in policies.values():
        if policy.arn not in attached:
            yield Identity(policy.name, policy.title, "", tuple(read(policy, "policy")))


def _statements(stack: Stack, role: Resource, arns: Sequence[str], policies: dict[str, Resource]) -> Iterator[Statement]:
    for arn in arns:
        if arn not in policies:
            raise NotUnderstood(
                f"{role.title}: the text of its policy {arn} is not in the export, so that its rights are not known"
            )
        yield from read(policies[arn], "policy")
    for inline in role.list("inlinePolicies"):
        if inline.get("policy"):
            yield from parse(f"{role.title} {inline.get('name')}", inline["policy"])
    for policy in stack.of("iam/rolePolicy:RolePolicy"):
        if policy.get("role") in (role.id, role.get("name")):
            yield from read(policy, "policy")


def _request_of(identity: Identity, stack: Stack) -> Request:
    """A request of the identity."""
    request = Request("aws")
    request.fix(ACCOUNT, stack.account)
    request.fix(BY_SERVICE, "false")
    if identity.arn:
        request.fix(ARN, identity.arn)
    return request


@dataclass(frozen=True)
class _Widening:
    """The situation of who makes rights. ``exempts`` are the actions, and the resources, with which that is meant."""

    exempts: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]

    def __call__(self, request: Request) -> Iterator[z3.BoolRef]:
        yield all_of(request.like(ACTION, *spec.WIDENING), none_of(request.like(ACTION, *spec.HARMLESS)))
        for actions, resources in self.exempts:
            yield none_of(all_of(request.like(ACTION, *actions), request.like(RESOURCE, *resources)))


def nobody_widens(stack: Stack, solver: Solver) -> Iterator[Counterexample]:
    """No identity may do what makes rights, but for what the specification names."""
    granted = _granted(stack)
    for identity in identities(stack):
        widening = _Widening(
            tuple(
                (exempt.actions, tuple(one.format(partition=stack.partition, account=stack.account) for one in exempt.resources))
                for exempt in spec.EXEMPT.get(identity.name, ())
            )
        )
        for statement, example in allowed([*identity.statements, *granted], _request_of(identity, stack), widening, solver):
            passes = example.get(ACTION) == "iam:passrole"
            what = f"{identity.title} may {'pass a role' if passes else 'make rights that nobody gave'}"
            yield Counterexample("rights", statement.title, what, (identity.name, example[ACTION], example[RESOURCE]), example)


def _leaves_it_to_iam(statement: Statement) -> bool:
    """Whether a policy of a resource names the account alone, which by itself gives no role of it anything."""
    who = statement.principals or ()
    return statement.allow and all(kind == "AWS" and (name.endswith(":root") or name.isdigit()) for kind, name in who)


def _granted(stack: Stack) -> list[Statement]:
    """What the policies of resources give to roles. Who takes a role is another question, see nobody_takes_a_role."""
    trusts = {role.title for role in stack.of("iam/role:Role")}
    return [
        statement
        for policy in data.policies(stack)
        for statement in policy
        if statement.allow and statement.place not in trusts and not _leaves_it_to_iam(statement)
    ]


@dataclass(frozen=True)
class _Using:
    """The situation of who uses a key, beyond what is meant."""

    meant: spec.KeyUse | None

    def __call__(self, request: Request) -> Iterator[z3.BoolRef]:
        harmless = _ABOUT_KEYS + (self.meant.actions if self.meant else ())
        yield all_of(request.like(ACTION, "kms:*"), none_of(request.like(ACTION, *harmless)))
        for name, pattern in self.meant.bound if self.meant else ():
            yield none_of(all_of(request.present(name), request.like(name, pattern)))


def keys_have_purposes(stack: Stack, solver: Solver) -> Iterator[Counterexample]:
    """No identity uses a key but those of its purpose, and where it is bound, only so."""
    for identity in identities(stack):
        uses = {use.key: use for use in spec.KEYS.get(identity.name, ())}
        for key in stack.of("kms/key:Key"):
            use = uses.get(key.name)
            if use and not use.bound and not use.actions:
                continue
            request = _request_of(identity, stack)
            request.fix(RESOURCE, key.arn)
            direct = [statement for statement in read(key, "policy") if not _leaves_it_to_iam(statement)]
            for statement, example in allowed([*identity.statements, *direct], request, _Using(use), solver):
                how = "beyond what binds it" if use else "which is of another purpose"
                what = f"{identity.title} may use {key.title}, {how}"
                yield Counterexample("rights", statement.title, what, (identity.name, example[ACTION], key.title), example)


@dataclass(frozen=True)
class _Ever:
    """The situation of who does one of some things."""

    actions: tuple[str, ...]

    def __call__(self, request: Request) -> Iterator[z3.BoolRef]:
        yield request.like(ACTION, *self.actions)


def what_never_may_be(stack: Stack, solver: Solver) -> Iterator[Counterexample]:
    """What an identity never may is refused by its own policy, whatever else somebody attaches."""
    for identity in identities(stack):
        never = spec.NEVER.get(identity.name, ())
        statements = [*identity.statements, _EVERYTHING]
        for _, example in allowed(statements, _request_of(identity, stack), _Ever(never), solver) if never else ():
            what = "it does not refuse what it never may, which a policy more would give it"
            yield Counterexample("rights", identity.title, what, (identity.name, example[ACTION]), example)


def check(stack: Stack, solver: Solver) -> Iterator[Counterexample]:
    """All of it. Who takes a role is proved in taking.py."""
    yield from nobody_widens(stack, solver)
    yield from keys_have_purposes(stack, solver)
    yield from what_never_may_be(stack, solver)
