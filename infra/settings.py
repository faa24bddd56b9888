"""The settings of a stack: read once from the Pulumi configuration, checked, and frozen.

Every key is declared with its type, description and, where one value fits all, its default in ``Pulumi.yaml``; what differs
from stack to stack stands in ``Pulumi.<stack>.yaml``. The name of the stack is the environment. No setting is a secret.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import yaml
from pulumi.runtime import config as pulumi_config
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from infra.setting_types import (
    FARGATE_MEMORY,
    GIB,
    MIB,
    RETENTION_DAYS,
    AnonymousNetworks,
    BucketNames,
    Environment,
    Federation,
    HostName,
    Hours,
    LogLevel,
    Mfa,
    Networks4,
    Networks6,
    PrivateNetwork,
    Region,
    Roles,
    Scopes,
    SubnetIds,
    ThreatProtection,
    TimeZone,
    Users,
    Vpn,
    WafMode,
    matches,
    one_of,
)

PROJECT = "heartmap"
REGION_KEY = "aws:region"

# Of the address space of each version, the largest part that one allowed range of a production stack may be.
WIDEST_IPV4, WIDEST_IPV6 = 8, 20
YEAR_DAYS = 365

WORKER_OWN_BYTES = 3 * GIB // 2
"""What a worker takes beside a job: itself, and the process with HeartMAP loaded that jobs are forked from (0.7 GB, and for the
first half minute twice)."""

_ZONE_ID = matches(r"([A-Z0-9]{6,32})?", "must be the id of a hosted zone, such as Z0123456789EXAMPLE")
_VPC_ID = matches(r"(vpc-[0-9a-f]{8,17})?", "must be the id of a VPC, such as vpc-0123456789abcdef0")
_CERTIFICATE = matches(r"(arn:aws:acm:[a-z0-9-]+:\d{12}:certificate/[\w-]+)?", "must be the ARN of a certificate in ACM")
_SAML_PROVIDER = matches(r"(arn:aws:iam::\d{12}:saml-provider/[\w+=,.@-]+)?", "must be the ARN of a SAML provider in IAM")
_SECRET = matches(
    r"(arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]+)?", "must be the ARN of a secret in Secrets Manager"
)
_HTTPS_URL = matches(r"(https://[a-z0-9.-]+(:\d+)?(/[\w./~%?=&-]*)?)?", "must be an https address")
_PROVIDER_NAME = matches(r"([A-Za-z][\w-]{2,31})?", "must be 3 to 32 letters, digits, hyphens and underscores, a letter first")
_CLIENT_ID = matches(r"[\w.:/-]{0,128}", "must be the client id that the provider gave")
_EMAIL = matches(r"([^@\s]+@[^@\s]+\.[a-z]{2,})?", "must be an e-mail address")
_PAGE = matches(r"[\w.~:/-]{1,200}", "must be the address of a page, such as docs/runbook.md")
_IMAGE = matches(r"[A-Za-z0-9._:/@-]*", "must be the name of a container image")
_INSTANCES = Field(ge=0, le=100)


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


class SettingsError(ValueError):
    """A stack's settings cannot be used. The text names the key, the value, the rule and what to write instead."""


