"""Game days: the running local environment is broken on purpose, the symptom is waited for, and what the runbook says mends it.

Each names the section of docs/runbook.md that somebody finds it by. Only the local environment is ever touched: its AWS is the
emulated one, and the processes are those of its supervisor.
"""

import base64
import json
import os
import secrets
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from infra.certificates import self_signed
from infra.observability import OLDEST_MESSAGE_SECONDS
from lambda_authorizer import api_keys, peppers
from local_cloud import alarms, metrics
from local_cloud.metrics import ACTIVE
from local_cloud.supervisor import Supervisor
from operator_cli.operations import rotate, tables
from operator_cli.operations.archive import Archive, Directory
from operator_cli.operations.backup import Backup
from operator_cli.operations.restore import Content, Restore, check_parts, differences
from operator_cli.operations.stack import BUCKETS, TABLES, Stack

PATIENCE = 90.0
"""Seconds to wait for a symptom, and for the end of it."""
POLL = 0.3
ADMINISTRATION = {"keys": "list", "users": "list", "audit": "search"}
"""The functions that administrators call, and what has heartmapctl call them."""
KEY_OF_SEALS = "seals.pem"
MOST_EVENTS = 10_000
"""Of one PutLogEvents."""
FUNCTIONS = "edge"
"""The process under which the functions run: started anew, they read their secret anew, as new instances do."""


class GameDayFailed(Exception):
    """The environment does not run, the break did not show, or the mend did not mend. The text says which."""


def _quiet(_: str) -> None: ...


