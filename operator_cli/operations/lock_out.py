"""Locks out a principal or a key, with AWS credentials: also while the API is down, or an administrator is to blame."""

import re
import time
from typing import Any

from lambda_authorizer.lock_outs import ITEM, MAX_AGE
from lambda_keys.records import PROGRAMS
from operator_cli.errors import CliError
from operator_cli.operations.stack import Stack

BY = "operator"
"""Who revoked it, in a key's record: no principal of the API."""

_SUBJECT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEY = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}|role[0-9a-f]{28}")


def lock_out(stack: Stack, who: str) -> dict[str, Any]:
    """Lock out a person (their username or subject), a key (its id), a program (``program:NAME``) or an IAM role (its ARN).

    Returns what was done, and within how many seconds it holds. Raises CliError when there is no such.
    """
    if _KEY.fullmatch(who):
        keys = _revoke(stack, "public_id", who)
    elif who.startswith((PROGRAMS, "arn:")):
        keys = _revoke(stack, "principal", who)
    else:
        return _person(stack, who)
    if not keys:
        raise CliError(f"There is no key of {who}.", next_step="Names are as in: heartmapctl keys list")
    return {"who": who, "keys": keys, "within_seconds": 1}


def _revoke(stack: Stack, attribute: str, value: str) -> list[str]:
    dynamodb, table = stack.client("dynamodb"), stack.output("api_keys_table")
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=table, ConsistentRead=True, ProjectionExpression="public_id, principal"
    )
    found = [item["public_id"]["S"] for page in pages for item in page["Items"] if item.get(attribute, {}).get("S") == value]
    for key_id in found:
        dynamodb.update_item(
            TableName=table,
            Key={"public_id": {"S": key_id}},
            UpdateExpression="SET revoked_at = if_not_exists(revoked_at, :now), revoked_by = if_not_exists(revoked_by, :by)",
            ConditionExpression="attribute_exists(public_id)",
            ExpressionAttributeValues={":now": {"N": str(int(time.time()))}, ":by": {"S": BY}},
        )
    return found


def _person(stack: Stack, who: str) -> dict[str, Any]:
    cognito, pool = stack.client("cognito-idp"), stack.output("user_pool_id")
    # People of another identity provider are not found by their subject but so.
    by_subject = {"UserPoolId": pool, "Filter": f'sub = "{who}"', "Limit": 1}
    found = cognito.list_users(**by_subject)["Users"] if _SUBJECT.fullmatch(who) else []
    try:
        user = cognito.admin_get_user(UserPoolId=pool, Username=found[0]["Username"] if found else who)
    except cognito.exceptions.UserNotFoundException:
        raise CliError(f"There is no {who} in the user pool.", next_step="Names are as in: heartmapctl users list") from None
    subject = next(each["Value"] for each in user["UserAttributes"] if each["Name"] == "sub")
    cognito.admin_disable_user(UserPoolId=pool, Username=user["Username"])
    cognito.admin_user_global_sign_out(UserPoolId=pool, Username=user["Username"])
    stack.client("dynamodb").update_item(
        TableName=stack.output("api_keys_table"),
        Key={"public_id": {"S": ITEM}},
        UpdateExpression="SET #who = :until",
        ExpressionAttributeNames={"#who": subject},
        ExpressionAttributeValues={":until": {"N": str(int(time.time()) + 2)}},
    )
    return {"who": who, "subject": subject, "within_seconds": MAX_AGE}
