"""The configuration of the pipelines: what it is, who changed it, and how it comes back."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from operator_cli.answers import Configuration, ConfigVersion, ConfigVersions, FieldChange
from operator_cli.api import Api
from operator_cli.errors import CliError, WrongUse
from operator_cli.pages import pages

_TAG = re.compile(r'"[!-~]{1,64}"')


class Seen(NamedTuple):
    """The configuration as it was seen, and what a change that rests on it carries."""

    current: Configuration
    headers: dict[str, str]


def see(api: Api) -> Seen:
    """Raises CliError when the service does not show it."""
    answer = api.require("GET", "/config")
    tag = answer.headers.get("etag", "")
    headers = {"If-Match": tag} if _TAG.fullmatch(tag) else {}
    return Seen(api.understood(answer, Configuration), headers)


def history(api: Api, limit: int) -> list[ConfigVersion]:
    """The newest changes."""
    return pages(api, "/config/versions", ConfigVersions, lambda page: page.versions, limit)


def changes(seen: Seen, values: Mapping[str, Any]) -> list[FieldChange]:
    """What these values would change, in the order of their names. Raises WrongUse for a name that the configuration lacks."""
    known = seen.current.config
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise WrongUse(f"The configuration has no {', '.join(unknown)}.", next_step=f"It has: {', '.join(known)}")
    differing = [name for name in sorted(values) if known[name] != values[name]]
    return [FieldChange.model_validate({"field": name, "from": known[name], "to": values[name]}) for name in differing]


def require_version(seen: Seen, version: int | None) -> None:
    """Raises CliError when the configuration is at another version than the caller has looked at."""
    if version is not None and seen.current.version != version:
        raise CliError(
            f"The configuration is at version {seen.current.version}, not {version}: nothing was changed.", code="config_changed"
        )


def change(api: Api, seen: Seen, wanted: list[FieldChange]) -> Configuration:
    """Change what was seen. Raises CliError, also when somebody changed it meanwhile."""
    return api.call("POST", "/config", Configuration, {each.field: each.after for each in wanted}, headers=seen.headers)


def restore(api: Api, version: int) -> Configuration:
    """Bring the values of a version back, as a version of their own. Raises CliError, also when somebody changed it meanwhile."""
    return api.call("POST", "/config", Configuration, {"restore_version": version}, headers=see(api).headers)
