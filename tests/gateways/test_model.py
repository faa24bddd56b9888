"""What a rendering is made from: every row, and nothing that is missing or malformed."""

import re
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateways import model
from gateways.example import OPTIONS, OUTPUTS
from gateways.model import GatewayError, from_stack, route
from heartmap_service.queue import ULID_PATTERN
from heartmap_service.server import HEAD_BYTES, HEAD_SECONDS
from heartmap_service.time_limits import ANSWER_SECONDS, BODY_SECONDS
from infra.waf_rules import SENSITIVE_PATHS
from lambda_authorizer.access_policy import ACCESS_POLICY, RULES, SERVICE
from local_cloud.tls import DNS_NAME

ULID = "01J8ZQ4Y7M3W5X9K2B6C1D0EFG"


def test_every_row_of_the_table_is_there_once() -> None:
    made = from_stack(OUTPUTS, OPTIONS)
    assert [(row.method, row.template) for row in made.routes] == [
        call for call, rule in RULES.items() if rule.answered_by == SERVICE
    ]
    assert [(row.method, row.template) for row in made.elsewhere] == [
        call for call, rule in RULES.items() if rule.answered_by != SERVICE
    ]
    assert len({row.name for row in (*made.routes, *made.elsewhere)}) == len(ACCESS_POLICY)


@pytest.mark.parametrize("rule", ACCESS_POLICY, ids=lambda rule: f"{rule.method} {rule.route}")
def test_a_row_says_what_the_policy_says(rule: Any) -> None:
    made = route(rule)
    assert (made.rate, made.burst, made.body, made.any_principal, made.sign_in_age) == rule[4:9]
    assert made.groups == tuple(sorted(rule.groups))
    assert made.scopes == tuple(sorted(rule.scopes))
    path = re.sub(r"\{\w+\}", ULID, rule.route)
    assert re.search(made.pattern, path)
    for other in (f"{path}x", f"/x{path}", path.replace(ULID, ULID.lower()), path.replace(ULID, ULID + "0"), f"{path}/"):
        assert other == path or not re.search(made.pattern, other), other


def test_ids_are_those_of_the_service() -> None:
    assert model.ULID.pattern == ULID_PATTERN


def test_bounds_are_those_of_what_stands_behind() -> None:
    assert model.HEAD_SECONDS == HEAD_SECONDS
    assert model.BODY_SECONDS == BODY_SECONDS
    assert model.TIMEOUT_SECONDS > ANSWER_SECONDS
    assert 2 * model.HEAD_BYTES <= HEAD_BYTES


def test_rates_are_the_stacks() -> None:
    defaults = yaml.safe_load((Path(__file__).parents[2] / "Pulumi.yaml").read_text())["config"]
    assert defaults["requests_per_minute"]["default"] == model.DEFAULT_CLIENT_RATE
    assert defaults["sensitive_requests_per_minute"]["default"] == model.DEFAULT_SENSITIVE_RATE
    # But for the pages of the user pool.
    assert tuple(path for path in SENSITIVE_PATHS if path not in ("/login", "/forgotPassword")) == model.SENSITIVE_PATHS
    made = from_stack({**OUTPUTS, "requests_per_minute": 700, "sensitive_requests_per_minute": 70}, OPTIONS)
    assert (made.client_rate, made.sensitive_rate) == (700, 70)
    assert from_stack(OUTPUTS, replace(OPTIONS, client_rate=50)).client_rate == 50


def test_a_stack_that_tells_no_rates_has_the_defaults() -> None:
    outputs = {name: value for name, value in OUTPUTS.items() if "per_minute" not in name}
    assert from_stack(outputs, OPTIONS).client_rate == model.DEFAULT_CLIENT_RATE


def test_the_posts_that_are_guessed_at_are_sensitive() -> None:
    assert [row.name for row in from_stack(OUTPUTS, OPTIONS).routes if row.sensitive] == ["post-config", "post-analyze"]


