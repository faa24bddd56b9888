"""The internal load balancer: from its HTTPS listener to the targets that are registered now."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.edge.interpret import require

REFRESH_SECONDS = 1.0


class Target(NamedTuple):
    """``scheme`` is http or https, as the target group speaks to it."""

    scheme: str
    address: str
    port: int


class TargetGroup:
    """The registered targets, in turn. ``refresh`` asks the emulated AWS, ``watch`` does so every second."""

    def __init__(self, client: Any, arn: str, scheme: str) -> None:
        self._client, self._arn, self._scheme = client, arn, scheme
        self._targets: tuple[Target, ...] = ()
        self._next = 0

    def next(self, tried: Sequence[Target] = ()) -> Target | None:
        """The next target that was not tried yet; None when there is none."""
        left = [target for target in self._targets if target not in tried]
        self._next += 1
        return left[self._next % len(left)] if left else None

    async def refresh(self) -> None:
        """Raises botocore's errors when the emulated AWS does not answer."""
        answer = await asyncio.to_thread(self._client.describe_target_health, TargetGroupArn=self._arn)
        healthy = [entry for entry in answer["TargetHealthDescriptions"] if entry["TargetHealth"]["State"] == "healthy"]
        targets = [entry["Target"] for entry in healthy]
        self._targets = tuple(Target(self._scheme, target["Id"], int(target["Port"])) for target in targets)

    async def watch(self) -> None:
        """Refreshes until cancelled; the last known targets stay while the emulated AWS does not answer."""
        while True:
            with contextlib.suppress(BotoCoreError, ClientError):
                await self.refresh()
            await asyncio.sleep(REFRESH_SECONDS)


def read(load_balancer_arn: str, port: int, client: Any) -> TargetGroup:
    """The target group that the load balancer's listener on this port forwards to. Raises Uninterpretable."""
    balancer = client.describe_load_balancers(LoadBalancerArns=[load_balancer_arn])["LoadBalancers"][0]
    what = f"The load balancer {balancer['LoadBalancerName']}"
    require(balancer["Type"] == "application" and balancer["Scheme"] == "internal", f"{what} is not an internal application one.")
    listeners = client.describe_listeners(LoadBalancerArn=load_balancer_arn)["Listeners"]
    listener = next((listener for listener in listeners if listener["Port"] == port and listener["Protocol"] == "HTTPS"), None)
    require(listener, f"{what} has no HTTPS listener on the port {port} that an integration names.")
    rules = client.describe_rules(ListenerArn=(listener or {})["ListenerArn"])["Rules"]
    actions = [action for rule in rules for action in rule["Actions"]]
    forwards = len(rules) == 1 and len(actions) == 1 and actions[0]["Type"] == "forward"
    require(forwards, f"{what} does more than forward to one target group.")
    arn = actions[0].get("TargetGroupArn") or actions[0]["ForwardConfig"]["TargetGroups"][0]["TargetGroupArn"]
    group = client.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]
    speaks = group["TargetType"] == "ip" and group["Protocol"] in ("HTTP", "HTTPS")
    require(speaks, f"The target group {group['TargetGroupName']} does not speak HTTP to addresses.")
    return TargetGroup(client, arn, group["Protocol"].lower())
