"""The function behind ``POST /token``: IAM roles get credentials of 15 minutes, with the groups in ``heartmap:iam_roles``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions

from infra.api_functions import ApiFunction, ApiFunctionArgs, Surroundings
from infra.iam import Statement
from lambda_token import package, roles
from lambda_token.credential import PREFIX

TYPE_TOKEN_EXCHANGE = "heartmap:token_exchange:TokenExchange"  # noqa: S105  # a type, not a token


class RoleError(pulumi.RunError):
    """A role in ``heartmap:iam_roles`` cannot be let in. The text says why."""


def check_roles(iam_roles: Mapping[str, Sequence[str]], *, account: str) -> None:
    """Raises RoleError for a table that the function would refuse to start with, and for a role of another account."""
    try:
        grants = roles.table(iam_roles)
    except roles.RolesError as error:
        raise RoleError(f"heartmap:iam_roles: {error}") from None
    for (_, owner, _), grant in grants.items():
        if owner != account:
            # AWS admits other accounts only where the API's own policy does, and that policy admits nobody.
            raise RoleError(f"heartmap:iam_roles: {grant.role} is not of this account, {account}: name a role of it instead")


@dataclass(frozen=True, kw_only=True)
class TokenExchangeArgs:
    """``api_keys`` holds the credentials, as it does the keys of programs."""

    surroundings: Surroundings
    api_keys: aws.dynamodb.Table


class TokenExchange(ApiFunction):
    """Gives IAM roles their credentials. Raises RoleError."""

    def __init__(self, name: str, args: TokenExchangeArgs, opts: ResourceOptions | None = None) -> None:
        iam_roles = args.surroundings.settings.iam_roles
        check_roles(iam_roles, account=args.surroundings.names.account)
        own = ApiFunctionArgs(
            purpose="token",
            description="Gives IAM roles a credential of 15 minutes",
            build=package.build,
            environment={
                "HEARTMAP_API_KEYS_TABLE": args.api_keys.name,
                "HEARTMAP_IAM_ROLES": json.dumps(iam_roles, sort_keys=True, separators=(",", ":")),
            },
            statements=[_keys(args.api_keys)],
        )
        super().__init__(TYPE_TOKEN_EXCHANGE, name, args.surroundings, own, opts)


def _keys(api_keys: aws.dynamodb.Table) -> Statement:
    return Statement(
        sid="Keys",
        actions=("dynamodb:PutItem",),
        resources=(api_keys.arn,),
        # It can write over no key that somebody was given in another way: https://docs.aws.amazon.com/amazondynamodb/
        # latest/developerguide/specifying-conditions.html. Without the second test a call that names no key would pass.
        conditions={
            "ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{PREFIX}*"]},
            "Null": {"dynamodb:LeadingKeys": "false"},
        },
    )
