import pytest

from lambda_authorizer.reasons import ConfigurationError
from lambda_keys import config

ENVIRON = {
    "HEARTMAP_ENVIRONMENT": "local",
    "HEARTMAP_API_KEYS_TABLE": "heartmap-local-api-keys",
    "HEARTMAP_KEY_USE_TABLE": "heartmap-local-key-use",
    "HEARTMAP_SECRETS": "arn:aws:secretsmanager:us-east-1:123456789012:secret:heartmap-local/authorizer-a1b2c3",
    "AWS_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:5000",
}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HEARTMAP_ENVIRONMENT", "staging"),
        ("HEARTMAP_API_KEYS_TABLE", ""),
        ("HEARTMAP_API_KEYS_TABLE", "a/b"),
        ("HEARTMAP_KEY_USE_TABLE", ""),
        ("HEARTMAP_KEY_USE_TABLE", "a/b"),
        ("HEARTMAP_SECRETS", ""),
        ("HEARTMAP_SECRETS", "arn:aws:s3:::x"),
        ("AWS_REGION", ""),
        ("AWS_REGION", "nowhere"),
    ],
)
def test_what_is_missing_or_malformed_stops_the_function_and_is_named(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config.load(ENVIRON | {variable: value})
    assert variable in str(caught.value)


def test_another_address_of_aws_is_honoured_in_local_only() -> None:
    assert config.load(ENVIRON).endpoint == "http://127.0.0.1:5000"
    assert config.load(ENVIRON | {"HEARTMAP_ENVIRONMENT": "prod"}).endpoint is None
