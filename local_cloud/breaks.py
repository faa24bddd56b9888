"""What game days do: how the running local environment is broken, what shows of it, and what mends it."""

import base64
import json
import os
import signal
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from heartmap_service.sandbox import Limits
from infra.certificates import self_signed
from local_cloud import scheduler
from local_cloud.breakable import FUNCTIONS, Environment, GameDayFailed, wait
from local_cloud.metrics import ACTIVE
from operator_cli.operations import rotate, tables
from operator_cli.operations.restore import differences
from operator_cli.operations.stack import BUCKETS, TABLES

ADMINISTRATION = {"keys": "list", "users": "list", "audit": "search"}
"""The functions that administrators call, and what has heartmapctl call them."""
BREAKABLE = (*ADMINISTRATION, "token", "sealing")
KEY_OF_SEALS = "seals.pem"
MOST_EVENTS = 10_000
"""Of one PutLogEvents."""


# ---- The service ----


def hang_api(environment: Environment) -> None:
    os.kill(environment.supervisor.pids()["api"], signal.SIGSTOP)


def hangs(environment: Environment) -> bool:
    """Whether the API's task takes connections and says nothing."""
    port = json.loads((environment.state / "ports.json").read_text())["api"]
    try:
        ssl.get_server_certificate(("127.0.0.1", port), timeout=1)
    except TimeoutError:
        return True
    except OSError:
        return False
    return False


def replace_api(environment: Environment) -> None:
    """As ECS does with a task that does not answer: another one is started in its place."""
    os.kill(environment.supervisor.pids()["api"], signal.SIGKILL)


# ---- The worker and its work ----


def ask(environment: Environment, analysis_type: str = "basic") -> None:
    """An analysis of what was uploaded before."""
    environment.ctl("login", "--as", "analyst")
    uploads = json.loads(environment.ctl("uploads", "list", "--json"))["uploads"]
    upload = next(each["upload_id"] for each in uploads if each["state"] == "accepted")
    environment.kept["analysis"] = json.loads(environment.ctl("analyze", upload, "--type", analysis_type, "--json"))[
        "analysis_id"
    ]


def analysis(environment: Environment) -> dict[str, Any]:
    """Its row; empty before it was asked for."""
    if "analysis" not in environment.kept:
        return {}
    key = {"pk": {"S": f"analysis#{environment.kept['analysis']}"}}
    found = environment.stack.client("dynamodb").get_item(TableName=environment.stack.output("jobs_table"), Key=key)["Item"]
    return {name: next(iter(value.values())) for name, value in found.items()}


def is_left(environment: Environment) -> bool:
    return analysis(environment).get("state") in ACTIVE


def begin_work(environment: Environment) -> int:
    """An analysis that runs, and for a while; the process id of its worker."""
    ask(environment, "comprehensive")
    wait(lambda: analysis(environment)["state"] == "running", "The analysis does not begin.")
    return environment.supervisor.pids()["worker"]


def kill_worker(environment: Environment) -> None:
    """In the middle of its work."""
    worker = psutil.Process(begin_work(environment))
    worker.kill()
    psutil.wait_procs([worker], timeout=5)


def take_over(environment: Environment) -> None:
    """The supervisor starts another worker, as ECS does. The two minutes after which it gets the work pass on paper: the lease of
    the attempt that died has ended, and the queue gives its message again. Raises GameDayFailed unless it is done once."""
    row = analysis(environment)
    environment.stack.client("dynamodb").update_item(
        TableName=environment.stack.output("jobs_table"),
        Key={"pk": {"S": row["pk"]}},
        UpdateExpression="SET lease_until = :past",
        ExpressionAttributeValues={":past": {"N": "0"}},
    )
    message = json.dumps({"analysis_id": row["token"], "request_id": row["request_id"]})
    environment.stack.client("sqs").send_message(QueueUrl=environment.stack.output("queue_url"), MessageBody=message)
    wait(lambda: not is_left(environment), "The analysis was not taken up.")
    ended = analysis(environment)
    wait(lambda: bool(_successes(environment)), "Nobody says that the analysis succeeded.")
    if (ended["state"], ended["attempt"], _successes(environment)) != ("succeeded", "2", 1):
        raise GameDayFailed(f"The analysis is {ended['state']} at its attempt {ended['attempt']}, or was done twice.")


