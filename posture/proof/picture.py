"""The reachability picture of a proved stack, as SVG that is readable on light and on dark paper."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from posture.proof import specification as spec
from posture.proof.assumptions import Assumed
from posture.proof.exported import Stack
from posture.proof.network import Flows
from posture.proof.paths import API_DOOR, SESSIONS, VPN_DOOR
from posture.proof.solving import Solver

WIDTH, HEIGHT = 1180, 560
_STYLE = """
svg { font: 13px system-ui, sans-serif; --ink: #1c2330; --soft: #5a6474; --paper: #ffffff; --box: #f2f5f9; --line: #2f6fb3;
  --frame: #c3ccd8; --bar: #b3261e; }
@media (prefers-color-scheme: dark) { svg { --ink: #e8ecf2; --soft: #a3adbd; --paper: #12161c; --box: #1e2530; --line: #7db4ee;
  --frame: #3d4757; --bar: #ff8a80; } }
.paper { fill: var(--paper); } .box { fill: var(--box); stroke: var(--frame); } .frame { fill: none; stroke: var(--frame); }
text { fill: var(--ink); } .small { fill: var(--soft); font-size: 11px; } .title { font-weight: 600; }
.flow { fill: none; stroke: var(--line); stroke-width: 1.6; marker-end: url(#head); } .head { fill: var(--line); }
.bar { fill: none; stroke: var(--bar); stroke-width: 1.6; stroke-dasharray: 5 4; } .no { fill: var(--bar); font-weight: 600; }
"""
SERVICES, FUNCTIONS, S3, DYNAMODB = "services", "functions", "s3", "dynamodb"


@dataclass(frozen=True)
class _Box:
    x: int
    y: int
    width: int
    title: str
    lines: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        return 30 + 16 * len(self.lines)

    def draw(self) -> str:
        texts = [f'<text class="title" x="{self.x + 10}" y="{self.y + 20}">{escape(self.title)}</text>']
        texts += [
            f'<text class="small" x="{self.x + 10}" y="{self.y + 36 + 16 * number}">{escape(line)}</text>'
            for number, line in enumerate(self.lines)
        ]
        return f'<rect class="box" x="{self.x}" y="{self.y}" width="{self.width}" height="{self.height}" rx="6"/>{"".join(texts)}'


def _boxes(stack: Stack, names: set[str]) -> dict[str, _Box]:
    methods, functions = len(stack.of("apigateway/method:Method")), len(stack.of("lambda/function:Function"))
    services = sorted(
        endpoint.text("serviceName").split(".", 3)[-1]
        for endpoint in stack.of("ec2/vpcEndpoint:VpcEndpoint")
        if endpoint.get("vpcEndpointType") == "Interface"
    )
    half = (len(services) + 1) // 2
    found = {
        spec.OUTSIDE: _Box(20, 160, 140, "Outside", ("every address,", "every principal")),
        API_DOOR: _Box(212, 152, 168, "API", (f"{methods} methods:", "authorizer or IAM,", "web ACL, TLS 1.2 or newer")),
        SESSIONS: _Box(212, 352, 168, "Session Manager", ("IAM, recorded",)),
        VPN_DOOR: _Box(212, 272, 168, "Client VPN", ("certificate or sign-in",)),
        spec.VPN: _Box(440, 266, 110, "VPN clients"),
        FUNCTIONS: _Box(440, 36, 190, f"{functions} functions", ("called by this API and this", "account's own services")),
        spec.LINK: _Box(440, 170, 110, "VPC link"),
        spec.BALANCER: _Box(600, 170, 120, "Load balancer", ("internal, HTTPS",)),
        spec.API: _Box(770, 170, 100, "API tasks"),
        spec.WORKER: _Box(770, 250, 100, "Workers"),
        spec.BASTION: _Box(440, 360, 110, "Bastion"),
        spec.ENDPOINTS: _Box(770, 360, 100, "Endpoints", ("policies",)),
        S3: _Box(960, 162, 180, "S3", ("buckets of this account,", "ECR's image layers (read)")),
        DYNAMODB: _Box(960, 244, 180, "DynamoDB", ("tables of this account",)),
        SERVICES: _Box(960, 345, 180, "AWS services", (", ".join(services[:half]), ", ".join(services[half:]))),
    }
    always = {spec.OUTSIDE, API_DOOR, FUNCTIONS, spec.ENDPOINTS, S3, DYNAMODB, SERVICES}
    there = names | always | {door for door, behind in _DOORS.items() if behind in names}
    return {name: box for name, box in found.items() if name in there}


_DOORS = {SESSIONS: spec.BASTION, VPN_DOOR: spec.VPN}

# How lines go that are not straight from the right side of one box to the left side of another.
_WAYS = {
    (spec.OUTSIDE, SESSIONS): "M90 222 V372 H212",
    (spec.OUTSIDE, VPN_DOOR): "M110 222 V290 H212",
    (spec.VPN, spec.BALANCER): "M550 278 H620 V216",
    (API_DOOR, FUNCTIONS): "M300 152 V64 H440",
    (spec.BASTION, spec.BALANCER): "M495 360 V290 H640 V216",
    (spec.BASTION, spec.ENDPOINTS): "M550 372 H770",
    (spec.BASTION, S3): "M520 390 V436 H908 V202 H960",
    (spec.API, spec.ENDPOINTS): "M790 200 V232 H750 V366 H770",
    (spec.WORKER, spec.ENDPOINTS): "M820 280 V360",
    (spec.API, DYNAMODB): "M870 190 H924 V258 H960",
    (spec.WORKER, S3): "M870 258 H916 V196 H960",
    (spec.WORKER, DYNAMODB): "M870 268 H960",
    (spec.ENDPOINTS, SERVICES): "M870 376 H960",
    (spec.API, S3): "M870 180 H960",
}


def _flows(flows: Flows, boxes: dict[str, _Box]) -> Iterator[tuple[str, str, str]]:
    """Who calls whom, and the port, as far as the export says; what is not meant has been refused before."""
    yield (spec.OUTSIDE, API_DOOR, "443")
    yield (API_DOOR, FUNCTIONS, "IAM")
    yield (API_DOOR, spec.LINK, "443")
    for door, behind in _DOORS.items():
        if door in boxes:
            yield from ((spec.OUTSIDE, door, ""), (door, behind, ""))
    for peer, node in sorted(flows.edges()):
        if (peer, node) in spec.FLOWS:
            yield peer, node, str(spec.FLOWS[peer, node])
    for node, services in spec.GATEWAYS.items():
        yield from ((node, service, "") for service in sorted(services) if node in boxes)
    yield (spec.ENDPOINTS, SERVICES, "443")


def _line(one: str, other: str, label: str, boxes: dict[str, _Box]) -> str:
    way = _WAYS.get((one, other))
    start, end = boxes[one], boxes[other]
    if way:
        return f'<path class="flow" d="{way}"/>'
    x, until = start.x + start.width, end.x
    y = max(start.y, end.y) + min(start.height, end.height) // 2
    text = f'<text class="small" x="{(x + until) // 2 - 12}" y="{y - 6}">{label}</text>' if label else ""
    return f'<path class="flow" d="M{x} {y} H{until}"/>{text}'


def draw(stack: Stack, assumed: Assumed) -> str:
    """The picture, the same for the same stack."""
    flows = Flows(stack, assumed, Solver())
    boxes = _boxes(stack, {node.name for node in flows.nodes})
    lines = [_line(one, other, label, boxes) for one, other, label in _flows(flows, boxes)]
    network = ", ".join(vpc.text("cidrBlock") for vpc in stack.of("ec2/vpc:Vpc"))
    frames = (
        '<rect class="frame" x="420" y="128" width="470" height="330" rx="8"/>'
        f'<text class="small" x="432" y="148">Network {network}: no route out, no public address, no way in but these</text>'
        '<rect class="frame" x="940" y="128" width="220" height="330" rx="8"/>'
        '<text class="small" x="952" y="148">AWS: this account, on both sides</text>'
    )
    barred = (
        '<path class="bar" d="M40 222 V500 H655 V458"/>'
        '<text class="no" x="120" y="494">✕ no rule, list entry, route or address lets anything in</text>'
        '<path class="bar" d="M830 458 V500 H1096"/>'
        '<text class="no" x="850" y="494">✕ nor out, to any other address</text>'
        '<path class="bar" d="M60 222 V530 H1130 V458"/>'
        '<text class="no" x="120" y="524">✕ no policy lets in who is not of this account, and none without TLS</text>'
    )
    title = f"What reaches what in the stack {stack.name}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="title">\n'
        f'<title id="title">{escape(title)}</title>\n<style>{_STYLE}</style>\n'
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0 L8 4 L0 8 z"/></marker></defs>\n'
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>\n{frames}\n{barred}\n'
        + "\n".join(box.draw() for box in boxes.values())
        + "\n"
        + "\n".join(lines)
        + "\n</svg>\n"
    )
