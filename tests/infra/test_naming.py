import pytest

from infra.naming import Names
from infra.settings import Environment

NAMES = Names(environment=Environment.PROD, partition="aws", region="us-east-1", account="123456789012")


def test_names_begin_with_project_and_environment() -> None:
    assert NAMES.of("api") == "heartmap-prod-api"
    assert NAMES.bucket("uploads") == "heartmap-prod-uploads-123456789012-us-east-1"
    assert NAMES.log_group("api") == "/heartmap/prod/api"
    assert NAMES.arn("logs", "log-group:*") == "arn:aws:logs:us-east-1:123456789012:log-group:*"


def test_a_name_that_some_service_would_refuse_is_refused_here() -> None:
    with pytest.raises(ValueError, match="longer than 32 characters"):
        NAMES.of("a-purpose-with-a-long-name")
    with pytest.raises(ValueError, match="longer than 63 characters"):
        NAMES.bucket("a-purpose-with-a-long-long-name")