def _successes(environment: Environment) -> int:
    """How often it is recorded that the analysis succeeded."""
    pattern = f'{{ $.action = "analysis_succeeded" && $.resource = "{environment.kept["analysis"]}" }}'
    pages = environment.stack.client("logs").get_paginator("filter_log_events")
    found = pages.paginate(logGroupName="/heartmap/local/worker", filterPattern=pattern)
    return sum(len(page["events"]) for page in found)


def leave_work(environment: Environment) -> None:
    """No worker, and an analysis."""
    environment.supervisor.stop_program("worker")
    ask(environment)


def fill_disk(environment: Environment) -> None:
    """A file in the job's directory, of nothing but a length, is more than all that a job may write."""
    scratch = environment.state / "scratch" / "worker_service"

    def jobs() -> set[Path]:
        return set(scratch.glob("heartmap-job-*"))

    # One is of the process that the jobs are forked from.
    before = jobs()
    begin_work(environment)
    wait(lambda: bool(jobs() - before), "No job of the worker was seen.")
    with (jobs() - before).pop().joinpath("filler").open("wb") as filler:
        filler.truncate(Limits(memory=0).disk + 1)


def disk_is_full(environment: Environment) -> bool:
    return analysis(environment).get("code") == "out_of_disk"


def run_again(environment: Environment) -> None:
    ask(environment)
    wait(lambda: analysis(environment)["state"] == "succeeded", "The worker did not live on.")


# ---- AWS ----


def halt_aws(environment: Environment) -> None:
    os.kill(environment.supervisor.pids()["moto"], signal.SIGSTOP)


def go_on_aws(environment: Environment) -> None:
    os.kill(environment.supervisor.pids()["moto"], signal.SIGCONT)


# ---- Secrets ----


def unknown_keys(environment: Environment) -> None:
    content = rotate.Secret(environment.stack).read()
    fresh = base64.b64encode(os.urandom(32)).decode()
    environment.put_secret(json.dumps({**content, "assertion_keys": {"kunknown": fresh}, "current_assertion_key": "kunknown"}))


# ---- Functions ----


def break_functions(environment: Environment) -> None:
    """As an unfinished change by hand leaves them: without the variables that they need."""
    environment.ctl("login", "--as", "admin")
    _make_signer(environment)
    functions = environment.stack.client("lambda")
    for name in BREAKABLE:
        function = f"{environment.stack.prefix}-{name}"
        kept = functions.get_function_configuration(FunctionName=function)["Environment"]
        environment.kept[function] = kept
        functions.update_function_configuration(
            FunctionName=function, Environment={"Variables": {"HEARTMAP_ENVIRONMENT": "local"}}
        )
    environment.supervisor.start_program(FUNCTIONS)


def functions_fail(environment: Environment) -> bool:
    if not environment.kept:
        # Whoever is signed in may be nobody to them.
        return False
    administration = all(environment.typed(name, verb).returncode == 1 for name, verb in ADMINISTRATION.items())
    return administration and (_exchange(environment) or 0) >= 500 and not environment.seal()


def mend_functions(environment: Environment) -> None:
    functions = environment.stack.client("lambda")
    for name in BREAKABLE:
        function = f"{environment.stack.prefix}-{name}"
        functions.update_function_configuration(FunctionName=function, Environment=environment.kept[function])
    environment.supervisor.start_program(FUNCTIONS)
    _remove_signer(environment)


SIGNER = "game-day"


def _make_signer(environment: Environment) -> None:
    """Somebody who may sign POST /token."""
    iam, api = environment.stack.client("iam"), environment.stack.output("rest_api_id")
    allowed = {
        "Effect": "Allow",
        "Action": "execute-api:Invoke",
        "Resource": f"arn:aws:execute-api:{environment.described['region']}:*:{api}/*/POST/token",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.create_user(UserName=SIGNER)
    iam.put_user_policy(UserName=SIGNER, PolicyName=SIGNER, PolicyDocument=document)
    environment.kept["signer"] = iam.create_access_key(UserName=SIGNER)["AccessKey"]


def _remove_signer(environment: Environment) -> None:
    iam = environment.stack.client("iam")
    iam.delete_access_key(UserName=SIGNER, AccessKeyId=environment.kept["signer"]["AccessKeyId"])
    iam.delete_user_policy(UserName=SIGNER, PolicyName=SIGNER)
    iam.delete_user(UserName=SIGNER)


def _exchange(environment: Environment) -> int | None:
    """How a signed POST /token ends."""
    signer = environment.kept["signer"]
    request = AWSRequest("POST", f"{environment.described['api']}/token", data=b"")
    credentials = Credentials(signer["AccessKeyId"], signer["SecretAccessKey"])
    SigV4Auth(credentials, "execute-api", environment.described["region"]).add_auth(request)
    return environment.call("POST", "/token", dict(request.headers))


def throttle_authorizer(environment: Environment) -> None:
    """As Lambda's console does at the press of a button: no instance of it may run."""
    functions, name = environment.stack.client("lambda"), environment.stack.output("authorizer_function")
    environment.kept["concurrency"] = functions.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"]
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    environment.supervisor.start_program(FUNCTIONS)


def unthrottle_authorizer(environment: Environment) -> None:
    name, most = environment.stack.output("authorizer_function"), environment.kept["concurrency"]
    environment.stack.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=most)
    environment.supervisor.start_program(FUNCTIONS)


