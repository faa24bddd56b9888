"""The configuration of the pipelines: who changed it, and how it comes back."""

import re

from pydantic import BaseModel, ConfigDict

from operator_cli.answers import ConfigVersion, ConfigVersions
from operator_cli.api import Api
from operator_cli.pages import pages


class Current(BaseModel):
    """The configuration as it stands."""

    model_config = ConfigDict(extra="allow")

    version: int


def history(api: Api, limit: int) -> list[ConfigVersion]:
    """The newest changes."""
    return pages(api, "/config/versions", ConfigVersions, lambda page: page.versions, limit)


def restore(api: Api, version: int) -> Current:
    """Bring the values of a version back, as a version of their own. Raises CliError, also when somebody changed it meanwhile."""
    shown = api.require("GET", "/config")
    tag = shown.headers.get("etag", "")
    headers = {"If-Match": tag} if re.fullmatch(r'"[!-~]{1,64}"', tag) else {}
    return api.call("POST", "/config", Current, {"restore_version": version}, headers=headers)
