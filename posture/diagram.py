"""docs/architecture.svg: the picture of a stack, drawn from its plan.

Where a box stands is decided here; what is in it, which there are and which reach which is read from the plan: functions,
tables, buckets and endpoints by name, what each role reads and writes, and the network's arrows from the security groups.
"""

import json
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

from lambda_authorizer.access_policy import RULES, SERVICE
from posture.plan import ROOT, Plan
from posture.policies import listed, roles, statements_of

PAGE = ROOT / "docs" / "architecture.svg"
STACK = "prod"

WIDTH, MARGIN, GAP = 1240, 16, 14
TITLE, LINE = 22, 15
LETTER = 5.9
"""Pixels that a letter of the lines takes, on the safe side."""

# Both themes in one file: a page shows it as an image, which knows the reader's preference and nothing of the page.
STYLE = """
svg { font: 11px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.ground { fill: #ffffff; } .frame { fill: #f6f8fa; stroke: #8c959f; stroke-dasharray: 5 4; }
.inner { fill: #ddf4ff; stroke: #0969da; }
.box { fill: #ffffff; stroke: #57606a; } text { fill: #1f2328; } .title { font-weight: 600; font-size: 12.5px; }
.of-frame { font-weight: 600; font-size: 12.5px; fill: #424a53; } .arrow { stroke: #0969da; stroke-width: 1.6; fill: none; }
.head { fill: #0969da; } .said { fill: #0550ae; }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117; } .frame { fill: #161b22; stroke: #6e7681; } .inner { fill: #0c2d4d; stroke: #4493f8; }
.box { fill: #0d1117; stroke: #8b949e; } text { fill: #e6edf3; } .of-frame { fill: #c9d1d9; } .arrow { stroke: #4493f8; }
.head { fill: #4493f8; } .said { fill: #79c0ff; }
}
"""

WRITES = re.compile(r":(Put|Update|Delete|Abort|Send|BatchWrite|Admin(?!Get|List))")
STORE = re.compile(r"^arn:aws:(Table|Bucket|Queue|Secret|Parameter|UserPool)/([\w-]+)")
LINES = re.compile(r"logs:(Filter|Get)LogEvents")
KINDS = {"UserPool": "people", "Parameter": "parameter"}


@dataclass
class Box:
    """A box with its lines; ``x``, ``y`` and ``width`` in pixels, its height by its lines."""

    title: str
    lines: list[str]
    x: float = 0
    y: float = 0
    width: float = 0

    @property
    def wrapped(self) -> list[str]:
        letters = int((self.width - 16) / LETTER)
        return [
            part for line in self.lines for part in textwrap.wrap(line, letters, subsequent_indent="  ", break_on_hyphens=False)
        ]

    @property
    def height(self) -> float:
        return TITLE + LINE * len(self.wrapped) + 8


@dataclass
class Frame:
    title: str
    style: str
    boxes: Sequence[Box]

    def around(self) -> tuple[float, float, float, float]:
        """Left, top, width and height."""
        left, top = min(box.x for box in self.boxes) - 10, min(box.y for box in self.boxes) - 26
        right = max(box.x + box.width for box in self.boxes) + 10
        bottom = max(box.y + box.height for box in self.boxes) + 10
        return left, top, right - left, bottom - top


@dataclass
class Arrow:
    points: list[tuple[float, float]]
    said: str = ""
    at: tuple[float, float] = (0, 0)


@dataclass
class Picture:
    """What is drawn, from the back to the front."""

    frames: list[Frame] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)

    def row(self, y: float, places: Sequence[tuple[Box, float, float]]) -> float:
        """Put boxes with their left edge and width beside each other; where they end."""
        for box, x, width in places:
            box.x, box.y, box.width = x, y, width
            self.boxes.append(box)
        return y + max(box.height for box, _, _ in places)

    def grid(self, y: float, boxes: Sequence[Box]) -> float:
        """Put boxes in rows of four over the whole width; where they end."""
        width = (WIDTH - 52 - 3 * GAP) / 4
        for first in range(0, len(boxes), 4):
            places = [(box, 26 + index * (width + GAP), width) for index, box in enumerate(boxes[first : first + 4])]
            y = self.row(y, places) + GAP
        return y - GAP

    def column(self, x: float, y: float, width: float, boxes: Sequence[Box]) -> float:
        """Put boxes below each other; where they end."""
        for box in boxes:
            y = self.row(y, [(box, x, width)]) + GAP
        return y - GAP


