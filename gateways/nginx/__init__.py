"""nginx, of Debian 12 (1.22) or newer: one file for ``conf.d``."""

from gateways.model import Gateway
from gateways.templates import environment


def files(gateway: Gateway) -> dict[str, str]:
    """``heartmap.conf``, which stands inside ``http``."""
    return {"heartmap.conf": environment("nginx").get_template("heartmap.conf.j2").render(gateway=gateway)}
