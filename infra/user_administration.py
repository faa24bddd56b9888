"""The function behind ``/users``: administrators invite people, put them into groups, and let them in or keep them out."""

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ResourceOptions

from infra.api_functions import ApiFunction, ApiFunctionArgs, Surroundings
from infra.iam import Statement
from infra.identity import Identity
from lambda_authorizer.lock_outs import ITEM
from lambda_users import package

TYPE_USER_ADMINISTRATION = "heartmap:user_administration:UserAdministration"

# A page of people is read with a call for each of them.
TIMEOUT_SECONDS = 15


@dataclass(frozen=True, kw_only=True)
class UserAdministrationArgs:
    """``api_keys`` is the table in which the authorizer looks up who is locked out."""

    surroundings: Surroundings
    identity: Identity
    api_keys: aws.dynamodb.Table


class UserAdministration(ApiFunction):
    """Administers the people of the one user pool."""

    def __init__(self, name: str, args: UserAdministrationArgs, opts: ResourceOptions | None = None) -> None:
        pool = args.identity.user_pool_arn
        own = ApiFunctionArgs(
            purpose="users",
            description="Lists, invites and changes the people of the user pool",
            build=package.build,
            environment={
                "HEARTMAP_USER_POOL": args.identity.user_pool_id,
                "HEARTMAP_LOCK_OUTS_TABLE": args.api_keys.name,
            },
            statements=[
                Statement(
                    sid="Reading",
                    actions=(
                        "cognito-idp:AdminGetUser",
                        "cognito-idp:AdminListGroupsForUser",
                        "cognito-idp:ListUsers",
                        "cognito-idp:ListUsersInGroup",
                    ),
                    resources=(pool,),
                ),
                # No password is ever set, no user deleted and no attribute changed: none of these lets it sign in as somebody.
                Statement(
                    sid="People",
                    actions=(
                        "cognito-idp:AdminAddUserToGroup",
                        "cognito-idp:AdminCreateUser",
                        "cognito-idp:AdminDeleteSoftwareToken",
                        "cognito-idp:AdminDisableUser",
                        "cognito-idp:AdminEnableUser",
                        "cognito-idp:AdminRemoveUserFromGroup",
                        "cognito-idp:AdminUserGlobalSignOut",
                    ),
                    resources=(pool,),
                    reason="it is what administrators give and take rights with",
                ),
                # The one item of the list, and no key. Without the second test a call that names no item would pass.
                Statement(
                    sid="LockOuts",
                    actions=("dynamodb:UpdateItem",),
                    resources=(args.api_keys.arn,),
                    conditions={
                        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [ITEM]},
                        "Null": {"dynamodb:LeadingKeys": "false"},
                    },
                ),
            ],
            timeout=TIMEOUT_SECONDS,
        )
        super().__init__(TYPE_USER_ADMINISTRATION, name, args.surroundings, own, opts)
