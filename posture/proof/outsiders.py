"""Who is outside: whoever is of another account or of none, an AWS service that acts for one, an identity provider."""

from collections.abc import Iterator
from dataclasses import dataclass

import z3

from posture.proof import specification as spec
from posture.proof.exported import Stack
from posture.proof.logic import all_of, any_of, implies, none_of
from posture.proof.requests import ACCOUNT, ARN, BY_SERVICE, RESOURCE, SERVICE, Kind, Request

SOURCE_ACCOUNT, SOURCE_ARN, RESOURCE_ACCOUNT = "aws:sourceaccount", "aws:sourcearn", "aws:resourceaccount"
KINDS: tuple[Kind, ...] = ("aws", "anonymous", "service", "federated")
# A caller writes an encryption context; where the caller is a service, it is the ARN of what the service acts for.
_CONTEXT = "kms:encryptioncontext:aws:"


def own_arns(account: str) -> str:
    """The pattern of ARNs that name an account."""
    return f"arn:*:*:*:{account}:*"


@dataclass(frozen=True)
class Outside:
    """The situation of a request from outside, on something of this account. ``buckets`` are the ARNs that name no account."""

    account: str
    buckets: tuple[str, ...]

    def __call__(self, request: Request) -> Iterator[z3.BoolRef]:
        """The constraints."""
        yield implies(request.present(RESOURCE_ACCOUNT), request.equal(RESOURCE_ACCOUNT, self.account))
        if request.kind == "aws":
            yield from self._of_another_account(request)
        elif request.kind == "anonymous":
            yield none_of(request.present(ARN))
            # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalaccount
            yield implies(request.present(ACCOUNT), request.equal(ACCOUNT, "anonymous"))
            yield request.is_value(BY_SERVICE, "false")
        elif request.kind == "service":
            yield from self._for_another_account(request)
        if request.kind != "service":
            # AWS sets them in calls of its services alone.
            yield none_of(request.present(SOURCE_ACCOUNT), request.present(SOURCE_ARN))

    def _of_another_account(self, request: Request) -> Iterator[z3.BoolRef]:
        other = none_of(request.equal(ACCOUNT, self.account))
        yield all_of(request.present(ACCOUNT), request.like(ACCOUNT, "?" * 12), other)
        yield all_of(request.present(ARN), request.like(ARN, "arn:*:*::*:*"), none_of(request.like(ARN, own_arns(self.account))))
        yield request.is_value(BY_SERVICE, "false")

    def _for_another_account(self, request: Request) -> Iterator[z3.BoolRef]:
        yield all_of(none_of(request.present(ACCOUNT)), none_of(request.present(ARN)))
        yield request.is_value(BY_SERVICE, "true")
        yield implies(request.present(SOURCE_ACCOUNT), none_of(request.equal(SOURCE_ACCOUNT, self.account)))
        for key in (SOURCE_ARN, *(key for key in request.attributes if key.startswith(_CONTEXT))):
            ours = any_of(request.like(key, own_arns(self.account)), request.equal(key, *self.buckets))
            yield implies(request.present(key), none_of(ours))
        for service, where in spec.WRITES_UNDER.items():
            under = request.like(RESOURCE, where.format(account=self.account))
            yield implies(request.equal(SERVICE, service), none_of(under))


def outside(stack: Stack) -> Outside:
    """Whoever is outside of a stack's account."""
    return Outside(stack.account, tuple(bucket.arn for bucket in stack.of("s3/bucket:Bucket")))
