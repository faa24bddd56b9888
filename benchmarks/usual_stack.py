"""The authorizer that one usually sees, to compare with: Powertools for its event and its log, PyJWT for the token.

It checks what a careful author of one would, which is less than this project's does. Its key set comes from a file, so that no
network is measured.
"""

import json
import os
from pathlib import Path
from typing import Any

import jwt
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes.api_gateway_authorizer_event import (
    APIGatewayAuthorizerRequestEvent,
    APIGatewayAuthorizerResponse,
)


class KeysInFile(jwt.PyJWKClient):
    """PyJWT's client, caches included, but for where the document comes from."""

    def fetch_data(self) -> Any:
        """The document."""
        document = json.loads(Path(os.environ["HEARTMAP_JWKS_FILE"]).read_bytes())
        if self.jwk_set_cache is not None:
            self.jwk_set_cache.put(document)
        return document


logger = Logger(service="authorizer", level="INFO")
keys = KeysInFile("https://example.org/jwks.json", cache_keys=True)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001  # the signature is Lambda's
    """Decide on a REST API REQUEST authorizer event."""
    request = APIGatewayAuthorizerRequestEvent(event)
    credential = request.headers["Authorization"].removeprefix("Bearer ")
    try:
        claims = jwt.decode(
            credential,
            keys.get_signing_key_from_jwt(credential).key,
            algorithms=["RS256"],
            issuer=os.environ["HEARTMAP_ISSUERS"],
            options={"require": ["exp", "iat", "sub"]},
        )
    except jwt.PyJWTError:
        logger.warning("refused")
        raise Exception("Unauthorized") from None  # noqa: TRY002  # the text is API Gateway's
    allowed = (
        claims.get("token_use") == "access"
        and claims.get("client_id") == os.environ["HEARTMAP_CLIENT_IDS"]
        and "analyst" in claims.get("cognito:groups", [])
    )
    arn = request.parsed_arn
    response = APIGatewayAuthorizerResponse(
        principal_id=claims["sub"],
        region=arn.region,
        aws_account_id=arn.aws_account_id,
        api_id=arn.api_id,
        stage=arn.stage,
        context={"sub": claims["sub"]},
    )
    if allowed:
        response.allow_route(http_method=request.http_method, resource=request.resource)
    else:
        response.deny_all_routes()
    logger.info("decided", extra={"allowed": allowed, "sub": claims["sub"], "request_id": request.request_context.request_id})
    return response.asdict()
