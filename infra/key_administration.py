"""The function behind ``/keys``: administrators make API keys, look them over, and rotate or revoke them."""

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ResourceOptions

from infra.api_functions import ApiFunction, ApiFunctionArgs, Surroundings
from infra.iam import Statement
from lambda_keys import package
from lambda_token.credential import PREFIX

TYPE_KEY_ADMINISTRATION = "heartmap:key_administration:KeyAdministration"


@dataclass(frozen=True, kw_only=True)
class KeyAdministrationArgs:
    """``api_keys`` holds the keys, ``key_use`` when each was used last."""

    surroundings: Surroundings
    api_keys: aws.dynamodb.Table
    key_use: aws.dynamodb.Table


class KeyAdministration(ApiFunction):
    """Makes, changes and shows the keys of programs."""

    def __init__(self, name: str, args: KeyAdministrationArgs, opts: ResourceOptions | None = None) -> None:
        own = ApiFunctionArgs(
            purpose="keys",
            description="Makes, lists, rotates and revokes API keys",
            build=package.build,
            environment={"HEARTMAP_API_KEYS_TABLE": args.api_keys.name, "HEARTMAP_KEY_USE_TABLE": args.key_use.name},
            statements=_statements(args),
        )
        super().__init__(TYPE_KEY_ADMINISTRATION, name, args.surroundings, own, opts)


def _statements(args: KeyAdministrationArgs) -> list[Statement]:
    return [
        # Both writes of a rotation are one TransactWriteItems, which asks for the permissions of its parts:
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
        Statement(
            sid="Keys",
            actions=("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
            resources=(args.api_keys.arn,),
            # The credentials of roles are the token function's alone, which in turn can write nothing else.
            # Without the second test a call that names no key would pass.
            conditions={
                "ForAllValues:StringNotLike": {"dynamodb:LeadingKeys": [f"{PREFIX}*"]},
                "Null": {"dynamodb:LeadingKeys": "false"},
            },
        ),
        # A scan names no key, so that nothing of the table can be kept from it.
        Statement(sid="Listing", actions=("dynamodb:Scan",), resources=(args.api_keys.arn,)),
        Statement(sid="KeyUse", actions=("dynamodb:BatchGetItem",), resources=(args.key_use.arn,)),
    ]