def _clean() -> dict[str, str]:
    """The environment, without what it says of another AWS or of another HeartMAP."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEARTMAP_"))}


@dataclass
class Environment:
    """The running environment, and what a game day remembers of how it was."""

    state: Path
    kept: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def described(self) -> dict[str, Any]:
        try:
            return json.loads((self.state / "environment.json").read_text())
        except FileNotFoundError:
            raise GameDayFailed("The local environment does not run. Start it: make local") from None

    @cached_property
    def outputs(self) -> dict[str, Any]:
        return json.loads((self.state / "outputs.json").read_text())

    @cached_property
    def stack(self) -> Stack:
        return Stack("local", self.outputs, self.described["aws_endpoint"])

    @cached_property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.state)

    @cached_property
    def key(self) -> str:
        """An API key that may read the models, made where keys lie: a game day needs no sign-in, also where none works."""
        secret = rotate.Secret(self.stack).read()
        pepper = base64.b64decode(secret["api_key_pepper"])
        key_id = f"GAMEDAY{secrets.token_hex(6).upper()}"
        key = f"hm_local_{key_id}_{secrets.token_urlsafe(32)}"
        item = {
            "public_id": {"S": key_id},
            "digest": {"S": api_keys.digest(key, pepper)},
            "peppers": {"S": peppers.name(pepper)},
            "principal": {"S": "program:game-day"},
            "scopes": {"SS": ["models:read"]},
            "expires_at": {"N": str(int(time.time()) + 3600)},
        }
        self.stack.client("dynamodb").put_item(TableName=self.stack.output("api_keys_table"), Item=item)
        return key

    def status(self) -> int | None:
        """How a call of a program ends: its status, None without an answer."""
        context = ssl.create_default_context(cafile=self.described["ca_bundle"])
        try:
            with httpx.Client(verify=context, timeout=10, trust_env=False) as http:
                answer = http.get(f"{self.described['api']}/models", headers={"Authorization": f"ApiKey {self.key}"})
        except httpx.HTTPError:
            return None
        return answer.status_code

    def spoke(self, day: "GameDay", began: float) -> bool:
        """Whether all its alarms speak, if for as long as it lasts all stays as it is."""
        end = time.time() + day.lasts + 2 * alarms.MINUTE
        looked = self._look(day, end)
        return all(any(state == alarms.ALARM for _, state in alarms.changes(*one, began, end)) for one in looked)

    def is_over(self, day: "GameDay") -> bool:
        """Whether all its alarms are silent two of their periods from now, if all stays as it is."""
        end = time.time() + alarms.MINUTE + 2 * max((one.window for one, _ in self._look(day, time.time())), default=0)
        return all(alarms.state(*one, end) == alarms.OK for one in self._look(day, end))

    def _look(self, day: "GameDay", at: float) -> list[tuple[alarms.Alarm, alarms.History]]:
        if not day.alarms:
            return []
        found, history = metrics.look(self.stack.client, self.outputs, at)
        named = {one.name.removeprefix(f"{self.stack.prefix}-"): one for one in found}
        return [(named[name], history) for name in day.alarms]

    def ctl(self, *arguments: str) -> str:
        """What an operator types, and what it prints. Raises GameDayFailed."""
        done = self.typed(*arguments)
        if done.returncode:
            raise GameDayFailed(f"heartmapctl {' '.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout

    def typed(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What an operator types, however it ends."""
        return subprocess.run(
            [str(Path(sys.executable).parent / "heartmapctl"), *arguments],
            env=_clean() | {"HEARTMAP_LOCAL_STATE": str(self.state)},
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def put_secret(self, text: str) -> None:
        """Make this the current content of the authorizer's secret, and have functions start that read it."""
        self.stack.client("secretsmanager").put_secret_value(
            SecretId=self.stack.secret, SecretString=text, ClientRequestToken=str(uuid.uuid4())
        )
        self.supervisor.start_program(FUNCTIONS)

    def undo_secret(self) -> None:
        rotate.Secret(self.stack).undo()
        self.supervisor.start_program(FUNCTIONS)

    def back_up(self) -> Content:
        """A backup of how everything is now, for as long as the game day lasts."""
        place = Path(self.kept.setdefault("backup", tempfile.mkdtemp(prefix="heartmap-game-day-")))
        archive = Archive(Directory.made(place))
        Backup(self.stack, archive, at=None, tell=_quiet, poll=0.2).run()
        return Content.of(archive)

    def restore(self, content: Content, *parts: str) -> None:
        Restore(self.stack, content, parts=check_parts(parts), tell=_quiet).run()


@dataclass(frozen=True, kw_only=True)
class GameDay:
    """One break. ``shows`` is whether the symptom is to be seen, ``section`` the runbook's. ``alarms`` speak of it, once it has
    lasted for ``lasts`` seconds more, which are not waited for: it is then as it is now."""

    name: str
    breaks: str
    symptom: str
    section: str
    mend: str
    do: Callable[[Environment], None]
    shows: Callable[[Environment], bool]
    undo: Callable[[Environment], None]
    alarms: tuple[str, ...] = ()
    lasts: float = 0


def play(day: GameDay, state: Path, *, say: Callable[[str], Any], leave_broken: bool = False) -> None:
    """Break it, wait for the symptom and the alarms, mend it, and wait until they are gone. Raises GameDayFailed."""
    environment = Environment(state)
    if environment.status() != 200 or day.shows(environment):
        raise GameDayFailed("The environment is not whole before the game day. Mend it first: make local")
    say(f"Breaks: {day.breaks}")
    began = time.time()
    day.do(environment)
    _wait(lambda: day.shows(environment), f"The symptom did not show: {day.symptom}")
    say(f"Shows: {day.symptom}\nThe runbook's page: docs/runbook.md#{day.section}")
    # Shown again and again: some alarms speak of several failures alone.
    speaking = ", ".join(day.alarms)
    _wait(lambda: day.shows(environment) and environment.spoke(day, began), f"One of these alarms is silent: {speaking}")
    if day.alarms:
        say(f"Speaks: {speaking}")
    if leave_broken:
        say(f"It is left broken. What mends it: {day.mend}")
        return
    say(f"Mends: {day.mend}")
    day.undo(environment)
    _wait(lambda: not day.shows(environment) and environment.status() == 200, f"It is not mended by: {day.mend}")
    _wait(lambda: environment.is_over(day), f"One of these alarms goes on: {speaking}")
    say("Mended.")


def _wait(true: Callable[[], bool], failure: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if true():
            return
        time.sleep(POLL)
    raise GameDayFailed(failure)


# ---- Processes ----


def _kill_worker(environment: Environment) -> None:
    environment.kept["worker"] = environment.supervisor.pids()["worker"]
    os.kill(environment.kept["worker"], signal.SIGKILL)


def _no_worker_yet(environment: Environment) -> bool:
    before = environment.kept.get("worker")
    return before is not None and environment.supervisor.pids().get("worker") in (None, before)


def _another_worker(environment: Environment) -> None:
    """Nothing is to be done: the supervisor starts another, as ECS does."""
    _wait(lambda: not _no_worker_yet(environment), "No other worker was started.")


def _leave_work(environment: Environment) -> None:
    """No worker, and an analysis of what was uploaded before."""
    environment.supervisor.stop_program("worker")
    environment.ctl("login", "--as", "analyst")
    upload = json.loads(environment.ctl("uploads", "list", "--json"))["uploads"][0]["upload_id"]
    environment.kept["analysis"] = json.loads(environment.ctl("analyze", upload, "--type", "basic", "--json"))["analysis_id"]


def _is_left(environment: Environment) -> bool:
    analysis = environment.kept.get("analysis")
    return analysis is not None and json.loads(environment.ctl("jobs", "show", analysis, "--json"))["state"] in ACTIVE


def _halt_aws(environment: Environment) -> None:
    os.kill(environment.supervisor.pids()["moto"], signal.SIGSTOP)


def _go_on_aws(environment: Environment) -> None:
    os.kill(environment.supervisor.pids()["moto"], signal.SIGCONT)


# ---- Secrets ----


def _unknown_keys(environment: Environment) -> None:
    content = rotate.Secret(environment.stack).read()
    fresh = base64.b64encode(os.urandom(32)).decode()
    environment.put_secret(json.dumps({**content, "assertion_keys": {"kunknown": fresh}, "current_assertion_key": "kunknown"}))


# ---- Functions ----


def _break_functions(environment: Environment) -> None:
    """As an unfinished change by hand leaves them: without the variables that they need."""
    environment.ctl("login", "--as", "admin")
    functions = environment.stack.client("lambda")
    for name in ADMINISTRATION:
        function = f"{environment.stack.prefix}-{name}"
        kept = functions.get_function_configuration(FunctionName=function)["Environment"]
        environment.kept[function] = kept
        functions.update_function_configuration(
            FunctionName=function, Environment={"Variables": {"HEARTMAP_ENVIRONMENT": "local"}}
        )
    environment.supervisor.start_program(FUNCTIONS)


def _functions_fail(environment: Environment) -> bool:
    # Before that, whoever is signed in may be nobody to them.
    return bool(environment.kept) and all(environment.typed(name, verb).returncode == 1 for name, verb in ADMINISTRATION.items())


def _mend_functions(environment: Environment) -> None:
    functions = environment.stack.client("lambda")
    for name in ADMINISTRATION:
        function = f"{environment.stack.prefix}-{name}"
        functions.update_function_configuration(FunctionName=function, Environment=environment.kept[function])
    environment.supervisor.start_program(FUNCTIONS)


# ---- Data ----


def _drop_table(environment: Environment) -> None:
    _ = environment.key
    environment.kept["content"] = environment.back_up()
    dynamodb, table = environment.stack.client("dynamodb"), environment.stack.output("api_keys_table")
    environment.kept["table"] = dynamodb.describe_table(TableName=table)["Table"]
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName=table)


def _make_table(environment: Environment) -> None:
    """What `pulumi up --refresh` does of the table, and the restore of its items."""
    dynamodb, before = environment.stack.client("dynamodb"), environment.kept["table"]
    dynamodb.create_table(
        TableName=before["TableName"],
        KeySchema=before["KeySchema"],
        AttributeDefinitions=before["AttributeDefinitions"],
        BillingMode="PAY_PER_REQUEST",
    )
    recovery = {"PointInTimeRecoveryEnabled": True}
    dynamodb.update_continuous_backups(TableName=before["TableName"], PointInTimeRecoverySpecification=recovery)
    environment.restore(environment.kept["content"], "api-keys")


def _lose_data(environment: Environment) -> None:
    _ = environment.key
    environment.kept["content"] = environment.back_up()
    stack = environment.stack
    dynamodb, s3 = stack.client("dynamodb"), stack.client("s3")
    for output in (TABLES["jobs"], TABLES["config"]):
        table = stack.output(output)
        names = [each["AttributeName"] for each in dynamodb.describe_table(TableName=table)["Table"]["KeySchema"]]
        for item in list(tables.scanned(dynamodb, table)):
            dynamodb.delete_item(TableName=table, Key={name: item[name] for name in names})
    for output in BUCKETS.values():
        bucket = stack.output(output)
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for found in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                s3.delete_object(Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"])


def _is_lost(environment: Environment) -> bool:
    content = environment.kept.get("content")
    return content is not None and bool(differences(environment.stack, content))


# ---- The audit trail ----


def _delete_records(environment: Environment) -> None:
    """Those of one log stream: CloudWatch Logs deletes nothing less."""
    reach = {
        "AWS_ENDPOINT_URL": environment.described["aws_endpoint"],
        "AWS_REGION": environment.described["region"],
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    command = [sys.executable, "-m", "local_cloud.scheduler", "--state", str(environment.state), "--once"]
    if subprocess.run(command, env=_clean() | reach, check=False, capture_output=True, timeout=120).returncode:
        raise GameDayFailed("The audit records could not be sealed.")
    (environment.state / KEY_OF_SEALS).write_text(environment.outputs["audit_public_key"])
    environment.ctl("login", "--as", "admin")
    logs, group = environment.stack.client("logs"), environment.stack.output("audit_log_group")
    streams = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime")["logStreams"]
    stream = streams[0]["logStreamName"]
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, logStreamNames=[stream])
    events = [{name: one[name] for name in ("timestamp", "message")} for page in pages for one in page["events"]]
    environment.kept["records"] = (group, stream, events)
    logs.delete_log_stream(logGroupName=group, logStreamName=stream)


def _is_unverified(environment: Environment) -> bool:
    if "records" not in environment.kept:
        return False
    key = str(environment.state / KEY_OF_SEALS)
    return environment.typed("audit", "verify", "--since", "24h", "--public-key", key).returncode == 1


def _put_records(environment: Environment) -> None:
    """Out of what was sealed, in AWS; here they are as they were."""
    group, stream, events = environment.kept["records"]
    logs = environment.stack.client("logs")
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    for first in range(0, len(events), MOST_EVENTS):
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events[first : first + MOST_EVENTS])


# ---- The queue ----


def _dead_letters(environment: Environment) -> list[dict[str, Any]]:
    sqs, queue = environment.stack.client("sqs"), environment.stack.output("dead_letter_queue_url")
    return sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])


