"""An emulated AWS with two user pools, of which the function has one."""

from collections.abc import Callable
from typing import Any

import pytest
from moto.cognitoidp.models import cognitoidp_backends

from lambda_users import config
from lambda_users.handler import Users
from tests.lambda_api.calls import SECRET

ACCOUNT, REGION = "123456789012", "us-east-1"


@pytest.fixture(scope="module")
def secret_arn(aws: Callable[[str], Any]) -> str:
    return aws("secretsmanager").create_secret(Name="heartmap-local/authorizer", SecretString=SECRET)["ARN"]


LOCK_OUTS = "heartmap-local-api-keys"


@pytest.fixture(scope="module", autouse=True)
def lock_outs(aws: Callable[[str], Any]) -> Callable[[], dict[str, int]]:
    """Up to when whose tokens are locked out."""
    dynamodb = aws("dynamodb")
    dynamodb.create_table(
        TableName=LOCK_OUTS,
        KeySchema=[{"AttributeName": "public_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "public_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def read() -> dict[str, int]:
        found = dynamodb.get_item(TableName=LOCK_OUTS, Key={"public_id": {"S": "locked"}}).get("Item", {})
        return {who: int(moment["N"]) for who, moment in found.items() if who != "public_id"}

    return read


class People:
    """A pool of its own for a test."""

    def __init__(self, cognito: Any) -> None:
        self.cognito = cognito
        self.id = self.pool()

    def pool(self) -> str:
        pool = self.cognito.create_user_pool(PoolName="people", UsernameConfiguration={"CaseSensitive": False})["UserPool"]["Id"]
        for group in ("viewer", "analyst", "admin", f"{pool}_Okta"):
            self.cognito.create_group(UserPoolId=pool, GroupName=group)
        return pool

    def add(self, username: str, *groups: str, status: str = "CONFIRMED", pool: str | None = None, **attributes: str) -> str:
        """Somebody; the subject."""
        pool = pool or self.id
        attributes = {"email": f"{username}@example.org"} | attributes
        given = [{"Name": name, "Value": value} for name, value in attributes.items()]
        made = self.cognito.admin_create_user(UserPoolId=pool, Username=username, UserAttributes=given)["User"]
        for group in groups:
            self.cognito.admin_add_user_to_group(UserPoolId=pool, Username=username, GroupName=group)
        self.raw(username, pool).status = status
        return next(attribute["Value"] for attribute in made["Attributes"] if attribute["Name"] == "sub")

    def raw(self, username: str, pool: str | None = None) -> Any:
        """What the emulated Cognito has of somebody."""
        return cognitoidp_backends[ACCOUNT][REGION].user_pools[pool or self.id].users[username]

    def groups(self, username: str, pool: str | None = None) -> list[str]:
        found = self.cognito.admin_list_groups_for_user(UserPoolId=pool or self.id, Username=username)["Groups"]
        return sorted(group["GroupName"] for group in found)

    def enabled(self, username: str, pool: str | None = None) -> bool:
        return self.cognito.admin_get_user(UserPoolId=pool or self.id, Username=username)["Enabled"]


@pytest.fixture
def people(aws: Callable[[str], Any]) -> People:
    return People(aws("cognito-idp"))


@pytest.fixture
def environ(moto_url: str, secret_arn: str) -> dict[str, str]:
    """The function's environment, but for the pool."""
    return {
        "HEARTMAP_ENVIRONMENT": "local",
        "HEARTMAP_SECRETS": secret_arn,
        "HEARTMAP_USER_POOL": "us-east-1_abc",
        "HEARTMAP_LOCK_OUTS_TABLE": LOCK_OUTS,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": moto_url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }


@pytest.fixture
def users(environ: dict[str, str], people: People, monkeypatch: pytest.MonkeyPatch) -> Users:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return Users(config.load(environ | {"HEARTMAP_USER_POOL": people.id}))