class Settings(BaseModel):
    """The settings of one stack. Each field is described in ``Pulumi.yaml``; sizes are in the unit of the field's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: Environment
    region: Region
    domain: HostName
    hosted_zone_id: Annotated[str, _ZONE_ID]
    hosted_zone_name: HostName

    vpc_cidr: PrivateNetwork
    availability_zones: Annotated[int, Field(ge=2, le=3)]
    endpoint_zones: Annotated[int, Field(ge=1, le=3)]
    existing_vpc_id: Annotated[str, _VPC_ID]
    existing_subnet_ids: SubnetIds
    vpn: Vpn
    vpn_cidr: Annotated[PrivateNetwork | None, BeforeValidator(_empty_is_none)]
    vpn_server_certificate_arn: Annotated[str, _CERTIFICATE]
    vpn_client_certificate_arn: Annotated[str, _CERTIFICATE]
    vpn_saml_provider_arn: Annotated[str, _SAML_PROVIDER]
    bastion: bool
    working_hours: Hours
    time_zone: TimeZone

    allowed_ipv4: Networks4
    allowed_ipv6: Networks6
    requests_per_minute: Annotated[int, Field(ge=10, le=2_000_000)]
    sensitive_requests_per_minute: Annotated[int, Field(ge=10, le=2_000_000)]
    waf_mode: WafMode
    anonymous_networks: AnonymousNetworks

    mfa: Mfa
    threat_protection: ThreatProtection
    federation: Federation
    federation_name: Annotated[str, _PROVIDER_NAME]
    federation_metadata_url: Annotated[str, _HTTPS_URL]
    federation_issuer: Annotated[str, _HTTPS_URL]
    federation_client_id: Annotated[str, _CLIENT_ID]
    federation_client_secret_arn: Annotated[str, _SECRET]
    program_scopes: Scopes
    iam_roles: Roles
    break_glass_users: Users

    api_cpu: Annotated[int, one_of(tuple(FARGATE_MEMORY))]
    api_memory: int
    api_tasks_min: Annotated[int, _INSTANCES]
    api_tasks_max: Annotated[int, _INSTANCES]
    worker_cpu: Annotated[int, one_of(tuple(FARGATE_MEMORY))]
    worker_memory: int
    worker_tasks_min: Annotated[int, _INSTANCES]
    worker_tasks_max: Annotated[int, _INSTANCES]
    image: Annotated[str, _IMAGE]
    log_level: LogLevel

    max_upload_bytes: Annotated[int, Field(ge=MIB, le=5 * GIB)]
    import_buckets: BucketNames
    job_memory_bytes: Annotated[int, Field(ge=2 * GIB)]
    quota_queued_jobs: Annotated[int, Field(ge=1, le=10_000)]
    quota_jobs_per_day: Annotated[int, Field(ge=1, le=1_000_000)]
    quota_upload_bytes_per_day: Annotated[int, Field(ge=MIB, le=1024**2 * GIB)]
    malware_scan: bool
    deletion_protection: bool
    decommission: bool
    secret_rotation_days: Annotated[int, Field(ge=0, le=YEAR_DAYS)]

    log_retention_days: Annotated[int, one_of(RETENTION_DAYS)]
    audit_trail: bool
    audit_lock_days: Annotated[int, Field(ge=0, le=3653)]
    alarm_email: Annotated[str, _EMAIL]
    runbook: Annotated[str, _PAGE]
    monthly_budget_usd: Annotated[int, Field(ge=0, le=1_000_000)]

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        self._sizes_agree()
        self._uploads_agree()
        self._networks_agree()
        self._domain_agrees()
        self._sign_in_agrees()
        if self.environment is Environment.LOCAL:
            self._fits_one_machine()
        elif self.image and not re.search(r"@sha256:[0-9a-f]{64}$", self.image):
            raise _agree("image", self.image, "must end in @sha256: and the digest, so that what runs is what was chosen")
        if self.environment is Environment.PROD:
            for key, unsafe, reason in UNSAFE_IN_PROD:
                if unsafe(self):
                    raise _agree(key, getattr(self, key), reason)
        return self

    def _sizes_agree(self) -> None:
        for part in ("api", "worker"):
            cpu, memory = getattr(self, f"{part}_cpu"), getattr(self, f"{part}_memory")
            if memory not in FARGATE_MEMORY[cpu]:
                sizes = ", ".join(map(str, FARGATE_MEMORY[cpu]))
                raise _agree(
                    f"{part}_memory", memory, f"Fargate has no task of {cpu} CPU units with it; it must be one of {sizes}"
                )
            least, most = getattr(self, f"{part}_tasks_min"), getattr(self, f"{part}_tasks_max")
            if most < max(least, 1):
                raise _agree(f"{part}_tasks_max", most, f"must be at least 1 and {part}_tasks_min, which is {least}")
        if self.api_tasks_min < 1:
            raise _agree("api_tasks_min", self.api_tasks_min, "must be at least 1: nothing starts the API when a request comes")
        if self.job_memory_bytes > self.worker_memory * MIB - WORKER_OWN_BYTES:
            raise _agree("job_memory_bytes", self.job_memory_bytes, "must leave 1.5 GiB of worker_memory to the worker itself")
        if self.decommission and self.deletion_protection:
            raise _agree("deletion_protection", True, "must be false to decommission the stack")
        if 0 < self.secret_rotation_days < 30:
            raise _agree("secret_rotation_days", self.secret_rotation_days, "must be 30 to 365, or 0 for never")

    def _uploads_agree(self) -> None:
        if self.quota_upload_bytes_per_day < self.max_upload_bytes:
            rule = f"must not be less than max_upload_bytes, {self.max_upload_bytes}: nobody could upload as much in a day"
            raise _agree("quota_upload_bytes_per_day", self.quota_upload_bytes_per_day, rule)
        for bucket in self.import_buckets:
            if bucket.startswith(tuple(f"{PROJECT}-{environment}-" for environment in Environment)):
                # Whoever may upload would read other people's results by it, and the records of who did what.
                raise _agree("import_buckets", list(self.import_buckets), f"must not name a bucket of the stacks' own: {bucket}")

    def _networks_agree(self) -> None:
        if self.endpoint_zones > self.availability_zones:
            raise _agree(
                "endpoint_zones", self.endpoint_zones, f"must not be more than availability_zones, {self.availability_zones}"
            )
        if bool(self.existing_vpc_id) != bool(self.existing_subnet_ids):
            key = "existing_subnet_ids" if self.existing_vpc_id else "existing_vpc_id"
            raise _agree(key, getattr(self, key), "must be given with the other of existing_vpc_id and existing_subnet_ids")
        if self.existing_subnet_ids and len(set(self.existing_subnet_ids)) != self.availability_zones:
            raise _agree(
                "existing_subnet_ids",
                list(self.existing_subnet_ids),
                f"must name {self.availability_zones} different subnets, one in each of availability_zones",
            )
        needed = {
            Vpn.OFF: (),
            Vpn.CERTIFICATE: ("vpn_cidr", "vpn_server_certificate_arn", "vpn_client_certificate_arn"),
            Vpn.FEDERATED: ("vpn_cidr", "vpn_server_certificate_arn", "vpn_saml_provider_arn"),
        }[self.vpn]
        for key in needed:
            if not getattr(self, key):
                raise _agree(key, "", f"is required with the vpn {self.vpn}")
        if self.vpn_cidr and self.vpn_cidr.overlaps(self.vpc_cidr):
            raise _agree("vpn_cidr", self.vpn_cidr, f"must not overlap with vpc_cidr, {self.vpc_cidr}")

    def _domain_agrees(self) -> None:
        if self.domain and not self.hosted_zone_id:
            raise _agree("hosted_zone_id", "", "must be given with a domain: its zone holds the records that prove the domain")
        if self.hosted_zone_id and not self.domain:
            raise _agree("domain", "", "must be given with a hosted_zone_id")
        zone = self.hosted_zone_name
        if zone and self.domain != zone and not self.domain.endswith(f".{zone}"):
            raise _agree("domain", self.domain, f"must lie in the zone {zone}, which hosted_zone_name says")

    def _sign_in_agrees(self) -> None:
        needed = {
            Federation.NONE: (),
            Federation.OIDC: ("federation_name", "federation_issuer", "federation_client_id", "federation_client_secret_arn"),
            Federation.SAML: ("federation_name", "federation_metadata_url"),
        }[self.federation]
        for key in needed:
            if not getattr(self, key):
                raise _agree(key, "", f"is required with the federation {self.federation}")
        if self.break_glass_users and not self.audit_trail:
            rule = "needs an audit_trail, which records who opens it, and why"
            raise _agree("break_glass_users", list(self.break_glass_users), rule)
        if self.threat_protection is not ThreatProtection.OFF and self.mfa is Mfa.OFF:
            raise _agree(
                "threat_protection", self.threat_protection, "needs an mfa other than off, to ask for at a risky sign-in"
            )

    def _fits_one_machine(self) -> None:
        if self.domain:
            raise _agree("domain", self.domain, "must be empty in local, where no certificate can be issued for it")
        if not self.image:
            raise _agree("image", "", "is required in local, where no image is built")
        if self.vpn is not Vpn.OFF or self.existing_vpc_id:
            key = "vpn" if self.vpn is not Vpn.OFF else "existing_vpc_id"
            raise _agree(key, getattr(self, key), "has nothing to connect in local, where tasks are processes on this machine")

    @property
    def internal_host(self) -> str:
        """The host name in the load balancer's certificate, by which the gateway calls the service."""
        return f"internal.{self.domain}" if self.domain else f"internal.{PROJECT}.internal"

    @property
    def is_local(self) -> bool:
        """Whether the stack's AWS is emulated and its tasks are processes on this machine."""
        return self.environment is Environment.LOCAL


