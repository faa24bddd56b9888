import pytest

from lambda_authorizer.reasons import ConfigurationError
from lambda_token import config, roles

ROLE = "arn:aws:iam::123456789012:role/publisher"


def test_each_role_is_found_by_what_its_sessions_name(environ: dict[str, str]) -> None:
    grants = config.load(environ).grants
    assert grants["aws", "123456789012", "publisher"].role == "arn:aws:iam::123456789012:role/ci/jobs/publisher"
    assert grants["aws", "123456789012", "reader"].groups == {"viewer"}


def test_without_roles_nobody_is_given_anything(environ: dict[str, str]) -> None:
    assert config.load(environ | {"HEARTMAP_IAM_ROLES": "{}"}).grants == {}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HEARTMAP_ENVIRONMENT", "staging"),
        ("HEARTMAP_API_KEYS_TABLE", ""),
        ("HEARTMAP_API_KEYS_TABLE", "a/b"),
        ("HEARTMAP_SECRETS", ""),
        ("HEARTMAP_SECRETS", "arn:aws:s3:::x"),
        ("HEARTMAP_IAM_ROLES", ""),
        ("HEARTMAP_IAM_ROLES", "[]"),
        ("HEARTMAP_IAM_ROLES", f'{{"{ROLE}": "viewer"}}'),
        ("HEARTMAP_IAM_ROLES", f'{{"{ROLE}": []}}'),
        ("HEARTMAP_IAM_ROLES", f'{{"{ROLE}": ["root"]}}'),
        ("HEARTMAP_IAM_ROLES", f'{{"{ROLE}": [["viewer"]]}}'),
        ("HEARTMAP_IAM_ROLES", f'{{"{ROLE}": ["viewer"], "{ROLE}": ["admin"]}}'),
        ("AWS_REGION", ""),
        ("AWS_REGION", "nowhere"),
    ],
)
def test_what_is_missing_or_malformed_stops_the_function_and_is_named(environ: dict[str, str], variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config.load(environ | {variable: value})
    assert variable in str(caught.value)


def test_another_address_of_aws_is_honoured_in_local_only(environ: dict[str, str]) -> None:
    assert config.load(environ).endpoint == environ["AWS_ENDPOINT_URL"]
    assert config.load(environ | {"HEARTMAP_ENVIRONMENT": "prod"}).endpoint is None


@pytest.mark.parametrize(
    "arn",
    [
        "publisher",
        "*",
        "arn:aws:iam::123456789012:user/publisher",
        "arn:aws:iam::123456789012:role/*",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:role//publisher",
        "arn:aws:iam::12345678901:role/publisher",
        "arn:aws:sts::123456789012:assumed-role/publisher/s1",
        "arn:aws:iam::123456789012:role/publisher\n",
        f"arn:aws:iam::123456789012:role/{'p' * 60}/{'q' * 60}/publisher",
    ],
)
def test_what_is_no_role_is_refused(arn: str) -> None:
    with pytest.raises(roles.RolesError):
        roles.table({arn: ["viewer"]})


def test_two_roles_whose_sessions_look_alike_are_refused() -> None:
    with pytest.raises(roles.RolesError, match="cannot be told apart"):
        roles.table({ROLE: ["viewer"], ROLE.replace("/publisher", "/ci/publisher"): ["admin"]})


def test_the_same_name_in_two_accounts_is_two_roles() -> None:
    other = ROLE.replace("123456789012", "210987654321")
    assert len(roles.table({ROLE: ["viewer"], other: ["admin"]})) == 2