def uses(plan: Plan, purpose: str) -> list[str]:
    """What the role of that purpose reads and writes, by kind and name."""
    found: dict[str, set[str]] = defaultdict(set)
    wanted = f"heartmap-{plan.stack}-{purpose}"
    for statement in (
        one for role, held in roles(plan) if role.inputs["name"] == wanted for each in held for one in statements_of(each)
    ):
        verb = "writes" if any(map(WRITES.search, listed(statement["Action"]))) else "reads"
        if any(map(LINES.match, listed(statement["Action"]))):
            found["reads"].add("log lines")
        for match in filter(None, map(STORE.match, map(str, listed(statement.get("Resource"))))):
            kind = KINDS.get(match[1], match[1].lower())
            found[verb].add(kind if kind == "people" else f"{kind} {match[2]}")
    return [f"{verb}: {', '.join(sorted(names))}" for verb, names in sorted(found.items())]


def _functions(plan: Plan) -> list[Box]:
    prefix = f"heartmap-{plan.stack}-"
    names = sorted(one.inputs["name"].removeprefix(prefix) for one in plan.of("lambda/function:Function"))
    # The authorizer comes second: below the gateway, which asks it.
    names.remove("authorizer")
    return [Box(name, uses(plan, name)) for name in (names[0], "authorizer", *names[1:])]


def _web_acl(plan: Plan) -> Box:
    acl = plan.of("wafv2/webAcl:WebAcl")[0]
    names = [rule["name"] for rule in sorted(acl.inputs["rules"], key=lambda rule: rule["priority"])]
    return Box(
        "Web ACL",
        ["in this order:", *names, f"on {len(plan.of('wafv2/webAclAssociation:WebAclAssociation'))}: the API, the sign-in"],
    )


def _gateway(plan: Plan) -> Box:
    answered = [rule.answered_by for rule in RULES.values()]
    methods = plan.of("apigateway/method:Method")
    return Box(
        "API Gateway",
        [
            f"{len(methods)} methods, none public",
            f"{answered.count(SERVICE)} to the service",
            f"{len(answered) - answered.count(SERVICE)} to functions",
            f"{sum(one.inputs['authorization'] == 'AWS_IAM' for one in methods)} for IAM signatures",
            "bodies held to models",
        ],
    )


def _people(plan: Plan) -> Box:
    pool = plan.of("cognito/userPool:UserPool")[0].inputs
    groups = sorted(one.inputs["name"] for one in plan.of("cognito/userGroup:UserGroup"))
    factor = {"ON": "required", "OPTIONAL": "optional"}.get(pool["mfaConfiguration"], "off")
    return Box("Cognito user pool", [f"groups: {', '.join(groups)}", f"second factor: {factor}", "by invitation"])


def _record(plan: Plan) -> list[Box]:
    prefix = f"heartmap-{plan.stack}-"
    speaking = [one for one in plan.of("cloudwatch/metricAlarm:MetricAlarm") if one.inputs.get("alarmActions")]
    topics = sorted(one.inputs["name"].removeprefix(prefix) for one in plan.of("sns/topic:Topic"))
    locked = len(plan.of("s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"))
    trail = ["all regions, validated", "data events of buckets and tables"] if plan.of("cloudtrail/trail:Trail") else ["none"]
    return [
        Box("CloudTrail", trail),
        Box(
            "Logs",
            [f"{len(plan.of('cloudwatch/logGroup:LogGroup'))} groups, under a key of the stack", "flow logs of all traffic"],
        ),
        Box("Audit bucket", ["trail, sessions, audit records", "Object Lock" if locked else "no Object Lock"]),
        Box("Alarms", [f"{len(speaking)}, by topic: {', '.join(topics)}", "each with its section of the runbook"]),
    ]