class Unsafe(NamedTuple):
    """A value that a production stack is refused with: the key, when its value is unsafe, and why."""

    key: str
    unsafe: Callable[[Settings], bool]
    reason: str


def _too_wide(settings: Settings) -> bool:
    return any(network.prefixlen < WIDEST_IPV4 for network in settings.allowed_ipv4)


UNSAFE_IN_PROD = (
    Unsafe("domain", lambda s: not s.domain, "is required in prod: clients must not depend on an address that AWS made up"),
    Unsafe(
        "endpoint_zones", lambda s: s.endpoint_zones < 2, "must be at least 2 in prod: one zone's failure would stop every task"
    ),
    Unsafe("api_tasks_min", lambda s: s.api_tasks_min < 2, "must be at least 2 in prod: one task is in one zone"),
    Unsafe("working_hours", lambda s: s.working_hours is not None, "must be empty in prod: people rely on it at all hours"),
    Unsafe(
        "allowed_ipv4",
        lambda s: not s.allowed_ipv4 and not s.allowed_ipv6,
        "must name who may call in prod, as must allowed_ipv6: without both the whole internet may",
    ),
    Unsafe(
        "allowed_ipv4", _too_wide, f"must hold no range wider than /{WIDEST_IPV4} in prod: it would admit half of the internet"
    ),
    Unsafe(
        "allowed_ipv6",
        lambda s: any(network.prefixlen < WIDEST_IPV6 for network in s.allowed_ipv6),
        f"must hold no range wider than /{WIDEST_IPV6} in prod: no organisation has one",
    ),
    Unsafe("mfa", lambda s: s.mfa is not Mfa.REQUIRED, "must be required in prod: a stolen password must not be enough"),
    Unsafe(
        "threat_protection",
        lambda s: s.threat_protection is not ThreatProtection.ENFORCED,
        "must be enforced in prod: leaked passwords and risky sign-ins would be let in",
    ),
    Unsafe("log_level", lambda s: s.log_level is LogLevel.DEBUG, "must be INFO in prod: debug logs may hold people's data"),
    Unsafe(
        "log_retention_days",
        lambda s: s.log_retention_days < YEAR_DAYS,
        f"must be at least {YEAR_DAYS} in prod: what happened has to be known a year later",
    ),
    Unsafe("audit_trail", lambda s: not s.audit_trail, "must be true in prod: changes would leave no trace"),
    Unsafe(
        "audit_lock_days",
        lambda s: s.audit_lock_days < YEAR_DAYS,
        f"must be at least {YEAR_DAYS} in prod: whoever breaks in could remove the traces",
    ),
    Unsafe("alarm_email", lambda s: not s.alarm_email, "is required in prod: nobody would hear the alarms"),
    Unsafe("monthly_budget_usd", lambda s: not s.monthly_budget_usd, "must not be 0 in prod: nobody would hear what it costs"),
    Unsafe("malware_scan", lambda s: not s.malware_scan, "must be true in prod: anyone's file would reach the workers unseen"),
    Unsafe(
        "deletion_protection",
        lambda s: not s.deletion_protection and not s.decommission,
        "must be true in prod, unless decommission is too: one mistake would remove the data",
    ),
    Unsafe(
        "secret_rotation_days",
        lambda s: s.secret_rotation_days == 0,
        "must not be 0 in prod: a leaked key would be good for ever",
    ),
)


