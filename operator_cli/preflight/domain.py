"""Whether the hosted zone is the one that the world asks for the domain, and lets certificates be issued."""

from collections.abc import Iterator
from typing import Any

from operator_cli.preflight.place import Line, Place, State, code_of
from operator_cli.preflight.registry import check

# Whom ACM names as issuer in a CAA record: https://docs.aws.amazon.com/acm/latest/userguide/setup-caa.html
ISSUERS = {"amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com"}


def _line(state: State, detail: str, next_step: str | None = None) -> Line:
    return Line(name="domain", state=state, detail=detail, next_step=next_step)


@check("domain")
def domain(place: Place) -> Iterator[Line]:
    """The zone in the account, its delegation by the parent, and CAA records."""
    from botocore.exceptions import ClientError

    settings = place.settings
    if not settings.domain:
        yield _line("pass", "none: the API answers under its execute-api address")
        return
    try:
        found = place.client("route53").get_hosted_zone(Id=settings.hosted_zone_id)
    except ClientError as error:
        if code_of(error) not in ("NoSuchHostedZone", "InvalidInput"):
            raise
        look = f"aws route53 list-hosted-zones-by-name --dns-name {settings.hosted_zone_name or settings.domain}"
        yield _line(
            "fail", f"this account has no hosted zone {settings.hosted_zone_id}", f"Set heartmap:hosted_zone_id. Look: {look}"
        )
        return
    name = found["HostedZone"]["Name"].rstrip(".").lower()
    if found["HostedZone"]["Config"].get("PrivateZone"):
        yield _line("fail", f"the zone {name} is private: certificates are proved in a public one", "Name a public hosted zone.")
    elif settings.domain != name and not settings.domain.endswith(f".{name}"):
        yield _line(
            "fail", f"the zone {settings.hosted_zone_id} is {name}, which does not hold {settings.domain}", "Name its zone."
        )
    else:
        servers = {server.rstrip(".").lower() for server in found["DelegationSet"]["NameServers"]}
        delegation = _delegation(place.resolver, name, servers)
        yield delegation
        if delegation.state == "pass":
            yield _issuers(place.resolver, settings.domain)


def _delegation(resolver: Any, zone: str, servers: set[str]) -> Line:
    """Asks DNS as a browser would: the answer comes from whom the parent names."""
    import dns.exception
    import dns.resolver

    tell = f"At the registrar or in the parent zone, name these servers for {zone}: {', '.join(sorted(servers))}"
    try:
        named = {str(record.target).rstrip(".").lower() for record in resolver.resolve(f"{zone}.", "NS")}
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return _line("fail", f"nobody is delegated {zone}: DNS has no name servers for it", tell)
    except dns.exception.DNSException:
        return _line("warn", "this machine's DNS did not answer, so the delegation was not looked at", f"Look: dig NS {zone}")
    if named & servers != servers:
        return _line("fail", f"{zone} is delegated to {', '.join(sorted(named))}, not to this hosted zone", tell)
    return _line("pass", f"{zone} is public and delegated to its {len(servers)} name servers")


def _issuers(resolver: Any, host: str) -> Line:
    """The nearest CAA records above the host decide (RFC 8659, section 3)."""
    import dns.exception
    import dns.resolver

    labels = host.split(".")
    for name in (".".join(labels[at:]) for at in range(len(labels))):
        try:
            records = resolver.resolve(f"{name}.", "CAA")
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            continue
        except dns.exception.DNSException:
            step = f"Look: dig CAA {name}"
            return _line("warn", "this machine's DNS did not answer, so the CAA records were not looked at", step)
        issuers = {record.value.decode("ascii", "replace").split(";")[0].strip() for record in records if record.tag == b"issue"}
        if issuers and not issuers & ISSUERS:
            return _line(
                "fail", f"the CAA records of {name} forbid certificates of ACM", f'Add to {name}: CAA 0 issue "amazon.com"'
            )
        return _line("pass", f"the CAA records of {name} let ACM issue certificates")
    return _line("pass", "no CAA record limits who issues certificates")
