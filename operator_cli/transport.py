"""HTTP clients: how certificates are checked, how long to wait, what to say when nothing answers."""

import ssl

import httpx

from operator_cli.environments import Environment
from operator_cli.errors import CliError

# A read may take as long as API Gateway lets an integration take (29 s); a data set is written in blocks, each within the limit.
TIMEOUT = httpx.Timeout(35, connect=10, write=60)
USER_AGENT = "heartmapctl"


def client(environment: Environment) -> httpx.Client:
    """A client for the API and the sign-in pages. Certificates are always checked, redirects are never followed.

    With a `ca_bundle` only that authority is trusted. Proxies of the surroundings are used for what is not on this machine.
    """
    return httpx.Client(
        verify=_trust(environment),
        timeout=TIMEOUT,
        follow_redirects=False,
        trust_env=not environment.is_local,
        headers={"User-Agent": USER_AGENT},
    )


def async_client(environment: Environment) -> httpx.AsyncClient:
    """As `client`, for a program that serves while it waits."""
    return httpx.AsyncClient(
        verify=_trust(environment),
        timeout=TIMEOUT,
        follow_redirects=False,
        trust_env=not environment.is_local,
        headers={"User-Agent": USER_AGENT},
    )


def async_storage_client(environment: Environment) -> httpx.AsyncClient:
    """As `storage_client`, for a program that serves while it waits."""
    return httpx.AsyncClient(
        timeout=TIMEOUT, follow_redirects=False, trust_env=not environment.is_local, headers={"User-Agent": USER_AGENT}
    )


def storage_client(environment: Environment) -> httpx.Client:
    """A client for presigned addresses: it never carries a credential, and trusts the public authorities."""
    return httpx.Client(
        timeout=TIMEOUT, follow_redirects=False, trust_env=not environment.is_local, headers={"User-Agent": USER_AGENT}
    )


def _trust(environment: Environment) -> ssl.SSLContext:
    if environment.ca_bundle is None:
        return httpx.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=environment.ca_bundle)
    except (OSError, ssl.SSLError):
        raise CliError(
            f"The certificate authority of the {environment.name} environment cannot be read.",
            next_step="Check ca_bundle in its description, or start it again.",
        ) from None


def unreachable(environment: Environment, url: str | httpx.URL, error: httpx.HTTPError) -> CliError:
    """What to tell when a request had no answer."""
    host = httpx.URL(url).netloc.decode()
    if is_distrust(error):
        return CliError(
            f"The certificate of {host} is not trusted: nothing was sent.",
            next_step="Check the environment's ca_bundle, this machine's clock, and whether a proxy stands in between.",
        )
    if isinstance(error, httpx.TimeoutException):
        return CliError(f"{host} did not answer in time.", next_step="Try again.")
    hint = "Is the local environment running? Start it with: make local" if environment.is_local else "Check the network and VPN."
    return CliError(f"{host} cannot be reached.", next_step=hint)


def is_distrust(error: BaseException | None) -> bool:
    """Whether a request failed because the other side's certificate is not trusted."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
