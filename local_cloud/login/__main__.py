"""Serves the login: ``python -m local_cloud.login --state DIR --port 8444``."""

import argparse
import asyncio
import sys
from pathlib import Path

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from local_cloud import deployed, serving
from local_cloud.edge import waf
from local_cloud.edge.interpret import Uninterpretable
from local_cloud.login.app import Login
from local_cloud.login.pool import Pool, PoolUnusable

_log = structlog.get_logger()


async def serve(state: Path, port: int) -> None:
    """Serves until SIGTERM or SIGINT. Raises NotDeployed, PoolUnusable, Uninterpretable or PortTaken."""
    with serving.listen(port) as listener:
        outputs = deployed.outputs(state)
        pool_id, client_id, issuer = (deployed.output(outputs, name) for name in ("user_pool_id", "client_id", "issuer"))
        pool = Pool(deployed.client("cognito-idp"), pool_id, client_id, outputs.get("program_client_id") or "")
        await asyncio.to_thread(pool.check)
        web_acl = await asyncio.to_thread(lambda: waf.read(pool.arn(), deployed.client("wafv2"), waf.COGNITO))
        login = Login(pool, issuer, listener.getsockname()[1], web_acl)
        await serving.serve("login", login.application(), listener, state / "tls")


def main(arguments: list[str] | None = None) -> int:
    """Runs the login; 1 with a sentence on standard error when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m local_cloud.login", description="The local stand-in for Cognito's login.")
    parser.add_argument("--state", type=Path, required=True, help="directory with the stack's outputs.json")
    parser.add_argument("--port", type=int, default=8444, help="port on the loopback (8444)")
    options = parser.parse_args(arguments)
    serving.log_as_json()
    try:
        asyncio.run(serve(options.state.absolute(), options.port))
    except (deployed.NotDeployed, PoolUnusable, Uninterpretable, serving.PortTaken) as error:
        sys.stderr.write(f"The login does not start. {error}\n")
    except (BotoCoreError, ClientError):
        _log.exception("reading the deployed user pool failed")
        sys.stderr.write("The login does not start. The emulated AWS does not answer. Run make local.\n")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
