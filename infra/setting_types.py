"""The types that settings are made of: what a single value may be, whatever the other values are."""

import json
import re
from datetime import time
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, NamedTuple
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from lambda_authorizer.access_policy import GROUPS, SCOPES

MIB, GIB = 1024**2, 1024**3

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RETENTION_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)

# CPU units -> memory in MiB: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
FARGATE_MEMORY: dict[int, tuple[int, ...]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
}

# The regions of the partition `aws` with Cognito, WAF, GuardDuty, API Gateway and Fargate (endpoint data of botocore 1.44).
REGIONS = (
    "af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2",
    "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7",
    "ca-central-1", "ca-west-1", "eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1",
    "eu-west-2", "eu-west-3", "il-central-1", "me-central-1", "me-south-1", "mx-central-1", "sa-east-1", "us-east-1", "us-east-2",
    "us-west-1", "us-west-2",
)  # fmt: skip

# Each is named in policies, whose length has a limit.
IMPORT_BUCKETS = 20
BREAK_GLASS_USERS = 5

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


class Environment(StrEnum):
    """The environments, each a stack of the same name. ``local`` is an emulated AWS on one machine, not an AWS account."""

    LOCAL = "local"
    DEV = "dev"
    PROD = "prod"


class Mfa(StrEnum):
    """Whether people need a second factor. ``optional`` lets each person choose: it does not protect who did not."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    OFF = "off"


class ThreatProtection(StrEnum):
    """What Cognito does about risky sign-ins and leaked passwords. ``audit`` writes them down and stops nobody."""

    OFF = "off"
    AUDIT = "audit"
    ENFORCED = "enforced"


class Federation(StrEnum):
    """Whose sign-in people may use besides the user pool's own."""

    NONE = "none"
    OIDC = "oidc"
    SAML = "saml"


class Vpn(StrEnum):
    """How people prove who they are to the AWS Client VPN endpoint. ``off`` makes none."""

    OFF = "off"
    CERTIFICATE = "certificate"
    FEDERATED = "federated"


class WafMode(StrEnum):
    """What the managed rule groups do. ``count`` is to start with: ranges and rates are enforced in both."""

    BLOCK = "block"
    COUNT = "count"


class AnonymousNetworks(StrEnum):
    """What meets a request from a proxy, a Tor exit or a hosting provider. A program cannot pass a challenge, a browser can."""

    ALLOW = "allow"
    CHALLENGE = "challenge"
    BLOCK = "block"


class LogLevel(StrEnum):
    """How much the tasks log. ``DEBUG`` may write down what people sent."""

    INFO = "INFO"
    DEBUG = "DEBUG"


class WorkingHours(NamedTuple):
    """The hours of the day, on the days of the week (``MON-FRI``), in which something runs."""

    days: str
    start: time
    stop: time

    @property
    def each_day(self) -> str:
        """The days one by one: in some cron expressions a week begins on Sunday, and a range to Sunday would run backwards."""
        first, last = map(DAYS.index, self.days.split("-"))
        return ",".join(DAYS[first : last + 1])


def rule(text: str) -> PydanticCustomError:
    """What a value must be, to be raised by a validator. The text continues "<key> is <value>: it ..."."""
    return PydanticCustomError("heartmap_rule", "{rule}", {"rule": text})


def matches(pattern: str, text: str) -> AfterValidator:
    """The rule that the whole value matches ``pattern``, told as ``text``."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise rule(text)
        return value

    return AfterValidator(check)


def one_of(values: tuple[Any, ...]) -> AfterValidator:
    """The rule that the value is among ``values``."""

    def check(value: Any) -> Any:
        if value not in values:
            raise rule("must be one of " + ", ".join(map(str, values)))
        return value

    return AfterValidator(check)


def _host_name(value: str) -> str:
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    # 64 is the length of a certificate's common name, and the internal name is nine characters longer.
    if value and (len(value) > 55 or not re.fullmatch(rf"({label}\.)+[a-z]{{2,}}", value)):
        raise rule("must be a host name in lower case with at least one dot, of at most 55 characters")
    return value


def _private_network(value: IPv4Network) -> IPv4Network:
    blocks = (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))
    if not 16 <= value.prefixlen <= 22 or not any(value.subnet_of(block) for block in blocks):
        raise rule("must be a private range (RFC 1918) from /16 to /22")
    return value


def _not_everything(value: tuple[IPv4Network, ...] | tuple[IPv6Network, ...]) -> Any:
    if any(network.prefixlen == 0 for network in value):
        raise rule("must not hold a /0, which AWS WAF refuses; leave both lists empty to admit every address")
    return value


def _from_json(value: object) -> object:
    """Pulumi hands lists to a program as JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise rule("must be a list") from None