def test_ranges_are_the_stacks_unless_they_are_said() -> None:
    outputs = {**OUTPUTS, "allowed_ranges": ["198.51.100.0/24"]}
    assert from_stack(outputs, replace(OPTIONS, allow=())).allowed_ranges == (ip_network("198.51.100.0/24"),)
    assert from_stack(outputs, replace(OPTIONS, allow=("192.0.2.0/24",))).allowed_ranges == (ip_network("192.0.2.0/24"),)


def test_a_programs_client_counts_where_there_is_one() -> None:
    assert len(from_stack(OUTPUTS, OPTIONS).client_ids) == 2
    assert from_stack({**OUTPUTS, "program_client_id": ""}, OPTIONS).client_ids == (OUTPUTS["client_id"],)


def test_the_port_of_https_is_443() -> None:
    made = from_stack(OUTPUTS, replace(OPTIONS, upstream="https://service.example.org", upstream_host=None))
    assert (made.upstream, made.upstream_host) == ("https://service.example.org:443", "service.example.org")


def test_the_local_name_will_do() -> None:
    assert from_stack(OUTPUTS, replace(OPTIONS, server_name=DNS_NAME)).server_name == DNS_NAME


@pytest.mark.parametrize("name", ["issuer", "region", "client_id", "authorize_url", "token_url"])
@pytest.mark.parametrize("value", [None, "", 7, 'x"; }'], ids=["missing", "empty", "number", "quotes"])
def test_an_output_that_is_missing_or_malformed_is_named(name: str, value: object) -> None:
    with pytest.raises(GatewayError, match="output"):
        from_stack({**OUTPUTS, name: value}, OPTIONS)


WRONG: list[tuple[str, Any, str]] = [
    ("server_name", "Heartmap.example.org", "--server-name"),
    ("server_name", "heartmap.example.org;", "--server-name"),
    ("server_name", "*.example.org", "--server-name"),
    ("server_name", "example.org\n", "--server-name"),
    ("server_name", "", "--server-name"),
    ("upstream", "http://127.0.0.1:8443", "--upstream"),
    ("upstream", "https://127.0.0.1:8443/path", "--upstream"),
    ("upstream", "https://user@127.0.0.1:8443", "--upstream"),
    ("upstream", "https://127.0.0.1:port", "--upstream"),
    ("upstream", "https://127.0.0.1:99999", "--upstream"),
    ("upstream", "https://a$b:1", "--upstream"),
    ("upstream_host", "a b", "--upstream-host"),
    ("upstream_ca", "ca.pem", "--upstream-ca"),
    ("certificate", "/etc/x;y", "--certificate"),
    ("certificate", "/etc/../x", "--certificate"),
    ("key", "/etc/x\ny", "--key"),
    ("listen", ("443",), "--listen"),
    ("listen", ("0.0.0.0:0",), "--listen"),
    ("listen", ("0.0.0.0:70000",), "--listen"),
    ("listen", ("999.0.0.1:443",), "--listen"),
    ("listen", ("[zz]:443",), "--listen"),
    ("allow", ("192.0.2.1/24",), "--allow"),
    ("allow", ("all",), "--allow"),
    ("trusted_proxies", ("10.0.0.0/33",), "--trusted-proxy"),
    ("client_rate", 9, "minute"),
    ("client_rate", 2_000_001, "minute"),
    ("password_file", "passwords", "--password-file"),
    ("log_directory", "logs", "--log-directory"),
]


@pytest.mark.parametrize(("field", "value", "told"), WRONG, ids=[f"{field}-{index}" for index, (field, _, _) in enumerate(WRONG)])
def test_an_option_that_could_not_stand_in_a_configuration_is_refused(field: str, value: Any, told: str) -> None:
    with pytest.raises(GatewayError, match=told):
        from_stack(OUTPUTS, replace(OPTIONS, **{field: value}))
