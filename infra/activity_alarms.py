"""Alarms on what people and programs do: who tries to get in, who uses what as never before, who changed what, and on the records
of all this.

They count lines of the audit stream (lambda_authorizer.audit, lambda_api.audit, heartmap_service): docs/audit.md has the fields.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pulumi
from pulumi import Input, ResourceOptions

from infra.alarms import (
    AlarmTopic,
    AnomalyAlarm,
    CountedAlarm,
    Declared,
    MetricAlarm,
    alarm_on_anomaly,
    alarm_on_log,
    alarm_on_metric,
)
from infra.naming import STAGE
from lambda_authorizer.reasons import Reason

TYPE_SEAL_ALARMS = "heartmap:activity_alarms:SealAlarms"
TYPE_ACTIVITY_ALARMS = "heartmap:activity_alarms:ActivityAlarms"

REFUSALS = 50
"""Refused calls within five minutes that are more than a program that was set up wrongly and tries now and then."""
FORGERIES = 3
"""What somebody who pastes a token or a key with its end cut off does not reach."""
UNSEALED_SECONDS = 1200
"""Four times as long as from one seal to the next."""

FORGED_TOKENS = (Reason.TOKEN_SIGNATURE, Reason.TOKEN_UNKNOWN_KEY, Reason.TOKEN_ALGORITHM, Reason.TOKEN_HEADER)
MISUSED_KEYS = (
    Reason.KEY_SECRET,
    Reason.KEY_SOURCE,
    Reason.SIGNATURE_KEY,
    Reason.SIGNATURE_INVALID,
    Reason.SIGNATURE_REPLAYED,
)


def _one_of(field: str, values: Iterable[str]) -> str:
    return "(" + " || ".join(f'($.{field}="{value}")' for value in values) + ")"


def _event(event: str, *conditions: str) -> str:
    return "{" + " && ".join((f'($.event="{event}")', *conditions)) + "}"


@dataclass(frozen=True, kw_only=True)
class SealAlarmsArgs:
    """``log_group`` and ``function`` are the names of the sealer's log group and of its function."""

    alarms: AlarmTopic
    log_group: Input[str]
    function: Input[str]


class SealAlarms(pulumi.ComponentResource):
    """Alarms on the audit records themselves: those that are missing or changed, and those for which nobody vouches any more."""

    alarms: Sequence[Declared]

    def __init__(self, name: str, args: SealAlarmsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_SEAL_ALARMS, name, None, opts)
        child = ResourceOptions(parent=self)
        gap = CountedAlarm(
            name="audit-gap",
            pattern=_event("seal", "($.gaps > 0)"),
            description="Audit records are missing, changed or out of order",
        )
        stopped = MetricAlarm(
            name="sealing-stopped",
            description="No audit record has been sealed for twenty minutes: nothing vouches for those since",
            namespace="AWS/Lambda",
            metric="Invocations",
            dimensions={"FunctionName": args.function},
            comparison="LessThanThreshold",
            seconds=UNSEALED_SECONDS,
            missing="breaching",
            recovers=True,
        )
        self.alarms = [alarm_on_log(args.alarms, gap, args.log_group, child), alarm_on_metric(args.alarms, stopped, child)]
        self.register_outputs({})


@dataclass(frozen=True, kw_only=True)
class ActivityAlarmsArgs:
    """The names of the log groups that hold the audit records of each writer. ``always_on`` is whether there is use at all hours,
    of which there can be a usual course."""

    alarms: AlarmTopic
    always_on: bool
    authorizer_log_group: Input[str]
    service_log_group: Input[str]
    keys_log_group: Input[str]
    users_log_group: Input[str]
    sealing_log_group: Input[str]


class ActivityAlarms(pulumi.ComponentResource):
    """Alarms on attempts to get in, on use that is no habit, on administration, and on traffic that is not as usual."""

    alarms: Sequence[Declared]

    def __init__(self, name: str, args: ActivityAlarmsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_ACTIVITY_ALARMS, name, None, opts)
        child = ResourceOptions(parent=self)
        self.alarms = [
            *(alarm_on_log(args.alarms, alarm, group, child) for alarm, group in _counted(args)),
            *(alarm_on_anomaly(args.alarms, alarm, child) for alarm in _anomalies(args.alarms) if args.always_on),
        ]
        self.register_outputs({})


def _counted(args: ActivityAlarmsArgs) -> Sequence[tuple[CountedAlarm, Input[str]]]:
    return [*((alarm, args.authorizer_log_group) for alarm in ATTEMPTS), *_habits(args), *_administration(args)]


ATTEMPTS = (
    CountedAlarm(
        name="refused-burst",
        # A console that was left open asks on with its old token until somebody looks at it.
        pattern=_event(
            "authorization", _one_of("decision", ("deny", "unauthenticated")), f'($.reason!="{Reason.TOKEN_EXPIRED}")'
        ),
        description="Many calls were refused: somebody guesses or tries around, or a program has a wrong credential",
        lines=REFUSALS,
        recovers=True,
    ),
    CountedAlarm(
        name="forged-tokens",
        pattern=_event("authorization", _one_of("reason", FORGED_TOKENS)),
        description="Somebody made tokens, or changed some: they are not of the user pool",
        lines=FORGERIES,
        recovers=True,
    ),
    CountedAlarm(
        name="key-misuse",
        pattern=_event("authorization", _one_of("reason", MISUSED_KEYS)),
        description="Somebody who is not its holder tries an API key",
        lines=FORGERIES,
        recovers=True,
    ),
)


def _habits(args: ActivityAlarmsArgs) -> Sequence[tuple[CountedAlarm, Input[str]]]:
    new_network = CountedAlarm(
        name="key-new-network",
        pattern=_event("suspicion", '($.reason="key_new_network")'),
        description="An API key was used from a network from which it never was",
    )
    downloads = CountedAlarm(
        name="unusual-downloads",
        pattern=_event("suspicion", '($.reason="unusual_downloads")'),
        description="Somebody fetches far more results than is their habit",
    )
    return [(new_network, args.sealing_log_group), (downloads, args.sealing_log_group)]


def _administration(args: ActivityAlarmsArgs) -> Sequence[tuple[CountedAlarm, Input[str]]]:
    configuration = CountedAlarm(
        name="service-config",
        pattern=_event("service", '($.action="config_changed")', '($.decision="allow")'),
        description="An administrator changed the configuration of the service",
    )
    # After an error it is not known whether the change was made.
    done = _one_of("decision", ("allow", "error"))
    users = CountedAlarm(
        name="users-changed",
        pattern=_event("users", _one_of("action", ("invite", "change")), done),
        description="An administrator invited or changed a person",
    )
    keys = CountedAlarm(
        name="keys-changed",
        pattern=_event("keys", _one_of("action", ("create", "rotate", "revoke")), done),
        description="An administrator made, rotated or revoked an API key",
    )
    return [(configuration, args.service_log_group), (users, args.users_log_group), (keys, args.keys_log_group)]


def _anomalies(alarms: AlarmTopic) -> Sequence[AnomalyAlarm]:
    api = {"ApiName": alarms.names.prefix, "Stage": STAGE}
    return [
        AnomalyAlarm(
            name="traffic-anomaly",
            description="Far more requests came than usual at this hour",
            namespace="AWS/ApiGateway",
            metric="Count",
            dimensions=api,
        ),
        AnomalyAlarm(
            name="refusals-anomaly",
            description="Far more requests than usual at this hour ended with a status of 400 to 499",
            namespace="AWS/ApiGateway",
            metric="4XXError",
            dimensions=api,
        ),
    ]
