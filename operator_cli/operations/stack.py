"""A deployed stack, as its outputs describe it, and clients of the AWS it is in.

The outputs are in the file that describes the environment to heartmapctl: all of ``pulumi stack output --json``. The local
environment's are beside it. The credentials are those of the AWS command line.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from operator_cli.environments import description_file, local_state
from operator_cli.errors import CliError
from operator_cli.vocabulary import EnvironmentName

if TYPE_CHECKING:
    import boto3

TABLES = {"jobs": "jobs_table", "config": "config_table", "api-keys": "api_keys_table", "key-use": "key_use_table"}
"""The tables, by what a backup calls them, and the outputs that name them."""
BUCKETS = {"uploads": "uploads_bucket", "results": "results_bucket"}
KEYS = ("data", "secrets", "logs")
"""The keys of KMS, by what their aliases end with."""


@dataclass(frozen=True)
class Stack:
    """One stack. ``endpoint`` is the address of an emulated AWS, None for AWS itself."""

    name: str
    outputs: Mapping[str, Any]
    endpoint: str | None = None

    @cached_property
    def _session(self) -> "boto3.Session":
        import boto3

        if self.endpoint is None:
            return boto3.Session(region_name=self.output("region"))
        return boto3.Session("local", "local", region_name=self.output("region"))

    def client(self, service: str) -> Any:
        """A boto3 client. Raises CliError where there are no credentials."""
        if self._session.get_credentials() is None:
            raise CliError(
                "There are no AWS credentials here.", next_step="Sign in to AWS as whoever deploys does: aws sso login"
            )
        return self._session.client(service, endpoint_url=self.endpoint)  # pyright: ignore[reportCallIssue, reportArgumentType]

    def output(self, name: str) -> str:
        """An output that has to be there. Raises CliError."""
        value = self.outputs.get(name)
        if not isinstance(value, str) or not value:
            raise CliError(
                f"The description of the {self.name} environment lacks {name}.",
                next_step=f"Make it anew: pulumi stack output --json --stack {self.name}",
            )
        return value

    @property
    def prefix(self) -> str:
        """What every name begins with."""
        return f"heartmap-{self.name}"

    @property
    def secret(self) -> str:
        """The name of the authorizer's secret."""
        return f"{self.prefix}/authorizer"

    @property
    def parameter(self) -> str:
        """The name of the parameter that the service verifies assertions by."""
        return f"/{self.prefix}/assertion-keys"

    def key_alias(self, purpose: str) -> str:
        """The alias of a key of KMS."""
        return f"alias/{self.prefix}-{purpose}"

    @property
    def workplace(self) -> str:
        """The bucket in which DynamoDB puts down an export before it is fetched: that of the functions' code."""
        return self.output("results_bucket").replace(f"{self.prefix}-results-", f"{self.prefix}-artifacts-", 1)


def load(name: EnvironmentName) -> Stack:
    """The stack of an environment. Raises CliError for one that is not described here."""
    from operator_cli.environments import load as described

    described(name)
    content = _read(description_file(name))
    if name is not EnvironmentName.LOCAL:
        return Stack(name, content)
    return Stack(name, _read(local_state() / "outputs.json"), content.get("aws_endpoint"))


def _read(file: Any) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        raise CliError(f"{file.name} cannot be read.", next_step="Make the description of the environment anew.") from None
