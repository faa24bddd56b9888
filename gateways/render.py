"""Renders a gateway's configuration: file names to texts, the same for the same input."""

from collections.abc import Callable, Mapping

from gateways import apache, azure_apim, kong, nginx, traefik
from gateways.model import Gateway, GatewayError

Renderer = Callable[[Gateway], dict[str, str]]

# Each kind of gateway, by the name that the verb takes.
KINDS: Mapping[str, Renderer] = {
    "apache": apache.files,
    "azure-apim": azure_apim.files,
    "kong": kong.files,
    "nginx": nginx.files,
    "traefik": traefik.files,
}


def render(kind: str, gateway: Gateway) -> dict[str, str]:
    """The files of a kind. Raises GatewayError for an unknown kind and for what the kind cannot express."""
    if kind not in KINDS:
        raise GatewayError(f"There is no gateway {kind}: it is one of {', '.join(KINDS)}.")
    made = KINDS[kind](gateway)
    return {name: text.rstrip("\n") + "\n" for name, text in sorted(made.items())}
