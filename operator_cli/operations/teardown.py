"""The end of a stack: what would be destroyed and what stays is said first, and nothing goes that was not said.

The Pulumi engine does it, with the state of the stack. What nobody may lose stays in the stack, and in AWS: where the audit
bucket is locked, the bucket, the log groups and the key that both are read with. A later teardown finishes them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from operator_cli.errors import CliError

if TYPE_CHECKING:
    import boto3
    import pulumi.automation as auto

Resource = Mapping[str, Any]
Tell = Callable[[str], None]

PROJECT = "heartmap"
ACCOUNT = re.compile(r"^arn:aws:[a-z0-9-]+:[a-z0-9-]*:(\d{12}):")
LOCK = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
BUCKET, LOGS, KEY, ALIAS = (
    "aws:s3/bucket:Bucket",
    "aws:cloudwatch/logGroup:LogGroup",
    "aws:kms/key:Key",
    "aws:kms/alias:Alias",
)
DATA = {
    BUCKET: "bucket",
    "aws:dynamodb/table:Table": "name",
    "aws:cognito/userPool:UserPool": "name",
    "aws:ecr/repository:Repository": "name",
}
"""The types that hold what people made, and what they are called by."""
BACKUP_HOURS = 24


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a teardown does. ``destroyed`` and ``kept`` are resources of the state; ``told`` says the rest in words.

    ``staying`` are the URNs that the engine leaves alone: what is kept, with the components and providers that it is under.
    """

    stack: str
    account: str
    destroyed: tuple[Resource, ...]
    kept: tuple[Resource, ...]
    staying: frozenset[str]
    told: tuple[str, ...]

    @property
    def name(self) -> str:
        """What has to be typed."""
        return f"{PROJECT}-{self.stack} {self.account}"

    def document(self) -> dict[str, Any]:
        return {
            "environment": self.stack,
            "account": self.account,
            "destroyed": dict(Counter(one["type"] for one in self.destroyed)),
            "data_destroyed": [label(one) for one in self.destroyed if one["type"] in DATA],
            "kept": [label(one) for one in self.kept if one["type"] in (BUCKET, LOGS, KEY)],
            "told": list(self.told),
        }


def label(resource: Resource) -> str:
    """What a resource is called in AWS."""
    inputs = resource.get("inputs") or {}
    name = next((inputs[key] for key in ("bucket", "name", "description") if isinstance(inputs.get(key), str)), resource["id"])
    return f"{resource['type'].rpartition(':')[2]} {name}"


def plan(deployment: Mapping[str, Any], *, stack: str, account: str, session: "boto3.Session") -> Plan:
    """What a teardown of this state would do. Nothing is changed.

    Raises CliError for another account or stack than named, for a protected one, and for one that an interrupted run left behind.
    """
    resources = list(deployment.get("resources") or [])
    made = [one for one in resources if one.get("custom") and not one["type"].startswith("pulumi:")]
    if not made:
        raise CliError(f"There is nothing in the stack {stack}.")
    if deployment.get("pending_operations"):
        step = f"Say first what became of it: pulumi refresh --stack {stack}"
        raise CliError("The last run was interrupted, and the engine does not know what it left.", next_step=step)
    _is_the_one(resources, made, stack, account, session)
    _is_given_up(made, stack)
    kept = _with_what_they_need(resources, set(_kept(made)))
    going = tuple(one for one in made if one["urn"] not in kept)
    staying = tuple(one for one in made if one["urn"] in kept)
    told = tuple(_told(going, staying))
    return Plan(stack=stack, account=account, destroyed=going, kept=staying, staying=frozenset(kept), told=told)


def _is_the_one(
    resources: Iterable[Resource], made: Iterable[Resource], stack: str, account: str, session: "boto3.Session"
) -> None:
    """Whether the state, the credentials and what was typed are of one account and one stack."""
    strange = sorted({one["urn"].split("::")[0] for one in resources} - {f"urn:pulumi:{stack}"})
    projects = {one["urn"].split("::")[1] for one in resources} - {PROJECT}
    if strange or projects:
        raise CliError(f"The state is not that of {PROJECT}'s stack {stack}.", next_step="Select the stack: pulumi stack ls")
    arns = (str((one.get("outputs") or {}).get("arn", "")) for one in made)
    accounts = {found[1] for arn in arns if (found := ACCOUNT.match(arn))}
    if accounts != {account}:
        told = ", ".join(sorted(accounts)) or "none that can be told"
        raise CliError(
            f"The stack {stack} is in the account {told}, not in {account}.", next_step="Name its account, or its stack."
        )
    caller = _caller_account(session)
    if caller != account:
        step = "Sign in to the account that is meant: export AWS_PROFILE=NAME"
        raise CliError(f"This shell's credentials are of the account {caller}, not of {account}.", next_step=step)


def _caller_account(session: "boto3.Session") -> str:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return session.client("sts", region_name="us-east-1").get_caller_identity()["Account"]
    except (BotoCoreError, ClientError):
        step = "Sign in to AWS: aws sso login, or name a profile: export AWS_PROFILE=NAME"
        raise CliError("This shell has no AWS credentials that AWS takes.", next_step=step) from None


def _is_given_up(made: Iterable[Resource], stack: str) -> None:
    """A protected stack is refused by what was deployed, whatever its file says by now."""
    protected = [label(one) for one in made if one.get("protect")]
    if protected:
        raise CliError(
            f"The stack is protected: {len(protected)} resources, such as {protected[0]}.",
            next_step=f"Give it up first: in Pulumi.{stack}.yaml `heartmap:deletion_protection: false`"
            + (" and `heartmap:decommission: true`" if stack == "prod" else "")
            + ", then pulumi up.",
        )


