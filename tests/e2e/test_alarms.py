"""The deployed alarms, on what the running environment recorded: an attack sets them off, and use that is no attack does not.

The attack is made for real. Then the clock goes on without it, on paper: the alarms are evaluated at later moments.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import httpx
import pytest

from lambda_authorizer.access_policy import ADMIN, ANALYST
from lambda_sealing.habits import unusual
from local_cloud import deployed, metrics
from local_cloud.alarms import ALARM, DAY, MINUTE, NO_DATA, OK, Alarm, History, Metric, changes, state
from local_cloud.game_days import GAME_DAYS
from local_cloud.metrics import Logs

pytestmark = pytest.mark.e2e

HOUR = 3600
PREFIX = "heartmap-local-"
EVERY = 20 * MINUTE
"""Between two sessions of the day that is made of one."""


@dataclass
class Cloud:
    """The emulated AWS of the environment, and what the stack's outputs say."""

    client: Callable[[str], Any]
    outputs: dict[str, Any]

    def look(self) -> tuple[dict[str, Alarm], History]:
        """The alarms by their names, and what is known of their metrics now."""
        alarms, history = metrics.look(self.client, self.outputs, time.time())
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
    which the environment came up."""
    end = max(file.stat().st_mtime for file in (local.state / "check").rglob("*"))
    return metrics.read_logs(cloud.client, cloud.outputs, end - HOUR, end + 1)


def test_a_day_of_use_raises_no_alarm(cloud: Cloud, session: Logs) -> None:
    alarms, _ = cloud.look()
    moments = [moment for lines in session.lines.values() for moment, _ in lines]
    begin = min(moments)
    lines = {
        group: [(DAY + start + moment - begin, line) for start in range(0, DAY, EVERY) for moment, line in recorded]
        for group, recorded in session.lines.items()
    }
    seal = json.dumps({"event": "seal", "decision": "allow", "gaps": 0}, separators=(",", ":"))
    lines["/aws/lambda/heartmap-local-sealing"] = [(DAY - HOUR + at, seal) for at in range(0, DAY + 2 * HOUR, 5 * MINUTE)]
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


@pytest.fixture(scope="module")
def attacked(local: Any, cloud: Cloud, token_of: Callable[[str], str], session: Logs) -> Iterator[float]:
    """When the attack began: everything that somebody with a stolen sign-in of an administrator might try, in a minute."""
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
    before = json.loads(local.ctl("config", "show", "--json").stdout)["version"]
    assert local.ctl("config", "set", "resolution=0.7").returncode == 0
    address = f"attack-{time.time_ns()}@example.org"
    assert local.ctl("users", "add", address, "--group", "viewer").returncode == 0
    cloud.client("sqs").send_message(QueueUrl=cloud.outputs["dead_letter_queue_url"], MessageBody="{}")
    time.sleep(3)  # The lines are sent in batches.
    yield began
    local.ctl("keys", "revoke", key["key_id"], "--yes")
    local.ctl("config", "restore", str(before))
    cloud.client("sqs").purge_queue(QueueUrl=cloud.outputs["dead_letter_queue_url"])


def _asked(http: httpx.Client, authorization: str) -> int:
    """The status of a call; one that is throttled is asked again."""
    while (answer := http.get("/analyses", headers={"Authorization": authorization})).status_code == 429:
        time.sleep(0.2)
    return answer.status_code


BY_ATTACK = ("refused-burst", "forged-tokens", "key-misuse", "service-config", "users-changed", "keys-changed", "dead-letters")

# Game days set off others: test_outages.py plays them. These are set off in tests/local_cloud/test_alarms.py alone:
ON_PAPER = {
    "api-deployment": "the emulated ECS has no deployment that fails",
    "audit-gap": "a record has to be missing for ten minutes",
    "authorizer-limit": "a function has one instance here, for which calls wait",
    "blocked-burst": "500 blocked requests in five minutes are above the rate at which every caller of this address is refused",
    "key-new-network": "a habit takes a day",
    "refusals-anomaly": "what is usual takes days",
    "sealing-errors": "the sealer is started by a schedule",
    "sealing-stopped": "twenty minutes have to pass",
    "service-5xx": "the service fails of nothing that can be broken here without its end",
    "token-errors": "its function is called with an IAM role's signature",
    "traffic-anomaly": "what is usual takes days",
    "unhealthy-hosts": "a task that does not answer is no target any more here",
    "unusual-downloads": "a habit takes days",
}


def test_every_alarm_is_set_off_by_the_attack_or_a_game_day_or_it_is_said_why_not(cloud: Cloud) -> None:
    alarms, _ = cloud.look()
    by_game_days = {name for day in GAME_DAYS.values() for name in day.alarms}
    assert set(alarms) == {*BY_ATTACK, *by_game_days, *ON_PAPER}
    assert ON_PAPER.keys().isdisjoint({*BY_ATTACK, *by_game_days})


@pytest.mark.parametrize("name", BY_ATTACK)
def test_the_attack_sets_the_alarm_off_and_within_two_periods_it_is_over(cloud: Cloud, attacked: float, name: str) -> None:
    alarms, history = cloud.look()
    alarm, ended = alarms[name], time.time()
    window = max(alarm.window, MINUTE)
    told = [what for _, what in changes(alarm, history, attacked, ended + 2 * MINUTE)]
    assert ALARM in told, told
    # From here on nothing more comes.
    assert state(alarm, history, ended + MINUTE + 2 * window) == OK


def test_the_command_shows_what_spoke(local: Any, attacked: float) -> None:
    # An alarm speaks when the minute is over.
    deadline = attacked + 4 * MINUTE
    while "UTC" not in (shown := _shown(local)).get("refused-burst", "") and time.time() < deadline:
        time.sleep(5)
    assert all(" UTC " in shown[name] for name in ("refused-burst", "keys-changed")), shown
    assert " UTC " not in shown["unhealthy-hosts"]


def _shown(local: Any) -> dict[str, str]:
    """The first line of each alarm, by its name."""
    done = local.command("alarms", *local.arguments, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "docs/runbook.md" in done.stdout
    return {words[1]: line for line in done.stdout.splitlines() if len(words := line.split()) > 2}


def test_where_nothing_runs_the_command_says_so(local: Any, tmp_path: Any) -> None:
    shown = local.command("alarms", "--state", str(tmp_path), timeout=60)
    assert (shown.returncode, "Run make local" in shown.stderr) == (1, True)
