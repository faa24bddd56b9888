"""Which environment a command talks to, and where its description comes from.

``local`` is described by the file that ``make local`` writes. Every other environment is described by a file in the user's
configuration directory: the outputs of its stack, as ``pulumi stack output --json`` prints them.
"""

import json
import os
import shlex
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import Url

from operator_cli import APPLICATION
from operator_cli.errors import CliError
from operator_cli.vocabulary import EnvironmentName

LOCAL_STATE_VARIABLE = "HEARTMAP_LOCAL_STATE"


def _https(address: str) -> str:
    url = Url(address)
    if url.scheme != "https" or not url.host or url.username or url.query or url.fragment:
        raise ValueError("must be an https address")
    return address.rstrip("/")


HttpsAddress = Annotated[str, AfterValidator(_https)]


class LocalUser(BaseModel):
    """A user that ``make local`` created, with the random password it chose."""

    username: str
    password: str = Field(repr=False)


class Environment(BaseModel):
    """The addresses of one environment and the identity of its user pool."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: EnvironmentName
    api: HttpsAddress = Field(validation_alias=AliasChoices("api", "api_url"))
    issuer: str = Field(min_length=1)
    client_id: str = Field(min_length=1)
    authorize_url: HttpsAddress
    token_url: HttpsAddress
    ca_bundle: Path | None = None
    users: dict[str, LocalUser] = {}

    @property
    def is_local(self) -> bool:
        return self.name is EnvironmentName.LOCAL

    @property
    def revoke_url(self) -> str:
        """Cognito serves it beside the token endpoint.

        https://docs.aws.amazon.com/cognito/latest/developerguide/revocation-endpoint.html
        """
        return self.token_url.rpartition("/")[0] + "/revoke"

    @property
    def state_directory(self) -> Path:
        """Where sessions are kept: each local environment keeps its own, so that several of them do not mix."""
        if self.is_local:
            return local_state() / APPLICATION
        from platformdirs import user_state_path

        return user_state_path(APPLICATION, appauthor=False)

    def command(self, *words: str) -> str:
        """A heartmapctl command line to show to the user, for this environment."""
        return shlex.join([APPLICATION, *words, *([] if self.is_local else ["--environment", self.name])])


def local_state() -> Path:
    """The state directory of the local environment."""
    configured = os.environ.get(LOCAL_STATE_VARIABLE)
    return Path(configured) if configured else Path(__file__).parents[1] / ".local"


def description_file(name: EnvironmentName) -> Path:
    """The file that describes an environment."""
    if name is EnvironmentName.LOCAL:
        return local_state() / "environment.json"
    from platformdirs import user_config_path

    return user_config_path(APPLICATION, appauthor=False) / "environments" / f"{name}.json"


def _how_to_describe(name: EnvironmentName) -> str:
    if name is EnvironmentName.LOCAL:
        return f"Start it with: make local (or set {LOCAL_STATE_VARIABLE} to its state directory)"
    file = description_file(name)
    return (
        f"Ask whoever deployed it for its description, for the file {file}. With access to its stack, make it: "
        f"mkdir -p {shlex.quote(str(file.parent))} && pulumi stack output --json --stack {name} > {shlex.quote(str(file))}"
    )


def load(name: EnvironmentName) -> Environment:
    """Read the description of an environment.

    Raises CliError when there is none, or when it lacks a key or holds a wrong one; the message names the keys.
    """
    try:
        text = description_file(name).read_bytes()
    except FileNotFoundError:
        state = "is not running" if name is EnvironmentName.LOCAL else "is not known on this machine"
        raise CliError(f"The {name} environment {state}.", next_step=_how_to_describe(name)) from None
    except OSError as error:
        raise CliError(f"The description of the {name} environment cannot be read: {error.strerror}.") from None
    try:
        return Environment.model_validate(_with_name(text, name))
    except (ValidationError, ValueError) as error:
        keys = sorted({str(e["loc"][0]) for e in error.errors() if e["loc"]}) if isinstance(error, ValidationError) else []
        fault = f"lacks or misstates {', '.join(keys)}" if keys else "is not a JSON object"
        raise CliError(f"The description of the {name} environment {fault}.", next_step=_how_to_describe(name)) from None


def _with_name(text: bytes, name: EnvironmentName) -> object:
    document = json.loads(text)
    return {**document, "name": name} if isinstance(document, dict) else document