def _agree(key: str, value: object, rule: str) -> PydanticCustomError:
    return PydanticCustomError("heartmap_agree", "{rule}", {"key": key, "value": _shown(value), "rule": rule})


def _shown(value: object) -> str:
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, tuple | list) else str(value)


def load(config: Mapping[str, str], stack: str) -> Settings:
    """The settings out of a Pulumi configuration (full keys such as ``heartmap:mfa``; values are text, lists are JSON).

    Raises SettingsError for a stack that is no environment, a key that is unknown or missing, and a value that breaks a rule.
    """
    if stack not in list(Environment):
        raise SettingsError(f"there is no environment {stack!r}: the stack must be called {', '.join(Environment)}")
    values: dict[str, Any] = {"environment": stack}
    for full_key, value in sorted(config.items()):
        values[_field(full_key, stack)] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(problem, stack) for problem in error.errors())) from None


def load_stack_file(project_dir: Path, stack: str) -> Settings:
    """The settings as the engine would hand them over: the defaults of Pulumi.yaml under the values of Pulumi.<stack>.yaml.

    Raises SettingsError as ``load`` does, and for a file that is missing or is no such YAML.
    """
    if stack not in list(Environment):
        return load({}, stack)
    config: dict[str, str] = {}
    for key, declared in _config_of(project_dir / "Pulumi.yaml").items():
        value = declared.get("value", declared.get("default")) if isinstance(declared, dict) else declared
        if value is not None:
            config[_full_key(key)] = _as_text(value)
    for key, value in _config_of(project_dir / f"Pulumi.{stack}.yaml").items():
        if isinstance(value, dict):
            raise SettingsError(f"{_full_key(key)} in Pulumi.{stack}.yaml is secret or nested; no setting of this project is")
        config[_full_key(key)] = _as_text(value)
    return load(config, stack)


