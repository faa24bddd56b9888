"""The settings of a stack: read once from the Pulumi configuration, checked, and frozen.

Every key is declared with its type, description and, where one value fits all, its default in ``Pulumi.yaml``; what differs
from stack to stack stands in ``Pulumi.<stack>.yaml``. The name of the stack is the environment. No setting is a secret.
"""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pulumi.runtime import config as pulumi_config
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

PROJECT = "heartmap"
REGION_KEY = "aws:region"

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


class SettingsError(ValueError):
    """A stack's settings cannot be used. The text names the key, the value, the rule and what to write instead."""


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


def _rule(text: str) -> PydanticCustomError:
    return PydanticCustomError("heartmap_rule", "{rule}", {"rule": text})


def _matches(pattern: str, rule: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise _rule(rule)
        return value

    return AfterValidator(check)


def _host_name(value: str) -> str:
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    # 64 is the length of a certificate's common name, and the internal name is nine characters longer.
    if value and (len(value) > 55 or not re.fullmatch(rf"({label}\.)+[a-z]{{2,}}", value)):
        raise _rule("must be a host name in lower case with at least one dot, of at most 55 characters")
    return value


def _private_network(value: IPv4Network) -> IPv4Network:
    blocks = (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))
    if not 16 <= value.prefixlen <= 22 or not any(value.subnet_of(block) for block in blocks):
        raise _rule("must be a private range (RFC 1918) from /16 to /22")
    return value


def _not_everything(value: tuple[IPv4Network, ...] | tuple[IPv6Network, ...]) -> Any:
    if any(network.prefixlen == 0 for network in value):
        raise _rule("must not hold a /0, which AWS WAF refuses; leave both lists empty to admit every address")
    return value


def _one_of(values: tuple[int, ...]) -> AfterValidator:
    def check(value: int) -> int:
        if value not in values:
            raise _rule("must be one of " + ", ".join(map(str, values)))
        return value

    return AfterValidator(check)


def _from_json(value: object) -> object:
    """Pulumi hands lists to a program as JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise _rule("must be a list") from None


Networks4 = Annotated[tuple[IPv4Network, ...], BeforeValidator(_from_json), AfterValidator(_not_everything)]
Networks6 = Annotated[tuple[IPv6Network, ...], BeforeValidator(_from_json), AfterValidator(_not_everything)]


class Settings(BaseModel):
    """The settings of one stack. Each field is described in ``Pulumi.yaml``; sizes are in the unit of the field's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: Environment
    region: Annotated[str, _matches(r"[a-z]{2}(-[a-z]+)+-\d", "must be the name of a region, such as us-east-1")]
    domain: Annotated[str, AfterValidator(_host_name)]
    hosted_zone_id: Annotated[str, _matches(r"([A-Z0-9]{6,32})?", "must be the id of a hosted zone, such as Z0123456789EXAMPLE")]
    vpc_cidr: Annotated[IPv4Network, AfterValidator(_private_network)]
    availability_zones: Annotated[int, Field(ge=2, le=3)]
    allowed_ipv4: Networks4
    allowed_ipv6: Networks6
    requests_per_minute: Annotated[int, Field(ge=10, le=2_000_000)]
    log_retention_days: Annotated[int, _one_of(RETENTION_DAYS)]
    api_cpu: Annotated[int, _one_of(tuple(FARGATE_MEMORY))]
    api_memory: int
    api_count: Annotated[int, Field(ge=1, le=20)]
    worker_cpu: Annotated[int, _one_of(tuple(FARGATE_MEMORY))]
    worker_memory: int
    worker_count: Annotated[int, Field(ge=0, le=100)]
    image: Annotated[str, _matches(r"[A-Za-z0-9._:/@-]*", "must be the name of a container image")]
    max_upload_bytes: Annotated[int, Field(ge=MIB, le=5 * GIB)]
    job_memory_bytes: Annotated[int, Field(ge=2 * GIB)]
    deletion_protection: bool
    mfa: Mfa

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        for cpu, memory, key in (
            (self.api_cpu, self.api_memory, "api_memory"),
            (self.worker_cpu, self.worker_memory, "worker_memory"),
        ):
            if memory not in FARGATE_MEMORY[cpu]:
                sizes = ", ".join(map(str, FARGATE_MEMORY[cpu]))
                raise _agree(key, memory, f"Fargate has no task of {cpu} CPU units with it; it must be one of {sizes}")
        if self.job_memory_bytes > self.worker_memory * MIB - GIB:
            raise _agree("job_memory_bytes", self.job_memory_bytes, "must leave 1 GiB of worker_memory to the worker itself")
        if self.domain and not self.hosted_zone_id:
            raise _agree("hosted_zone_id", "", "must be given with a domain: its zone holds the records that prove the domain")
        if self.hosted_zone_id and not self.domain:
            raise _agree("domain", "", "must be given with a hosted_zone_id")
        return self._fits_the_environment()

    def _fits_the_environment(self) -> Self:
        if self.environment is Environment.PROD and not self.domain:
            raise _agree("domain", "", "is required in prod: clients must not depend on an address that AWS made up")
        if self.environment is Environment.LOCAL:
            if self.domain:
                raise _agree("domain", self.domain, "must be empty in local, where no certificate can be issued for it")
            if not self.image:
                raise _agree("image", "", "is required in local, where no image is built")
        elif self.image and not re.search(r"@sha256:[0-9a-f]{64}$", self.image):
            raise _agree("image", self.image, "must end in @sha256: and the digest, so that what runs is what was chosen")
        return self

    @property
    def internal_host(self) -> str:
        """The host name in the load balancer's certificate, by which the gateway calls the service."""
        return f"internal.{self.domain}" if self.domain else f"internal.{PROJECT}.internal"

    @property
    def is_local(self) -> bool:
        """Whether the stack's AWS is emulated and its tasks are processes on this machine."""
        return self.environment is Environment.LOCAL


def _agree(key: str, value: object, rule: str) -> PydanticCustomError:
    return PydanticCustomError("heartmap_agree", "{rule}", {"key": key, "value": str(value), "rule": rule})


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