# ---- Data ----


def drop_table(environment: Environment, name: str) -> None:
    _ = environment.key
    environment.kept["content"] = environment.back_up()
    dynamodb, table = environment.stack.client("dynamodb"), environment.stack.output(TABLES[name])
    environment.kept["table"] = dynamodb.describe_table(TableName=table)["Table"]
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName=table)


def make_table(environment: Environment, name: str) -> None:
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
    environment.restore(environment.kept["content"], name)


def lose_data(environment: Environment) -> None:
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


def is_lost(environment: Environment) -> bool:
    content = environment.kept.get("content")
    return content is not None and bool(differences(environment.stack, content))


# ---- The audit trail ----


def delete_records(environment: Environment) -> None:
    """Those of one log stream: CloudWatch Logs deletes nothing less."""
    if not environment.seal():
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


def is_unverified(environment: Environment) -> bool:
    if "records" not in environment.kept:
        return False
    key = str(environment.state / KEY_OF_SEALS)
    return environment.typed("audit", "verify", "--since", "24h", "--public-key", key).returncode == 1


def put_records(environment: Environment) -> None:
    """Out of what was sealed, in AWS; here they are as they were."""
    group, stream, events = environment.kept["records"]
    logs = environment.stack.client("logs")
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    for first in range(0, len(events), MOST_EVENTS):
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events[first : first + MOST_EVENTS])


def _sealing(environment: Environment) -> list[scheduler.Call]:
    """What calls the sealer by a schedule."""
    called = scheduler.calls(environment.stack.client("events"), environment.stack.client("lambda"))
    return [call for call in called if call.function_arn.endswith("-sealing")]


def stop_sealing(environment: Environment) -> None:
    environment.kept["rules"] = [call.rule for call in _sealing(environment)]
    for rule in environment.kept["rules"]:
        environment.stack.client("events").disable_rule(Name=rule)
    environment.supervisor.start_program("scheduler")


def is_unsealed(environment: Environment) -> bool:
    return not _sealing(environment)


def go_on_sealing(environment: Environment) -> None:
    for rule in environment.kept["rules"]:
        environment.stack.client("events").enable_rule(Name=rule)
    environment.supervisor.start_program("scheduler")


# ---- The queue ----


def dead_letters(environment: Environment) -> list[dict[str, Any]]:
    sqs, queue = environment.stack.client("sqs"), environment.stack.output("dead_letter_queue_url")
    return sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])


def send_dead_letter(environment: Environment) -> None:
    queue = environment.stack.output("dead_letter_queue_url")
    environment.stack.client("sqs").send_message(QueueUrl=queue, MessageBody="what nobody can read")


def remove_dead_letters(environment: Environment) -> None:
    sqs, queue = environment.stack.client("sqs"), environment.stack.output("dead_letter_queue_url")
    for message in dead_letters(environment):
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


# ---- Certificates ----


def balancer_certificate(environment: Environment) -> str:
    arn = environment.stack.output("load_balancer_arn")
    (listener,) = environment.stack.client("elbv2").describe_listeners(LoadBalancerArn=arn)["Listeners"]
    return listener["Certificates"][0]["CertificateArn"]


def expire_certificate(environment: Environment, days: float) -> None:
    acm, arn = environment.stack.client("acm"), balancer_certificate(environment)
    host = acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainName"]
    certificate, key = self_signed(host, days)
    acm.import_certificate(CertificateArn=arn, Certificate=certificate.encode(), PrivateKey=key.encode())


def expires_soon(environment: Environment) -> bool:
    acm = environment.stack.client("acm")
    found = acm.describe_certificate(CertificateArn=balancer_certificate(environment))["Certificate"]
    return found["NotAfter"] < datetime.now(UTC) + timedelta(days=30)
