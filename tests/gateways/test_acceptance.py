"""The table by itself: what is in it, and that the page has all of its differences. It is run in tests/e2e/test_gateways.py."""

from lambda_authorizer.access_policy import ACCESS_POLICY
from tests.gateways.acceptance import AWS, BEHIND_A_PASSWORD, CASES, CREDENTIALS, NARROW, PAGE, differences, page
from tests.gateways.wire import may_be_two

EVERY = (*CASES, *NARROW, *BEHIND_A_PASSWORD)
GROUPS = {"row", "credential", "address", "header", "size", "method", "path", "host", "smuggling", "rate"}


def test_the_table_has_what_it_must_have() -> None:
    assert len(CASES) >= 120
    assert len({(case.group, case.name) for case in EVERY}) == len(EVERY)
    assert {case.group for case in CASES} == GROUPS
    rows = " ".join(case.name for case in CASES if case.group == "row")
    assert [rule for rule in ACCESS_POLICY if f"{rule.method} {rule.route} as nobody" not in rows] == []
    sent = b"".join(case.request for case in EVERY)
    assert [name for name in CREDENTIALS if f"<{name}>".encode() not in sent] == []


def test_a_difference_is_one_and_says_why() -> None:
    assert [
        case.name
        for case in EVERY
        for difference in case.elsewhere.values()
        if not difference.why or difference.expected[:2] == case.expected[:2]
    ] == []


def test_nobody_is_let_in_elsewhere_who_is_not_behind_api_gateway() -> None:
    let_in = {"OPTIONS *": "apache", "the whole URL": "nginx", "a line without a colon": "nginx", "two credentials": "nginx"}
    for case in EVERY:
        refused = all(status >= 400 for status in case.expected.statuses)
        for gateway, difference in case.elsewhere.items():
            if refused and not all(status == 0 or status >= 400 for status in difference.expected.statuses):
                assert let_in.pop(case.name) == gateway
    assert let_in == {}


def test_the_page_lists_every_difference() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert differences() in text
    assert page(text) == text, "write it anew: python -m tests.gateways.acceptance"


def test_whatever_could_be_two_requests_has_its_time_to_be_answered_twice() -> None:
    """Of all others nothing is awaited after the first answer."""
    assert [case.name for case in CASES if case.group == "smuggling" and not may_be_two(case.request)] == []
    several = [case for case in CASES if case.times == 1 and len(case.expects(AWS).statuses) > 1]
    assert several
    assert [case.name for case in several if not may_be_two(case.request)] == []
