"""The deployed alarms, on what the running environment recorded: an attack sets them off, and use that is no attack does not.

The attack is made for real. Then the clock goes on without it, on paper: the alarms are evaluated at later moments, at which the
sealer seals and examines the real records. What is usual is made of real records as well, as if they were of the days before.
"""

from __future__ import annotations

import contextlib
import io
import json
import ssl
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import httpx
import pytest
from ulid import ULID

from infra.change_alarms import CHANGE_ALARMS
from infra.observability import BLOCKED_REQUESTS
from lambda_authorizer.access_policy import ADMIN, ANALYST, JSON_BODY_LIMIT
from lambda_sealing import config
from lambda_sealing.examination import HABITS_PREFIX
from lambda_sealing.habits import FEW_CALLS, FEW_DAYS, LITTLE_ANALYSES, unusual
from lambda_sealing.handler import Sealing
from lambda_sealing.sealer import GRACE, LAG
from lambda_sealing.seals import name_of
from local_cloud import deployed, metrics
from local_cloud.alarms import ALARM, BAND_DAYS, DAY, MINUTE, NO_DATA, OK, Alarm, History, Metric, changes, state
from local_cloud.game_days import GAME_DAYS
from local_cloud.metrics import Logs

pytestmark = pytest.mark.e2e

HOUR = 3600
PREFIX = "heartmap-local-"
EVERY = 20 * MINUTE
"""Between two sessions of the day that is made of one."""
ELSEWHERE = "127.0.1.1"
"""An address of another network, from which somebody comes."""
SEALER = "heartmap-local-sealing"


@dataclass
class Cloud:
    """The emulated AWS of the environment, and what the stack's outputs say."""

    client: Callable[[str], Any]
    outputs: dict[str, Any]

    def look(self, only: Collection[str] = ()) -> tuple[dict[str, Alarm], History]:
        """The alarms by their names, or those that are wanted, and what is known of their metrics now."""
        alarms, history = metrics.look(self.client, self.outputs, time.time(), only=[PREFIX + name for name in only])
        return {one.name.removeprefix(PREFIX): one for one in alarms}, history


@pytest.fixture(scope="module")
def cloud(local: Any) -> Cloud:
    environment = local.environment
    session: Any = boto3.Session("local", "local", region_name=environment["region"])
    return Cloud(lambda service: session.client(service, endpoint_url=environment["aws_endpoint"]), deployed.outputs(local.state))


# Ahead of the attack: it is made of what the environment recorded before any test used it.
@pytest.fixture(scope="module")
def session(local: Any, cloud: Cloud) -> Logs:
    """What was recorded of a person who signed in, uploaded a data set, had it analysed and fetched the results: the check with
    which the environment came up. The deployment before it is no use: it changes the account, and the trail says so."""
    begin = (local.state / "outputs.json").stat().st_mtime
    end = max(file.stat().st_mtime for file in (local.state / "check").rglob("*"))
    return metrics.read_logs(cloud.client, cloud.outputs, begin, end + 1)


