"""The people of the user pool: who they are and what they may do. No password and no second factor can be read, or is."""

from collections.abc import Iterator
from typing import Any

NOT_OURS = frozenset({"sub", "identities", "cognito:user_status"})
"""Attributes that Cognito alone writes."""
EXTERNAL = "EXTERNAL_PROVIDER"


def exported(cognito: Any, pool: str) -> list[dict[str, Any]]:
    """Everybody, with attributes and groups."""
    groups: dict[str, list[str]] = {}
    for group in _pages(cognito, "list_groups", "Groups", UserPoolId=pool):
        for user in _pages(cognito, "list_users_in_group", "Users", UserPoolId=pool, GroupName=group["GroupName"]):
            groups.setdefault(user["Username"], []).append(group["GroupName"])
    return [
        {
            "username": user["Username"],
            "attributes": {each["Name"]: each.get("Value", "") for each in user.get("Attributes", [])},
            "enabled": user["Enabled"],
            "status": user["UserStatus"],
            "groups": sorted(groups.get(user["Username"], [])),
        }
        for user in _pages(cognito, "list_users", "Users", UserPoolId=pool)
    ]


def _pages(cognito: Any, operation: str, items: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    for page in cognito.get_paginator(operation).paginate(**parameters):
        yield from page[items]


def invited(cognito: Any, pool: str, people: list[dict[str, Any]]) -> tuple[dict[str, str], list[str]]:
    """Make everybody who is not there, with their groups; they get a temporary password by e-mail, as new people do.

    Returns the subjects that people had and those that they have now, and who cannot be made: those of another identity provider,
    who are made when they sign in.
    """
    subjects: dict[str, str] = {}
    left: list[str] = []
    for person in people:
        if person["status"] == EXTERNAL:
            left.append(person["username"])
            continue
        now = _subject(cognito, pool, person) or _made(cognito, pool, person)
        subjects[person["attributes"]["sub"]] = now
    return subjects, left


def _subject(cognito: Any, pool: str, person: dict[str, Any]) -> str | None:
    """The subject of somebody who is there; None where there is nobody of this name."""
    try:
        found = cognito.admin_get_user(UserPoolId=pool, Username=person["username"])
    except cognito.exceptions.UserNotFoundException:
        return None
    return next(each["Value"] for each in found["UserAttributes"] if each["Name"] == "sub")


def _made(cognito: Any, pool: str, person: dict[str, Any]) -> str:
    kept = [{"Name": name, "Value": value} for name, value in person["attributes"].items() if name not in NOT_OURS]
    # Whoever was kept out is not written to.
    delivery = {"DesiredDeliveryMediums": ["EMAIL"]} if person["enabled"] else {"MessageAction": "SUPPRESS"}
    made = cognito.admin_create_user(UserPoolId=pool, Username=person["username"], UserAttributes=kept, **delivery)
    name = made["User"]["Username"]
    for group in person["groups"]:
        cognito.admin_add_user_to_group(UserPoolId=pool, Username=name, GroupName=group)
    if not person["enabled"]:
        cognito.admin_disable_user(UserPoolId=pool, Username=name)
    return next(each["Value"] for each in made["User"]["Attributes"] if each["Name"] == "sub")