def _stores(plan: Plan) -> list[Box]:
    prefix = f"heartmap-{plan.stack}-"
    tables = [one.inputs["name"].removeprefix(prefix) for one in plan.of("dynamodb/table:Table")]
    buckets = [one.name for one in plan.of("s3/bucket:Bucket")]
    queues = [one.inputs["name"].removeprefix(prefix) for one in plan.of("sqs/queue:Queue")]
    secrets = [one.name for one in plan.of("secretsmanager/secret:Secret")]
    keys = [one.name for one in plan.of("kms/key:Key")]
    return [
        Box("S3", [f"buckets: {', '.join(buckets)}", "private, TLS only, this account only"]),
        Box("DynamoDB", [f"tables: {', '.join(tables)}", "restorable to the second"]),
        Box("SQS", [f"queues: {', '.join(queues)}"]),
        Box("Secrets and keys", [f"secrets: {', '.join(secrets)}", f"KMS keys: {', '.join(keys)}"]),
    ]


def _endpoints(plan: Plan) -> Box:
    names = sorted(one.name.removeprefix("network-") for one in plan.of("ec2/vpcEndpoint:VpcEndpoint"))
    return Box("Endpoints", [f"{', '.join(names)}", "for this account alone"])


def flows(plan: Plan) -> set[tuple[str, str, str]]:
    """Who may open connections to whom, by the security groups' purposes, and the port."""
    return {
        (
            _group(rule.inputs.get("referencedSecurityGroupId", "")),
            _group(rule.inputs["securityGroupId"]),
            str(rule.inputs["toPort"]),
        )
        for rule in plan.of("vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    }


def _group(id_: str) -> str:
    return id_.rpartition("/")[2].removeprefix("network-")


def picture(plan: Plan) -> Picture:
    """The boxes, frames and arrows of a stack."""
    drawn = Picture()
    callers = Box(
        "People and programs", ["browser and heartmapctl", "console on their own machine", "API keys, signed calls, IAM roles"]
    )
    acl, gateway, people = _web_acl(plan), _gateway(plan), _people(plan)
    balancer = Box("Load balancer", ["internal, TLS on both sides"])
    api = Box("API tasks", ["take only what the authorizer signed", *uses(plan, "api-task")])
    worker = Box("Worker tasks", ["nothing connects to them", "one confined process a data set", *uses(plan, "worker-task")])
    endpoints = _endpoints(plan)
    inside = {"link": gateway, "balancer": balancer, "api": api, "worker": worker, "endpoints": endpoints}
    top = drawn.row(56, [(callers, 26, 180), (acl, 250, 170), (gateway, 446, 190)])
    top = max(top, drawn.column(746, 56, 176, [balancer, *_ways_in(plan, inside), endpoints]))
    top = max(top, drawn.column(962, 56, 252, [api, worker]))
    network = [box for box in drawn.boxes if box.x >= balancer.x]
    top = max(top, drawn.row(callers.y + callers.height + 64, [(people, 26, 180)]))

    functions, stores, record = _functions(plan), _stores(plan), _record(plan)
    top = drawn.grid(top + 62, functions)
    drawn.grid(drawn.grid(top + 52, stores) + 52, record)
    drawn.frames = [
        Frame("The internet", "frame", [callers]),
        Frame("Sign-in", "frame", [people]),
        Frame("Public, in the account", "frame", [acl, gateway]),
        Frame("Functions: a role for each, which says what it reads and writes", "frame", functions),
        Frame("Private network: no route to or from the internet", "inner", network),
        Frame("What holds data, encrypted under keys of the stack", "frame", stores),
        Frame("The record of what was done, and who hears of it", "frame", record),
    ]
    drawn.arrows = [
        _across(callers, acl, "TLS"),
        _across(acl, gateway),
        _down(gateway, functions[1], "who, may they?"),
        _down(callers, people, "sign in"),
        *(
            _connection(inside[source], inside[target], f"VPC link, {port}" if source == "link" else port)
            for source, target, port in sorted(flows(plan))
            if source in inside and target in inside and target != "endpoints"
        ),
    ]
    return drawn


def _ways_in(plan: Plan, inside: dict[str, Box]) -> Iterator[Box]:
    """The bastion and the VPN, where the stack has them."""
    if plan.of("autoscaling/group:Group"):
        inside["bastion"] = Box("Bastion", ["by Session Manager alone", "no address, no open port"])
        yield inside["bastion"]
    if plan.of("ec2clientvpn/endpoint:Endpoint"):
        inside["vpn"] = Box("Client VPN", ["to the load balancer alone"])
        yield inside["vpn"]


def _connection(source: Box, target: Box, said: str) -> Arrow:
    return _across(source, target, said) if source.x + source.width <= target.x else _up(source, target, said)


def _across(left: Box, right: Box, said: str = "") -> Arrow:
    y = max(left.y, right.y) + 34
    return Arrow([(left.x + left.width, y), (right.x, y)], said, ((left.x + left.width + right.x) / 2, y - 6))


def _down(above: Box, below: Box, said: str = "") -> Arrow:
    x = min(above.x + above.width, below.x + below.width) - 50
    return Arrow([(x, above.y + above.height), (x, below.y)], said, (x + 8, below.y - 34))


def _up(below: Box, above: Box, said: str = "") -> Arrow:
    x = below.x + 40
    return Arrow([(x, below.y), (x, above.y + above.height)], said, (x + 8, below.y - 3))


def render(plan: Plan) -> str:
    """The whole file, which is the same for the same plan."""
    drawn = picture(plan)
    height = max(top + tall for _, top, _, tall in (frame.around() for frame in drawn.frames)) + MARGIN
    root = ElementTree.Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height:g}",
        role="img",
        attrib={"aria-labelledby": "title desc"},
    )
    _add(root, "title", f"The stack {plan.stack} as it is planned", id="title")
    _add(root, "desc", json.dumps({frame.title: [box.title for box in frame.boxes] for frame in drawn.frames}), id="desc")
    _add(root, "style", STYLE)
    _add(root, "rect", x=0, y=0, width=WIDTH, height=height, **{"class": "ground"})
    for frame in drawn.frames:
        left, top, wide, tall = frame.around()
        _add(root, "rect", x=left, y=top, width=wide, height=tall, rx=8, **{"class": frame.style})
        _add(root, "text", frame.title, x=left + 10, y=top + 17, **{"class": "of-frame"})
    for box in drawn.boxes:
        _add(root, "rect", x=box.x, y=box.y, width=box.width, height=box.height, rx=5, **{"class": "box"})
        _add(root, "text", box.title, x=box.x + 8, y=box.y + 17, **{"class": "title"})
        for index, line in enumerate(box.wrapped):
            _add(root, "text", line, x=box.x + 8 + 6 * line.startswith(" "), y=box.y + TITLE + 12 + LINE * index)
    for arrow in drawn.arrows:
        _draw(root, arrow)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _draw(root: ElementTree.Element, arrow: Arrow) -> None:
    (x0, y0), (x1, y1) = arrow.points[-2:]
    _add(root, "path", d="M" + " L".join(f"{x:g} {y:g}" for x, y in arrow.points), **{"class": "arrow"})
    length = max(abs(x1 - x0), abs(y1 - y0))
    across, along = (x1 - x0) / length * 8, (y1 - y0) / length * 8
    wings = [(x1 - across + along / 2, y1 - along + across / 2), (x1 - across - along / 2, y1 - along - across / 2)]
    _add(root, "polygon", points=" ".join(f"{x:g},{y:g}" for x, y in [(x1, y1), *wings]), **{"class": "head"})
    if arrow.said:
        middle = {"text-anchor": "middle"} if y0 == y1 else {}
        _add(root, "text", arrow.said, x=arrow.at[0], y=arrow.at[1], **{"class": "said"}, **middle)


def _add(parent: ElementTree.Element, tag: str, text: str = "", **attributes: object) -> None:
    written = {name: f"{value:g}" if isinstance(value, int | float) else str(value) for name, value in attributes.items()}
    ElementTree.SubElement(parent, tag, written).text = text or None
