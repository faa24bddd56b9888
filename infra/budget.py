"""What the account may cost a month, and who hears that it costs more."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions

from infra.alarms import AlarmTopic

TYPE_BUDGET = "heartmap:budget:Budget"

# What is told, in percent of the month's amount: what was spent, and what AWS expects to be spent by the month's end.
NOTICES = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))


@dataclass(frozen=True, kw_only=True)
class BudgetArgs:
    """``monthly_usd`` is in US dollars."""

    alarms: AlarmTopic
    monthly_usd: int


class Budget(pulumi.ComponentResource):
    """A budget of the whole account: one of a tag would count nothing until somebody activates the tag for billing."""

    def __init__(self, name: str, args: BudgetArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_BUDGET, name, None, opts)
        aws.budgets.Budget(
            name,
            name=args.alarms.names.prefix,
            budget_type="COST",
            limit_amount=str(args.monthly_usd),
            limit_unit="USD",
            time_unit="MONTHLY",
            notifications=[
                aws.budgets.BudgetNotificationArgs(
                    notification_type=kind,
                    comparison_operator="GREATER_THAN",
                    threshold=percent,
                    threshold_type="PERCENTAGE",
                    subscriber_sns_topic_arns=[args.alarms.arn],
                )
                for kind, percent in NOTICES
            ],
            opts=ResourceOptions(parent=self),
        )
        self.register_outputs({})
