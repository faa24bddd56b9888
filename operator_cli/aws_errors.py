"""AWS's refusals, and failures to reach it, in the words of this program."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, HTTPClientError, ParamValidationError

from operator_cli.errors import CliError

OPERATORS_POLICY = "An administrator can attach the stack's policy to it: pulumi stack output operator_policy_arn"


@contextmanager
def in_words(who_may: str = OPERATORS_POLICY) -> Iterator[None]:
    """Raises CliError for what botocore raises. ``who_may`` is the next step of an identity that may not do it."""
    try:
        yield
    except ClientError as error:
        raise _refused(error, who_may) from None
    except (EndpointConnectionError, HTTPClientError):
        raise CliError("AWS cannot be reached.", code="aws_unreachable", next_step="Check the network, VPN and proxy.") from None
    except ParamValidationError:
        raise CliError("The description of the environment is wrong.", next_step="Save the stack's outputs anew.") from None
    except BotoCoreError:
        # What is left: there are no credentials, or no such profile, or the SSO session has ended.
        raise CliError(
            "There are no AWS credentials to use on this machine.",
            code="no_aws_credentials",
            next_step="Sign in to AWS (aws sso login), or name a profile in AWS_PROFILE.",
        ) from None


def code_of(error: ClientError) -> str:
    """What AWS calls the refusal."""
    return error.response.get("Error", {}).get("Code", "")


def _refused(error: ClientError, who_may: str) -> CliError:
    code, request_id = code_of(error), error.response.get("ResponseMetadata", {}).get("RequestId")
    if "Expired" in code:
        return CliError(
            "The AWS credentials have expired.",
            code="aws_credentials_expired",
            request_id=request_id,
            next_step="Sign in to AWS again: aws sso login",
        )
    if code in ("InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure"):
        return CliError(
            "AWS does not accept these credentials.",
            code="aws_credentials_refused",
            request_id=request_id,
            next_step="Check AWS_PROFILE and this machine's clock.",
        )
    if code.startswith(("AccessDenied", "UnauthorizedOperation")):
        return CliError(
            f"This AWS identity may not do this: {error.operation_name}.",
            code="aws_access_denied",
            request_id=request_id,
            next_step=who_may,
        )
    return CliError(
        f"AWS refused this: {error.operation_name} ({code}).",
        code="aws_refused",
        request_id=request_id,
        next_step="Try again in a minute.",
    )
