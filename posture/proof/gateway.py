"""The one door: every way to the API has the web ACL, TLS and an authorizer, and leads to the stack's own answers."""

from collections.abc import Iterator, Mapping

from posture.proof import specification as spec
from posture.proof.exported import Resource, Stack
from posture.proof.findings import Counterexample
from posture.proof.paths import API_DOOR

# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-security-policies-list.html
_TLS_POLICIES = ("TLS_1_2", "SecurityPolicy_TLS13_")
_PATH = (spec.OUTSIDE, "API")


def stages_have_the_web_acl(stack: Stack) -> Iterator[Counterexample]:
    """Every stage of the API, and the user pool, is behind a web ACL of the stack that lets nobody skip its rules."""
    acls = {acl.arn: acl for acl in stack.of("wafv2/webAcl:WebAcl")}
    guarded = {
        one.get("resourceArn") for one in stack.of("wafv2/webAclAssociation:WebAclAssociation") if one.get("webAclArn") in acls
    }
    for resource in [*stack.of("apigateway/stage:Stage"), *stack.of("cognito/userPool:UserPool")]:
        if resource.arn not in guarded:
            yield Counterexample(
                "entry", resource.title, "no web ACL of the stack stands before it", (spec.OUTSIDE, resource.title)
            )
    for acl in acls.values():
        if not acl.list("rules"):
            yield Counterexample("entry", acl.title, "it has no rules", _PATH)
        for rule in acl.list("rules"):
            if (rule.get("action") or {}).get("allow") is not None:
                what = f"its rule {rule.get('name')} allows, so that what it fits meets no further rule"
                yield Counterexample("entry", acl.title, what, _PATH)


def every_way_has_tls(stack: Stack) -> Iterator[Counterexample]:
    """The API's names speak TLS 1.2 or newer, the load balancer HTTPS alone, and so do its targets."""
    for door in [*stack.of("apigateway/restApi:RestApi"), *stack.of("apigateway/domainName:DomainName")]:
        if not str(door.get("securityPolicy") or "").startswith(_TLS_POLICIES):
            yield Counterexample("entry", door.title, "it accepts TLS older than 1.2", _PATH)
    for type_ in ("lb/listener:Listener", "lb/targetGroup:TargetGroup"):
        for one in stack.of(type_):
            if one.get("protocol") != "HTTPS":
                what = f"it speaks {one.get('protocol')} on port {one.get('port')}, not HTTPS"
                yield Counterexample("entry", one.title, what, (spec.OUTSIDE, API_DOOR, spec.LINK, spec.BALANCER))


def names_lead_to_a_stage(stack: Stack) -> Iterator[Counterexample]:
    """A domain name leads to a stage that is in the export, and so behind the web ACL."""
    stages = {(stage.get("restApi"), stage.get("stageName")) for stage in stack.of("apigateway/stage:Stage")}
    for mapping in stack.of("apigateway/basePathMapping:BasePathMapping"):
        if (mapping.get("restApi"), mapping.get("stageName")) not in stages:
            yield Counterexample("entry", mapping.title, "it leads to a stage that is not in the export", _PATH)


def _answers(stack: Stack, values: Mapping[str, object]) -> str:
    """What is wrong with who answers a method; empty when nothing is."""
    functions = {function.get("invokeArn") for function in stack.of("lambda/function:Function")}
    balancers = {balancer.arn for balancer in stack.of("lb/loadBalancer:LoadBalancer")}
    links = {link.id for link in stack.of("apigatewayv2/vpcLink:VpcLink")}
    if values.get("type") == "AWS_PROXY":
        return "" if values.get("uri") in functions else "a function that is not of the stack answers"
    if values.get("type") not in ("HTTP_PROXY", "HTTP"):
        return f"the proof does not know answers of the type {values.get('type')}"
    if values.get("connectionType") != "VPC_LINK" or values.get("connectionId") not in links:
        return "it is answered over the internet, and not through the VPC link"
    if values.get("integrationTarget") not in balancers:
        return "a load balancer that is not of the stack answers"
    return "" if str(values.get("uri")).startswith("https://") else "the load balancer is called without TLS"


def the_stack_answers(stack: Stack) -> Iterator[Counterexample]:
    """A method is answered by the load balancer through the VPC link, over TLS, or by a function of the stack."""
    for integration in stack.of("apigateway/integration:Integration"):
        problem = _answers(stack, integration.values)
        if problem:
            yield Counterexample("entry", integration.title, problem, (spec.OUTSIDE, API_DOOR, integration.title))


def route_of(stack: Stack, method: Resource) -> str:
    """The path that a method answers, for people."""
    resource, parts = stack.one("apigateway/resource:Resource", "id", method.text("resourceId")), []
    while resource is not None:
        parts.append(resource.text("pathPart"))
        resource = stack.one("apigateway/resource:Resource", "id", resource.text("parentId"))
    return "/" + "/".join(reversed(parts))


def every_method_is_authorized(stack: Stack) -> Iterator[Counterexample]:
    """Every method asks an authorizer that is a function of the stack and is asked anew each time, or IAM."""
    functions = {function.get("invokeArn") for function in stack.of("lambda/function:Function")}
    fit = {
        authorizer.id: authorizer.get("restApi")
        for authorizer in stack.of("apigateway/authorizer:Authorizer")
        if authorizer.get("type") == "REQUEST"
        and authorizer.get("authorizerUri") in functions
        and authorizer.get("authorizerResultTtlInSeconds") == 0
    }
    for method in stack.of("apigateway/method:Method"):
        authorization = method.get("authorization")
        if authorization == "AWS_IAM" or (
            authorization == "CUSTOM" and fit.get(method.get("authorizerId")) == method.text("restApi")
        ):
            continue
        call = f"{method.get('httpMethod')} {route_of(stack, method)}"
        what = f"{call} is authorised by {authorization}, and by no authorizer of the stack that is asked each time"
        yield Counterexample("methods", method.title, what, (spec.OUTSIDE, "API", call))


def check(stack: Stack) -> Iterator[Counterexample]:
    """The door, and its methods."""
    yield from stages_have_the_web_acl(stack)
    yield from every_way_has_tls(stack)
    yield from names_lead_to_a_stage(stack)
    yield from the_stack_answers(stack)
    yield from every_method_is_authorized(stack)