def _kept(made: Iterable[Resource]) -> Iterator[str]:
    """Where a bucket is locked: that bucket and what makes it private, all log groups, and the key that they are read with."""
    found = list(made)
    locked = {one["inputs"]["bucket"] for one in found if one["type"] == LOCK}
    if not locked:
        return
    for one in found:
        inputs = one.get("inputs") or {}
        of_bucket = one["type"].startswith("aws:s3/bucket") and inputs.get("bucket") in locked
        alias = one["type"] == ALIAS and str(inputs.get("name")).endswith("-logs")
        # A log group that is named after something keeps that as well: the API's own, whose requests are in another one.
        own_name = one["type"] == LOGS and all(f"{KEY}::" in urn for urn in one.get("dependencies") or ())
        # Where its requests are logged goes.
        if (of_bucket and "Logging" not in one["type"]) or own_name or alias:
            yield one["urn"]


def _with_what_they_need(resources: Iterable[Resource], kept: set[str]) -> set[str]:
    """These, with what they depend on, their parents and their providers."""
    known = {one["urn"]: one for one in resources}
    todo, found = list(kept), set()
    while todo:
        urn = todo.pop()
        if urn in found or urn not in known:
            continue
        found.add(urn)
        one = known[urn]
        todo += [*(one.get("dependencies") or ()), one.get("parent") or "", (one.get("provider") or "").rpartition("::")[0]]
    return found


def _told(going: Iterable[Resource], staying: Iterable[Resource]) -> Iterator[str]:
    """What AWS itself keeps for a while."""
    types = {one["type"]: one for one in going}
    if logs := [label(one) for one in going if one["type"] == LOGS]:
        yield f"With what they hold are destroyed: {', '.join(logs)}."
    if key := types.get(KEY):
        days = (key.get("inputs") or {}).get("deletionWindowInDays", 30)
        yield (
            f"Keys wait {days:.0f} days: until then `aws kms cancel-key-deletion` takes them back; then nobody reads what they "
            "encrypted."
        )
    if secret := types.get("aws:secretsmanager/secret:Secret"):
        days = (secret.get("inputs") or {}).get("recoveryWindowInDays")
        if days:
            yield f"The secret waits {days:.0f} days: `aws secretsmanager restore-secret`."
        else:
            yield "The secret is destroyed at once."
    if "aws:dynamodb/table:Table" in types:
        yield "Of tables with point-in-time recovery AWS keeps a last backup for 35 days, to be read as long as the key waits."
    if any(one["type"] == LOCK for one in staying):
        yield "What is kept stays in the stack. When the lock has run out, `pulumi destroy` finishes it."


def check_backup(manifest: Mapping[str, Any], stack: str, now: datetime) -> None:
    """Whether a backup is of this stack and of today. Raises CliError."""
    if manifest.get("environment") != stack:
        raise CliError(
            f"The backup is of {manifest.get('environment')}, not of {stack}.", next_step="Name the backup of this stack."
        )
    at = datetime.fromisoformat(str(manifest["at"]))
    if now - at > timedelta(hours=BACKUP_HOURS):
        step = f"Make a new one: heartmapctl operate backup --environment {stack} --output DIRECTORY --recipient age1..."
        raise CliError(f"The backup is of {at:%Y-%m-%d %H:%M} UTC: what came since would be lost.", next_step=step)


def destroy(stack: "auto.Stack", decided: Plan, tell: Tell) -> None:
    """Have the engine destroy what the plan says, and nothing else.

    Raises CliError where the state is another one by now, or something could not be destroyed; what is gone then is gone.
    """
    from pulumi.automation.errors import CommandError

    resources = (stack.export_stack().deployment or {}).get("resources") or []
    now = {one["urn"] for one in resources if one.get("custom") and not one["type"].startswith("pulumi:")}
    if now != {one["urn"] for one in (*decided.destroyed, *decided.kept)}:
        raise CliError("Somebody changed the stack meanwhile: nothing was destroyed.", next_step="Look again, and decide again.")
    # Components too: one that goes with its parts, such as that of the image, has to be named like them.
    target = [one["urn"] for one in resources if one["urn"] not in decided.staying] if decided.kept else None
    try:
        stack.destroy(target=target, on_output=tell, color="never", show_secrets=False, suppress_outputs=True)
    except CommandError:
        step = "Read above what could not be destroyed, mend it, and run the same command again: it goes on."
        raise CliError("The engine could not destroy everything.", next_step=step) from None


def amounts(decided: Plan, session: "boto3.Session", region: str) -> list[str]:
    """What is in it that people made, as AWS tells it: estimates, and what may not be read is said."""
    from botocore.exceptions import BotoCoreError, ClientError

    def told(one: Resource) -> str:
        try:
            return f"{label(one)}: {_amount(one, session, region)}"
        except (BotoCoreError, ClientError):
            return f"{label(one)}: nobody can tell how much"

    return [told(one) for one in decided.destroyed if one["type"] in DATA]


def _amount(one: Resource, session: "boto3.Session", region: str) -> str:
    def client(service: str) -> Any:
        make: Any = session.client
        return make(service, region_name=region)

    name = (one.get("inputs") or {}).get(DATA[one["type"]])
    if one["type"] == BUCKET:
        found = client("s3").list_object_versions(Bucket=name)
        count = len(found.get("Versions", []))
        return f"{'more than ' if found.get('IsTruncated') else ''}{count} objects"
    if "dynamodb" in one["type"]:
        return f"about {client('dynamodb').describe_table(TableName=name)['Table']['ItemCount']} items"
    if "cognito" in one["type"]:
        return (
            f"about {client('cognito-idp').describe_user_pool(UserPoolId=one['id'])['UserPool']['EstimatedNumberOfUsers']} people"
        )
    return f"{len(client('ecr').list_images(repositoryName=name)['imageIds'])} images"