def _send_dead_letter(environment: Environment) -> None:
    queue = environment.stack.output("dead_letter_queue_url")
    environment.stack.client("sqs").send_message(QueueUrl=queue, MessageBody="what nobody can read")


def _remove_dead_letters(environment: Environment) -> None:
    sqs, queue = environment.stack.client("sqs"), environment.stack.output("dead_letter_queue_url")
    for message in _dead_letters(environment):
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


# ---- Certificates ----


def _balancer_certificate(environment: Environment) -> str:
    arn = environment.stack.output("load_balancer_arn")
    (listener,) = environment.stack.client("elbv2").describe_listeners(LoadBalancerArn=arn)["Listeners"]
    return listener["Certificates"][0]["CertificateArn"]


def _expire_certificate(environment: Environment) -> None:
    acm, arn = environment.stack.client("acm"), _balancer_certificate(environment)
    host = acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainName"]
    certificate, key = self_signed(host, days=5)
    acm.import_certificate(CertificateArn=arn, Certificate=certificate.encode(), PrivateKey=key.encode())


def _expires_soon(environment: Environment) -> bool:
    acm = environment.stack.client("acm")
    found = acm.describe_certificate(CertificateArn=_balancer_certificate(environment))["Certificate"]
    return found["NotAfter"] < datetime.now(UTC) + timedelta(days=30)