def _hours(value: object) -> object:
    if not isinstance(value, str) or not value:
        return None if value == "" else value
    days = "|".join(DAYS)
    found = re.fullmatch(rf"(({days})-({days})) ([01]?\d|2[0-3])-([01]?\d|2[0-3])", value)
    if not found or DAYS.index(found[2]) > DAYS.index(found[3]) or int(found[4]) >= int(found[5]):
        raise rule("must be days of a week and hours of a day, first to last, such as `MON-FRI 8-18`, or empty for always")
    return WorkingHours(found[1], time(int(found[4])), time(int(found[5])))


def _time_zone(value: str) -> str:
    if value not in available_timezones():
        raise rule("must be the IANA name of a time zone, such as UTC or Europe/Berlin")
    return value


def _bucket(value: str) -> str:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""
    label = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
    is_address = re.fullmatch(r"[0-9.]+", value)
    if not 3 <= len(value) <= 63 or is_address or not re.fullmatch(rf"{label}(\.{label})*", value):
        raise rule("must hold names of buckets: 3 to 63 lower-case letters, digits, hyphens and dots, without s3:// or a path")
    return value


def _buckets(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(value)) != len(value) or len(value) > IMPORT_BUCKETS:
        raise rule(f"must be a list of at most {IMPORT_BUCKETS} different buckets")
    return value


def _roles(value: object) -> object:
    entries = _from_json(value)
    if not isinstance(entries, list):
        return entries
    roles: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        found = re.fullmatch(r"(arn:aws:iam::\d{12}:role/[\w+=,.@/-]{1,512}?)=([a-z]+(?:\+[a-z]+)*)", str(entry))
        groups = found[2].split("+") if found else []
        if not found or not GROUPS.issuperset(groups):
            raise rule(
                f"must be a list of `<ARN of an IAM role>=<group>`, or `...=<group>+<group>`, of {', '.join(sorted(GROUPS))}"
            )
        if found[1] in roles:
            raise rule("must name each role once")
        roles[found[1]] = tuple(groups)
    return roles


def _scopes(value: tuple[str, ...]) -> tuple[str, ...]:
    if not SCOPES.issuperset(value) or len(set(value)) != len(value):
        raise rule("must be a list of different scopes out of " + ", ".join(sorted(SCOPES)))
    return value


def _users(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(value)) != len(value) or len(value) > BREAK_GLASS_USERS:
        raise rule(f"must be a list of at most {BREAK_GLASS_USERS} different users")
    return value


HostName = Annotated[str, AfterValidator(_host_name)]
Region = Annotated[str, one_of(REGIONS)]
PrivateNetwork = Annotated[IPv4Network, AfterValidator(_private_network)]
Networks4 = Annotated[tuple[IPv4Network, ...], BeforeValidator(_from_json), AfterValidator(_not_everything)]
Networks6 = Annotated[tuple[IPv6Network, ...], BeforeValidator(_from_json), AfterValidator(_not_everything)]
Hours = Annotated[WorkingHours | None, BeforeValidator(_hours)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Roles = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_roles)]
BucketNames = Annotated[
    tuple[Annotated[str, AfterValidator(_bucket)], ...], BeforeValidator(_from_json), AfterValidator(_buckets)
]
Scopes = Annotated[tuple[str, ...], BeforeValidator(_from_json), AfterValidator(_scopes)]
SubnetId = Annotated[str, matches(r"subnet-[0-9a-f]{8,17}", "must hold ids of subnets, such as subnet-0123456789abcdef0")]
SubnetIds = Annotated[tuple[SubnetId, ...], BeforeValidator(_from_json)]
User = Annotated[str, matches(r"arn:aws:iam::\d{12}:user/[\w+=,.@/-]{1,512}", "must hold ARNs of IAM users")]
Users = Annotated[tuple[User, ...], BeforeValidator(_from_json), AfterValidator(_users)]
