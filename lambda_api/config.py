"""What every function behind the API is told by its environment variables, by the rules of ``lambda_authorizer.environment``.

==========================  ============================================================================================
HEARTMAP_ENVIRONMENT        local, dev or prod
HEARTMAP_SECRETS            the ARN of the authorizer's secret: the pepper of the keys' digests, and the assertions' keys
AWS_REGION                  set by Lambda
AWS_ENDPOINT_URL            stands in for AWS's own addresses; honoured only in local, which never calls AWS itself
==========================  ============================================================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lambda_authorizer import environment as variables
from lambda_authorizer.aws import Aws
from lambda_authorizer.environment import LOCAL


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What a function starts with. Its own module adds to it."""

    environment: str
    secret_arn: str
    region: str
    endpoint: str | None

    def aws(self) -> Aws:
        """The AWS that the function talks to."""
        return Aws(endpoint=self.endpoint, own_addresses=self.environment != LOCAL)


def common(environ: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of every Configuration. Raises ConfigurationError."""
    return {
        "environment": variables.environment(environ),
        "secret_arn": variables.required(environ, "HEARTMAP_SECRETS", variables.SECRET_ARN),
        "region": variables.required(environ, "AWS_REGION", variables.REGION),
        "endpoint": variables.endpoint(environ),
    }