def test_a_day_of_use_raises_no_alarm(cloud: Cloud, session: Logs) -> None:
    alarms, _ = cloud.look()
    moments = [moment for lines in session.lines.values() for moment, _ in lines]
    begin = min(moments)
    lines = {
        group: [(DAY + start + moment - begin, line) for start in range(0, DAY, EVERY) for moment, line in recorded]
        for group, recorded in session.lines.items()
    }
    seal = json.dumps({"event": "seal", "decision": "allow", "gaps": 0}, separators=(",", ":"))
    lines[f"/aws/lambda/{SEALER}"] = [(DAY - HOUR + at, seal) for at in range(0, DAY + 2 * HOUR, 5 * MINUTE)]
    logs = Logs({group: sorted(recorded) for group, recorded in lines.items()}, session.access, session.waf)
    # Records of those who signed in, uploaded, analysed and fetched: real, and enough of them to be a day.
    text = [line for recorded in logs.lines.values() for _, line in recorded]
    for action in ("upload_begun", "analysis_started", "analysis_succeeded", "results_read"):
        assert sum(f'"action":"{action}"' in line for line in text) >= DAY // EVERY, action

    history = History()
    filters = cloud.client("logs").describe_metric_filters()["metricFilters"]
    metrics.counted(filters, logs.lines, history)
    counts = {Metric(one["metricNamespace"], one["metricName"]) for each in filters for one in each["metricTransformations"]}
    steady = metrics.logged({alarm.metric for alarm in alarms.values()} - counts, logs, history)
    for alarm in alarms.values():
        if (
            alarm.metric in steady
            and (value := metrics.standing(alarm.metric, cloud.client, cloud.outputs, time.time())) is not None
        ):
            history.add(alarm.metric, [(DAY - HOUR + at, value) for at in range(0, DAY + HOUR, max(MINUTE, alarm.seconds // 4))])
    spoke = {name for name, one in alarms.items() for _, what in changes(one, history, DAY, 2 * DAY) if what not in (OK, NO_DATA)}
    # Another test's dead letters are no use of the day's.
    assert spoke - {"dead-letters", "queue-age"} == set()

    records = [json.loads(line) for line in text if line.startswith('{"event":"') and '"hash":"' in line]
    assert len(records) >= DAY // EVERY * 5
    by_time = [{**record, "time": int(DAY * 1000 + number)} for number, record in enumerate(records)]
    assert unusual(by_time, {}, 2 * DAY * 1000)[0] == []


@dataclass
class Attack:
    """When it began, and the key that was stolen."""

    began: float
    key_id: str


@pytest.fixture(scope="module")
def attacked(local: Any, cloud: Cloud, token_of: Callable[[str], str], session: Logs) -> Iterator[Attack]:
    """Everything that somebody with a stolen sign-in of an administrator, and with an analyst's, might try, in a minute."""
    assert session.lines
    # A minute that no other test's calls are in.
    began = time.time()
    good = token_of(ANALYST)
    head, body, signature = good.split(".")
    forged = f"{head}.{body}.{signature[:-8]}{'A' * 8 if not signature.endswith('A' * 8) else 'B' * 8}"
    made = local.ctl("login", "--as", ADMIN)
    assert made.returncode == 0, made.stderr
    key = json.loads(local.ctl("keys", "create", "attack", "--scope", "analyses:read", "--json").stdout)
    wrong = key["key"][:-6] + ("aaaaaa" if not key["key"].endswith("aaaaaa") else "bbbbbb")
    with local.client() as http:
        for _ in range(4):
            assert _asked(http, f"Bearer {forged}") == 401
            assert _asked(http, f"ApiKey {wrong}") == 401
        for number in range(60):
            assert _asked(http, f"ApiKey hm_local_{number:026d}_{'a' * 43}") == 401
        # Its own program uses the key as well.
        assert _asked(http, f"ApiKey {key['key']}") == 200
    with local.client(transport=_from_elsewhere(local)) as http:
        assert _asked(http, f"ApiKey {key['key']}") == 200
        for _ in range(BLOCKED_REQUESTS):
            assert http.post("/config", content=bytes(JSON_BODY_LIMIT + 1)).status_code == 413
    copies = _copies(cloud)
    with local.client() as http:
        for analysis in copies:
            assert _asked(http, f"Bearer {good}", f"/analyses/{analysis}/results") == 200
    before = json.loads(local.ctl("config", "show", "--json").stdout)["version"]
    assert local.ctl("config", "set", "resolution=0.7").returncode == 0
    address = f"attack-{time.time_ns()}@example.org"
    assert local.ctl("users", "add", address, "--group", "viewer").returncode == 0
    cloud.client("sqs").send_message(QueueUrl=cloud.outputs["dead_letter_queue_url"], MessageBody="{}")
    time.sleep(1)  # The lines are sent in batches.
    yield Attack(began, key["key_id"])
    for analysis in copies:
        cloud.client("dynamodb").delete_item(TableName=cloud.outputs["jobs_table"], Key={"pk": {"S": f"analysis#{analysis}"}})
    local.ctl("keys", "revoke", key["key_id"], "--yes")
    local.ctl("config", "restore", str(before))
    cloud.client("sqs").purge_queue(QueueUrl=cloud.outputs["dead_letter_queue_url"])


def _asked(http: httpx.Client, authorization: str, path: str = "/analyses") -> int:
    """The status of a call; one that is throttled is asked again."""
    while (answer := http.get(path, headers={"Authorization": authorization})).status_code == 429:
        time.sleep(0.2)
    return answer.status_code


def _from_elsewhere(local: Any) -> httpx.HTTPTransport:
    context = ssl.create_default_context(cafile=local.environment["ca_bundle"])
    return httpx.HTTPTransport(verify=context, local_address=ELSEWHERE)


def _copies(cloud: Cloud) -> list[str]:
    """As many analyses as are more than little: the one of the check, under other ids."""
    dynamodb, table = cloud.client("dynamodb"), cloud.outputs["jobs_table"]
    rows = [row for page in dynamodb.get_paginator("scan").paginate(TableName=table) for row in page["Items"]]
    done = next(row for row in rows if row["pk"]["S"].startswith("analysis#") and row["state"]["S"] == "succeeded")
    ids = [str(ULID()) for _ in range(LITTLE_ANALYSES + 1)]
    for one in ids:
        row = {**done, "pk": {"S": f"analysis#{one}"}, "analysis_id": {"S": one}}
        dynamodb.put_item(TableName=table, Item=row)
    return ids


BY_ATTACK = (
    *("refused-burst", "forged-tokens", "key-misuse", "service-config", "users-changed", "keys-changed", "dead-letters"),
    *("blocked-burst", "traffic-anomaly", "refusals-anomaly"),
)
BY_SEALER = ("audit-gap", "key-new-network", "unusual-downloads")
BY_CHANGES = {*(alarm.name for alarm in CHANGE_ALARMS), "break-glass-used"}
"""Those of the trail, where there is one: test_change_alarms.py."""


def test_every_alarm_is_set_off_by_the_attack_or_a_game_day(cloud: Cloud) -> None:
    alarms, _ = cloud.look()
    by_game_days = {name for day in GAME_DAYS.values() for name in day.alarms}
    assert alarms.keys() - BY_CHANGES == {*BY_ATTACK, *BY_SEALER, *by_game_days}


@pytest.fixture(scope="module")
def looked(cloud: Cloud, attacked: Attack, session: Logs) -> tuple[dict[str, Alarm], History, float]:
    """The alarms, what is known after the attack, and when that was. On the days before there were sessions as the real one."""
    alarms, history = cloud.look()
    ended = time.time()
    recorded = session.lines[session.access]
    begin = recorded[0][0]
    usual = [
        (attacked.began - day * DAY + start + moment - begin, line)
        for day in range(BAND_DAYS, 0, -1)
        for start in range(-HOUR, HOUR, EVERY)
        for moment, line in recorded
    ]
    banded = {alarms[name].metric for name in ("traffic-anomaly", "refusals-anomaly")}
    assert metrics.logged(banded, Logs({session.access: usual}, session.access, session.waf), history) == []
    return alarms, history, ended


@pytest.mark.parametrize("name", BY_ATTACK)
def test_the_attack_sets_the_alarm_off_and_within_two_periods_it_is_over(
    looked: tuple[dict[str, Alarm], History, float], attacked: Attack, name: str
) -> None:
    alarms, history, ended = looked
    alarm, window = alarms[name], max(alarms[name].window, MINUTE)
    told = [what for _, what in changes(alarm, history, attacked.began, ended + 2 * MINUTE)]
    assert ALARM in told, told
    # From here on nothing more comes.
    assert state(alarm, history, ended + MINUTE + 2 * window) == OK


@pytest.fixture(scope="module")
def sealed(cloud: Cloud, attacked: Attack, session: Logs) -> tuple[History, float, float]:
    """What the sealer said of the attack, with two moments that were still to come: when it sealed its records, of which one had
    been removed, and when that one had been missing for too long. It has the deployed one's code, groups and key, and a bucket
    of its own: no seal of the environment is of another time."""
    client, bucket = cloud.client, f"seals-{time.time_ns()}"
    variables = client("lambda").get_function_configuration(FunctionName=SEALER)["Environment"]["Variables"]
    configuration = config.load(variables)._replace(bucket=bucket)
    client("s3").create_bucket(Bucket=bucket)

    def seal(now: float) -> list[tuple[float, str]]:
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            Sealing(configuration, client, lambda: True, lambda: int(now * 1000)).run()
        return [(now, line) for line in told.getvalue().splitlines()]

    seal(attacked.began + LAG / 1000)
    learned = json.dumps(_habits(cloud, attacked, session)).encode()
    client("s3").put_object(Bucket=bucket, Key=name_of(HABITS_PREFIX, 1), Body=learned)
    soon, late = time.time() + LAG / 1000 + MINUTE, time.time() + (LAG + GRACE) / 1000 + 3 * MINUTE
    with _one_removed(cloud, attacked):
        lines = [*seal(soon), *seal(late)]
    history = History()
    filters = client("logs").describe_metric_filters()["metricFilters"]
    metrics.counted(filters, {f"/aws/lambda/{SEALER}": lines}, history)
    return history, soon, late


def _habits(cloud: Cloud, attacked: Attack, session: Logs) -> dict[str, Any]:
    """What is known of days with one session each, and on the last of which the key was used from where it belongs."""
    logs = metrics.read_logs(cloud.client, cloud.outputs, attacked.began, time.time())
    of_key = next(one for one in _records(logs) if one.get("key_id") == attacked.key_id and one["source_ip"] != ELSEWHERE)
    read = [one for one in _records(session) if one.get("action") == "results_read"]
    moved = [{**one, "time": one["time"] - day * DAY * 1000} for day in range(1, FEW_DAYS + 2) for one in read]
    moved += [{**of_key, "time": of_key["time"] - DAY * 1000 + number} for number in range(FEW_CALLS)]
    suspicions, learned = unusual(moved, {}, int(attacked.began * 1000))
    assert suspicions == []
    return learned


def _records(logs: Logs) -> list[dict[str, Any]]:
    return [json.loads(line) for lines in logs.lines.values() for _, line in lines if '"hash":"' in line]


@contextlib.contextmanager
def _one_removed(cloud: Cloud, attacked: Attack) -> Iterator[None]:
    """CloudWatch Logs deletes no less than a stream: whoever wants one record gone puts the others back."""
    logs, group = cloud.client("logs"), cloud.outputs["audit_log_group"]
    (stream, *_) = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True)["logStreams"]
    at = {"logGroupName": group, "logStreamName": stream["logStreamName"]}
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, logStreamNames=[stream["logStreamName"]])
    events = [{name: one[name] for name in ("timestamp", "message")} for page in pages for one in page["events"]]
    of_attack = [number for number, one in enumerate(events) if one["timestamp"] >= attacked.began * 1000]
    removed = of_attack[len(of_attack) // 2]
    logs.delete_log_stream(**at)
    logs.create_log_stream(**at)
    logs.put_log_events(**at, logEvents=events[:removed] + events[removed + 1 :])
    try:
        yield
    finally:
        logs.put_log_events(**at, logEvents=[events[removed]])


@pytest.mark.parametrize("name", BY_SEALER)
def test_what_the_sealer_finds_sets_the_alarm_off_and_within_two_periods_it_is_over(
    cloud: Cloud, sealed: tuple[History, float, float], name: str
) -> None:
    history, soon, late = sealed
    alarm = cloud.look([name])[0][name]
    found = late if name == "audit-gap" else soon
    told = list(changes(alarm, history, soon - 2 * MINUTE, late + MINUTE + 2 * alarm.window))
    assert [what for _, what in told] == [OK, ALARM, OK], told
    assert found < told[1][0] <= found + 2 * alarm.window


def test_where_nothing_runs_the_command_says_so(local: Any, tmp_path: Any) -> None:
    shown = local.command("alarms", "--state", str(tmp_path), timeout=60)
    assert (shown.returncode, "Run make local" in shown.stderr) == (1, True)
