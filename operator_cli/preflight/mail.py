"""Whether Cognito's e-mail reaches people."""

from collections.abc import Iterator

from operator_cli.preflight.place import Line, Place, code_of
from operator_cli.preflight.registry import check


@check("e-mail")
def mail(place: Place) -> Iterator[Line]:
    """The state of SES, where the plan has a sender of its own."""
    senders = place.names("ses/domainIdentity:DomainIdentity", "domain")
    if not senders:
        yield Line(name="e-mail", state="pass", detail="by Cognito's own sender, at most 50 messages a day")
        return
    account = place.client("sesv2").get_account()
    if not account.get("SendingEnabled", True) or account.get("EnforcementStatus", "HEALTHY") == "SHUTDOWN":
        detail, step = "SES does not let this account send", "See what AWS wrote: aws sesv2 get-account"
        yield Line(name="e-mail", state="fail", detail=detail, next_step=step)
    elif not account.get("ProductionAccessEnabled"):
        yield Line(
            name="e-mail",
            state="warn",
            detail=f"SES is in its sandbox in {place.settings.region}: warnings about sign-ins reach proved addresses only",
            next_step="Ask AWS to lift it: aws sesv2 put-account-details --production-access-enabled ...",
        )
    else:
        yield Line(name="e-mail", state="pass", detail=f"SES sends from {', '.join(senders)} to everybody")
    if not place.deployed:
        yield from _taken(place, senders)


def _taken(place: Place, senders: list[str]) -> Iterator[Line]:
    from botocore.exceptions import ClientError

    for sender in senders:
        try:
            place.client("sesv2").get_email_identity(EmailIdentity=sender)
        except ClientError as error:
            if code_of(error) != "NotFoundException":
                raise
            continue
        yield Line(
            name="e-mail",
            state="warn",
            detail=f"the identity {sender} is in SES already: the stack takes it over, and removes it when it is torn down",
            next_step="If somebody else sends by it, choose another domain.",
        )