_DAYS = (
    GameDay(
        name="worker-killed",
        breaks="the worker's process is killed",
        symptom="no worker runs; what it worked on comes back to the queue after two minutes",
        section="queue-age",
        mend="nothing: another worker is started, and takes up the work",
        do=_kill_worker,
        shows=_no_worker_yet,
        undo=_another_worker,
    ),
    GameDay(
        name="no-worker",
        breaks="the worker is stopped, and an analysis is asked for",
        symptom="the analysis stays queued",
        section="queue-age",
        mend="start the worker again: aws ecs update-service --force-new-deployment",
        do=_leave_work,
        shows=_is_left,
        undo=lambda environment: (environment.supervisor.start_program("worker"), None)[1],
        alarms=("queue-age",),
        lasts=OLDEST_MESSAGE_SECONDS,
    ),
    GameDay(
        name="api-down",
        breaks="the API's task is stopped",
        symptom="calls end with status 500 or more",
        section="no-healthy-hosts",
        mend="start the service again: aws ecs update-service --force-new-deployment",
        do=lambda environment: environment.supervisor.stop_program("api"),
        shows=lambda environment: (environment.status() or 0) >= 500,
        undo=lambda environment: (environment.supervisor.start_program("api"), None)[1],
        alarms=("no-healthy-hosts", "balancer-5xx", "api-5xx"),
    ),
    GameDay(
        name="dead-letters",
        breaks="a message that nobody can read is a dead letter",
        symptom="the dead letter queue is not empty",
        section="dead-letters",
        mend="read it, and remove it",
        do=_send_dead_letter,
        shows=lambda environment: bool(_dead_letters(environment)),
        undo=_remove_dead_letters,
        alarms=("dead-letters",),
    ),
    GameDay(
        name="secret-broken",
        breaks="the current value of the authorizer's secret is no JSON",
        symptom="calls end with status 500, and the audit trail says secrets_malformed",
        section="authorizer-faults",
        mend="heartmapctl operate rotate undo",
        do=lambda environment: environment.put_secret("no JSON"),
        shows=lambda environment: environment.status() == 500,
        undo=Environment.undo_secret,
        alarms=("authorizer-faults", "api-5xx"),
    ),
    GameDay(
        name="wrong-assertion-keys",
        breaks="the authorizer signs with a key that the service does not know",
        symptom="calls that the authorizer allows end with status 401",
        section="assertions-refused",
        mend="heartmapctl operate rotate undo",
        do=_unknown_keys,
        shows=lambda environment: environment.status() == 401,
        undo=Environment.undo_secret,
    ),
    GameDay(
        name="functions-broken",
        breaks="the functions of keys, users and the audit trail lose their variables",
        symptom="what administrators call ends with status 500",
        section="keys-errors",
        mend="pulumi up --refresh gives them back",
        do=_break_functions,
        shows=_functions_fail,
        undo=_mend_functions,
        alarms=("keys-errors", "users-errors", "audit-errors"),
    ),
    GameDay(
        name="key-table-gone",
        breaks="the table of API keys is deleted",
        symptom="calls with an API key end with status 500, and the audit trail says key_store_unavailable",
        section="authorizer-faults",
        mend="pulumi up --refresh makes the table, heartmapctl operate restore --input PLACE --only api-keys fills it",
        do=_drop_table,
        shows=lambda environment: environment.status() == 500,
        undo=_make_table,
        alarms=("authorizer-faults",),
    ),
    GameDay(
        name="store-slow",
        breaks="AWS does not answer",
        symptom="calls with an API key end with status 500 within seconds, and none hangs",
        section="authorizer-faults",
        mend="nothing of ours: wait for AWS",
        do=_halt_aws,
        shows=lambda environment: environment.status() == 500,
        undo=_go_on_aws,
    ),
    GameDay(
        name="certificate-expires",
        breaks="the load balancer has a certificate that ends in five days",
        symptom="its last day is less than 30 days away",
        section="balancer-expiry",
        mend="heartmapctl operate rotate certificates",
        do=_expire_certificate,
        shows=_expires_soon,
        undo=lambda environment: (environment.ctl("operate", "rotate", "certificates"), None)[1],
        alarms=("balancer-expiry",),
    ),
    GameDay(
        name="audit-records-deleted",
        breaks="audit records that were sealed are deleted from their log",
        symptom="heartmapctl audit verify names them, and ends with status 1",
        section="audit-chain",
        mend="nothing brings them back into the log; what was sealed has them, and the game day puts them there again",
        do=_delete_records,
        shows=_is_unverified,
        undo=_put_records,
    ),
    GameDay(
        name="lost-data",
        breaks="jobs, configuration, uploads and results are removed with all their versions",
        symptom="the data are not as in the last backup",
        section="data-lost",
        mend="heartmapctl operate restore --input PLACE --yes",
        do=_lose_data,
        shows=_is_lost,
        undo=lambda environment: environment.restore(environment.kept["content"]),
    ),
)
GAME_DAYS = {day.name: day for day in _DAYS}