def from_pulumi(stack: str) -> Settings:
    """The settings of the running program. Raises SettingsError."""
    # The SDK reads one key at a time and cannot list them, without which no unknown key is ever found.
    return load({**pulumi_config.get_config_env(), **pulumi_config.CONFIG.get()}, stack)


def _field(full_key: str, stack: str) -> str:
    namespace, _, key = full_key.rpartition(":")
    if full_key == REGION_KEY:
        return "region"
    if namespace == PROJECT and key in Settings.model_fields.keys() - {"environment", "region"}:
        return key
    where = f"unknown key {full_key} in Pulumi.{stack}.yaml"
    if namespace == "aws":
        raise SettingsError(f"{where}: credentials and profiles belong in the environment, not in a file")
    raise SettingsError(f"{where}: remove it; the keys are described in Pulumi.yaml")


def _explain(problem: ErrorDetails, stack: str) -> str:
    context = problem.get("ctx") or {}
    field = str(context.get("key") or problem["loc"][0])
    key = REGION_KEY if field == "region" else f"{PROJECT}:{field}"
    if problem["type"] == "missing":
        return f"{key} is missing: add the line `  {key}: <value>` under `config:` in Pulumi.{stack}.yaml"
    value = context.get("value", problem["input"])
    rule = context.get("rule") or re.sub(r"^(Input|Value) should", "should", problem["msg"])
    return f"{key} is {value!r} in Pulumi.{stack}.yaml: it {rule}. Change the line `  {key}: <value>` under `config:`"


def _config_of(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        config = document.get("config") or {}
    except FileNotFoundError:
        raise SettingsError(f"{path.name} is missing from the project directory: restore it from the repository") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError):
        raise SettingsError(f"{path.name} cannot be read as YAML with a mapping at the top") from None
    if not isinstance(config, dict):
        raise SettingsError(f"`config:` in {path.name} must hold keys and values")
    return {str(key): value for key, value in config.items()}


def _full_key(key: str) -> str:
    return key if ":" in key else f"{PROJECT}:{key}"


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
