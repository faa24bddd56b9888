from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

BUDGET = "aws:budgets/budget:Budget"
NOTICE = {
    "notificationType": "ACTUAL",
    "comparisonOperator": "GREATER_THAN",
    "threshold": 80,
    "thresholdType": "PERCENTAGE",
    "subscriberSnsTopicArns": ["arn:aws:sns:us-east-1:123456789012:alarms"],
}
MONTH = {
    "name": "heartmap-dev",
    "budgetType": "COST",
    "limitAmount": "100",
    "limitUnit": "USD",
    "timeUnit": "MONTHLY",
    "notifications": [NOTICE, {**NOTICE, "notificationType": "FORECASTED"}],
}


def test_a_budget_is_found_as_it_was_given_and_changes_in_place(make: Callable[..., Any], cloud: Any) -> None:
    budget = make(BUDGET, **MONTH)
    assert budget.drift() == {}
    budget.update(limitAmount="250", notifications=[NOTICE])
    assert budget.drift() == {}
    budgets, which = cloud.client("budgets"), {"AccountId": "123456789012", "BudgetName": "heartmap-dev"}
    assert budgets.describe_budget(**which)["Budget"]["BudgetLimit"] == {"Amount": "250", "Unit": "USD"}
    assert [one["NotificationType"] for one in budgets.describe_notifications_for_budget(**which)["Notifications"]] == ["ACTUAL"]
    budget.delete()
    assert budget.read() is None


def test_a_notice_that_somebody_took_away_is_a_difference(make: Callable[..., Any], cloud: Any) -> None:
    budget = make(BUDGET, **MONTH)
    notice = {key[0].upper() + key[1:]: value for key, value in NOTICE.items() if key != "subscriberSnsTopicArns"}
    cloud.client("budgets").delete_notification(AccountId="123456789012", BudgetName="heartmap-dev", Notification=notice)
    assert "notifications" in budget.drift()
    budget.delete()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"notificationType": "GUESSED"}, "one of ACTUAL, FORECASTED"),
        ({"comparisonOperator": "ABOVE"}, "one of EQUAL_TO"),
        ({"subscriberSnsTopicArns": []}, "somebody who hears it"),
    ],
)
def test_what_aws_would_refuse_is_refused(refusals: Callable[..., list[str]], changes: dict[str, Any], told: str) -> None:
    (reason,) = refusals(BUDGET, **MONTH | {"notifications": [NOTICE | changes]})
    assert told in reason
