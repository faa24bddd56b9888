"""Game days: the running local environment is broken on purpose, the symptom is waited for, and what the runbook says mends it.

Each names the section of docs/runbook.md that somebody finds it by.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.activity_alarms import UNSEALED_SECONDS
from infra.observability import OLDEST_MESSAGE_SECONDS
from local_cloud import alarms, breaks
from local_cloud.breakable import Environment, GameDayFailed, wait


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
    wait(lambda: day.shows(environment), f"The symptom did not show: {day.symptom}")
    say(f"Shows: {day.symptom}\nThe runbook's page: docs/runbook.md#{day.section}")
    speaking = ", ".join(day.alarms)

    def all_speak() -> bool:
        if _spoke(environment, day, began):
            return True
        # Shown again and again: some alarms speak of several failures alone.
        day.shows(environment)
        return False

    wait(all_speak, f"One of these alarms is silent: {speaking}")
    if day.alarms:
        say(f"Speaks: {speaking}")
    if leave_broken:
        say(f"It is left broken. What mends it: {day.mend}")
        return
    say(f"Mends: {day.mend}")
    day.undo(environment)
    wait(lambda: not day.shows(environment) and environment.status() == 200, f"It is not mended by: {day.mend}")
    wait(lambda: _is_over(environment, day), f"One of these alarms goes on: {speaking}")
    environment.remove_backup()
    say("Mended.")


def _spoke(environment: Environment, day: GameDay, began: float) -> bool:
    """Whether all its alarms speak, if for as long as it lasts all stays as it is."""
    end = time.time() + day.lasts + 2 * alarms.MINUTE
    looked = environment.look(day.alarms, end)
    return all(any(state == alarms.ALARM for _, state in alarms.changes(*one, began, end)) for one in looked)


def _is_over(environment: Environment, day: GameDay) -> bool:
    """Whether all its alarms are silent two of their periods from now, if all stays as it is."""
    if not day.alarms:
        return True
    windows = environment.windows(day.alarms)
    end = time.time() + alarms.MINUTE + 2 * max(windows)
    return all(alarms.state(*one, end) == alarms.OK for one in environment.look(day.alarms, end))


_DAYS = (
    GameDay(
        name="worker-killed",
        breaks="the worker's process is killed in the middle of an analysis",
        symptom="the analysis runs, and nobody runs it; it comes back to the queue after two minutes",
        section="queue-age",
        mend="nothing: another worker is started, takes up the work, and it is done once",
        do=breaks.kill_worker,
        shows=breaks.is_left,
        undo=breaks.take_over,
    ),
    GameDay(
        name="no-worker",
        breaks="the worker is stopped, and an analysis is asked for",
        symptom="the analysis stays queued",
        section="queue-age",
        mend="start the worker again: aws ecs update-service --force-new-deployment",
        do=breaks.leave_work,
        shows=breaks.is_left,
        undo=lambda environment: (environment.supervisor.start_program("worker"), None)[1],
        alarms=("queue-age",),
        lasts=OLDEST_MESSAGE_SECONDS,
    ),
    GameDay(
        name="worker-disk-full",
        breaks="a job has written more than all that it may",
        symptom="its analysis fails with the code out_of_disk",
        section="worker-disk-full",
        mend="make room, and run the analysis again: the worker lives on",
        do=breaks.fill_disk,
        shows=breaks.disk_is_full,
        undo=breaks.run_again,
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
        name="api-hangs",
        breaks="the API's task stands still",
        symptom="it takes connections and says nothing",
        section="unhealthy-hosts",
        mend="nothing: another task is started in its place",
        do=breaks.hang_api,
        shows=breaks.hangs,
        undo=breaks.replace_api,
        alarms=("unhealthy-hosts", "no-healthy-hosts"),
        lasts=5 * alarms.MINUTE,
    ),
    GameDay(
        name="dead-letters",
        breaks="a message that nobody can read is a dead letter",
        symptom="the dead letter queue is not empty",
        section="dead-letters",
        mend="read it, and remove it",
        do=breaks.send_dead_letter,
        shows=lambda environment: bool(breaks.dead_letters(environment)),
        undo=breaks.remove_dead_letters,
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
        do=breaks.unknown_keys,
        shows=lambda environment: environment.status() == 401,
        undo=Environment.undo_secret,
    ),
    GameDay(
        name="authorizer-throttled",
        breaks="the authorizer may not run: its reserved concurrency is 0",
        symptom="calls end with status 500",
        section="authorizer-limit",
        mend="pulumi up --refresh gives it back what it had",
        do=breaks.throttle_authorizer,
        shows=lambda environment: environment.status() == 500,
        undo=breaks.unthrottle_authorizer,
        alarms=("authorizer-limit", "authorizer-faults", "api-5xx"),
    ),
    GameDay(
        name="functions-broken",
        breaks="the functions of keys, users, the audit trail, the exchange of roles and the sealing lose their variables",
        symptom="what administrators and roles call ends with status 500, and nothing is sealed",
        section="keys-errors",
        mend="pulumi up --refresh gives them back",
        do=breaks.break_functions,
        shows=breaks.functions_fail,
        undo=breaks.mend_functions,
        alarms=tuple(f"{name}-errors" for name in breaks.BREAKABLE),
    ),
    GameDay(
        name="key-table-gone",
        breaks="the table of API keys is deleted",
        symptom="calls with an API key end with status 500, and the audit trail says key_store_unavailable",
        section="authorizer-faults",
        mend="pulumi up --refresh makes the table, heartmapctl operate restore --input PLACE --only api-keys fills it",
        do=lambda environment: breaks.drop_table(environment, "api-keys"),
        shows=lambda environment: environment.status() == 500,
        undo=lambda environment: breaks.make_table(environment, "api-keys"),
        alarms=("authorizer-faults",),
    ),
    GameDay(
        name="config-table-gone",
        breaks="the table of the configuration is deleted",
        symptom="the service answers with status 500 or more what needs it",
        section="service-5xx",
        mend="pulumi up --refresh makes the table, heartmapctl operate restore --input PLACE --only config fills it",
        do=lambda environment: breaks.drop_table(environment, "config"),
        shows=lambda environment: (environment.status("/config") or 0) >= 500,
        undo=lambda environment: breaks.make_table(environment, "config"),
        alarms=("service-5xx", "api-deployment", "api-5xx"),
    ),
    GameDay(
        name="store-slow",
        breaks="AWS does not answer",
        symptom="calls with an API key end with status 500 within seconds, and none hangs",
        section="authorizer-faults",
        mend="nothing of ours: wait for AWS",
        do=breaks.halt_aws,
        shows=lambda environment: environment.status() == 500,
        undo=breaks.go_on_aws,
    ),
    GameDay(
        name="certificate-expires",
        breaks="the load balancer has a certificate that ends in five days",
        symptom="its last day is less than 30 days away",
        section="balancer-expiry",
        mend="heartmapctl operate rotate certificates",
        do=lambda environment: breaks.expire_certificate(environment, days=5),
        shows=breaks.expires_soon,
        undo=lambda environment: (environment.ctl("operate", "rotate", "certificates"), None)[1],
        alarms=("balancer-expiry",),
    ),
    GameDay(
        name="certificate-expired",
        breaks="the certificate of the load balancer has expired",
        symptom="calls end with status 500 or more: API Gateway sends nothing there any more",
        section="balancer-expiry",
        mend="heartmapctl operate rotate certificates",
        # ACM takes none that has expired: it does so within seconds.
        do=lambda environment: breaks.expire_certificate(environment, days=3 / alarms.DAY),
        shows=lambda environment: (environment.status() or 0) >= 500,
        undo=lambda environment: (environment.ctl("operate", "rotate", "certificates"), None)[1],
        alarms=("balancer-expiry", "api-5xx"),
    ),
    GameDay(
        name="audit-records-deleted",
        breaks="audit records that were sealed are deleted from their log",
        symptom="heartmapctl audit verify names them, and ends with status 1",
        section="audit-chain",
        mend="nothing brings them back into the log; what was sealed has them, and the game day puts them there again",
        do=breaks.delete_records,
        shows=breaks.is_unverified,
        undo=breaks.put_records,
    ),
    GameDay(
        name="sealing-off",
        breaks="the schedule of the sealing is switched off",
        symptom="no rule calls the sealer",
        section="sealing-stopped",
        mend="pulumi up --refresh switches it on; the next seal takes all records since the last one along",
        do=breaks.stop_sealing,
        shows=breaks.is_unsealed,
        undo=breaks.go_on_sealing,
        alarms=("sealing-stopped",),
        lasts=UNSEALED_SECONDS,
    ),
    GameDay(
        name="lost-data",
        breaks="jobs, configuration, uploads and results are removed with all their versions",
        symptom="the data are not as in the last backup",
        section="data-lost",
        mend="heartmapctl operate restore --input PLACE --yes",
        do=breaks.lose_data,
        shows=breaks.is_lost,
        undo=lambda environment: environment.restore(environment.kept["content"]),
    ),
)
GAME_DAYS = {day.name: day for day in _DAYS}
