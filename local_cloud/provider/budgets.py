"""AWS Budgets."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any, ClassVar

from local_cloud.provider.framework import Aws, Failure, Inputs, ResourceType, ignoring_gone, none_if_gone, register

# https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_Notification.html
KINDS, COMPARISONS = ("ACTUAL", "FORECASTED"), ("EQUAL_TO", "GREATER_THAN", "LESS_THAN")
MOST_NOTIFICATIONS = 10


@register
class Budget(ResourceType):
    """A budget of costs by month, whose notices go to topics."""

    token = "aws:budgets/budget:Budget"
    arguments = frozenset({"name", "budgetType", "limitAmount", "limitUnit", "timeUnit", "notifications", "tags"})
    required = arguments - {"notifications", "tags"}
    replaces = frozenset({"name"})
    _notice: ClassVar = {
        "notificationType": "NotificationType",
        "comparisonOperator": "ComparisonOperator",
        "threshold": "Threshold",
        "thresholdType": "ThresholdType",
    }
    nested: ClassVar = {"notifications": {**dict.fromkeys(_notice), "subscriberSnsTopicArns": None}}
    computed = frozenset({"arn"})
    unique = "name"
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        notices = inputs.get("notifications", [])
        faults = [
            fault
            for notice in notices
            for fault in (
                notice.get("notificationType") not in KINDS and f"notificationType has to be one of {', '.join(KINDS)}",
                notice.get("comparisonOperator") not in COMPARISONS
                and f"comparisonOperator has to be one of {', '.join(COMPARISONS)}",
                not notice.get("subscriberSnsTopicArns") and "a notification needs somebody who hears it",
            )
            if fault
        ]
        if len(notices) > MOST_NOTIFICATIONS:
            faults.append(f"a budget has {MOST_NOTIFICATIONS} notifications at most")
        return [Failure("notifications", f"{self.token}: {fault}") for fault in faults]

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        aws.client("budgets").create_budget(
            AccountId=aws.account,
            Budget={
                "BudgetName": inputs["name"],
                "BudgetType": inputs["budgetType"],
                "TimeUnit": inputs["timeUnit"],
                "BudgetLimit": {"Amount": inputs["limitAmount"], "Unit": inputs["limitUnit"]},
            },
            NotificationsWithSubscribers=[
                {
                    "Notification": {key: notice[name] for name, key in self._notice.items() if name in notice},
                    "Subscribers": [
                        {"SubscriptionType": "SNS", "Address": address} for address in notice["subscriberSnsTopicArns"]
                    ],
                }
                for notice in inputs.get("notifications", [])
            ],
            ResourceTags=aws.tag_list(inputs),
        )
        name = inputs["name"]
        return f"{aws.account}:{name}", {"arn": f"arn:{aws.partition}:budgets::{aws.account}:budget/{name}"}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        which = {"AccountId": aws.account, "BudgetName": resource_id.partition(":")[2]}
        found = none_if_gone(aws.client("budgets").describe_budget, **which)
        if found is None:
            return None
        live = aws.client("budgets").describe_notifications_for_budget(**which)["Notifications"]
        kept = [{key: notice.get(key) for key in self._notice.values()} for notice in live]
        given = [{key: notice.get(name) for name, key in self._notice.items()} for notice in state.get("notifications", [])]
        limit = found["Budget"]["BudgetLimit"]
        return {
            "name": which["BudgetName"],
            "budgetType": found["Budget"]["BudgetType"],
            "timeUnit": found["Budget"]["TimeUnit"],
            "limitAmount": state["limitAmount"] if float(limit["Amount"]) == float(state["limitAmount"]) else limit["Amount"],
            "limitUnit": limit["Unit"],
            **({} if kept == given else {"notifications": kept}),
        }

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        # AWS changes it in place; moto knows no UpdateBudget.
        self.delete(aws, resource_id, old)
        self.create(aws, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("budgets").delete_budget(AccountId=aws.account, BudgetName=resource_id.partition(":")[2])
