"""What the service's processes are told by their environment: ``HEARTMAP_…``, as the ECS task definitions write it.

Unset and empty mean the same. A missing or malformed setting refuses the start and names the variable, never its value.
"""

import tempfile
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import DirectoryPath, Field, FilePath, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from lambda_authorizer.assertion import decode_keys

MIB = 1024 * 1024
GIB = 1024 * MIB


class _ProcessSettings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="HEARTMAP_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    log_level: Literal["INFO", "DEBUG"] = "INFO"
    region: str = Field(validation_alias="AWS_REGION")


class ListenerSettings(_ProcessSettings):
    """Of a process that answers HTTP, over TLS."""

    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Networks of what stands in front where identity is direct, in CIDR notation, separated by commas: only their
    ``X-Forwarded-For`` and ``X-Request-Id`` are believed."""
    tls_certificate: FilePath | None = None
    """PEM, with its chain, and its key in ``tls_key``; neither: a self-signed one is made at each start."""
    tls_key: FilePath | None = Field(default=None, validate_default=True)
    internal_host: str
    """The host of the integration's URI: the only Host header that is answered. Where identity is direct, the name that callers
    use; whatever stands in front leaves their Host as it is."""
    bind_address: str = "127.0.0.1"
    port: int = Field(default=8443, ge=1, le=65535)

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, text: Any) -> Any:
        return [network.strip() for network in text.split(",")] if isinstance(text, str) else text

    @field_validator("tls_key")
    @classmethod
    def _both(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if (key is None) != (info.data.get("tls_certificate") is None):
            raise ValueError("set HEARTMAP_TLS_CERTIFICATE and HEARTMAP_TLS_KEY, or neither")
        return key


class DecisionSettings(ListenerSettings):
    """Of the process that decides for a gateway (``forward_auth``); the authorizer's own variables (lambda_authorizer.config)
    have to be there as well. Nobody but ``trusted_proxies`` may ask it, and so there is at least one."""

    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(min_length=1)


class ServiceSettings(_ProcessSettings):
    """Common to the API and the worker. Sizes are in bytes."""

    environment: Literal["local", "dev", "prod"]
    uploads_bucket: str
    results_bucket: str
    jobs_table: str
    config_table: str
    queue_url: str
    max_upload_bytes: int = Field(default=5 * GIB, ge=1 * MIB, le=1024 * GIB)
    job_memory_bytes: int = Field(default=4 * GIB, ge=2 * GIB)
    """Address space of one analysis. HeartMAP's imports alone take 0.7 GB of it."""
    worker_cpu: int = Field(default=1024, ge=256)
    """CPU units of the task of a worker, 1,024 a vCPU; ``worker_memory`` is its memory in MiB. What an analysis costs rests on
    them."""
    worker_memory: int = Field(default=8192, ge=512)
    import_buckets: Annotated[frozenset[str], NoDecode] = frozenset()
    """Buckets whose objects may be analysed without being uploaded, separated by commas."""
    scratch_dir: Path = Field(default_factory=lambda: Path(tempfile.gettempdir()))
    aws_endpoint_url: str | None = Field(default=None, validation_alias="AWS_ENDPOINT_URL")

    @field_validator("import_buckets", mode="before")
    @classmethod
    def _split(cls, text: Any) -> Any:
        return [name.strip() for name in text.split(",") if name.strip()] if isinstance(text, str) else text


class WorkerSettings(ServiceSettings):
    """``numba_cache_seed`` is a directory that heartmap_service.warm made; each job gets a copy of its own. ``ecs_agent_uri`` is
    where ECS lets a task speak of itself; there is none outside ECS."""

    numba_cache_seed: DirectoryPath | None = None
    preload_large: bool = True
    """Whether what only large data sets need is compiled ahead of them, in the first half minute of a worker: 20 s of a core."""
    ecs_agent_uri: str | None = Field(default=None, validation_alias="ECS_AGENT_URI")


class ApiSettings(ServiceSettings, ListenerSettings):
    """``assertion_keys`` is the JSON of the service's secret, ``{"assertion_keys": {key_id: base64 of 32 bytes}}``, and has to be
    there where identity comes from assertions."""

    identity: Literal["assertion", "direct"] = "assertion"
    """Who says who calls: ``assertion``, the authorizer at the gateway; ``direct``, the authorizer's core in this process, whose
    own variables (lambda_authorizer.config) have to be there as well."""
    assertion_keys: dict[str, Any] | None = Field(default=None, repr=False, validate_default=True)
    quota_queued_jobs: int = Field(default=20, ge=1)
    """Analyses of one principal that may be queued or running at once."""
    quota_jobs_per_day: int = Field(default=200, ge=1)
    """Analyses that one principal may begin in a day, in UTC."""
    quota_upload_bytes_per_day: int = Field(default=200 * GIB, ge=1 * MIB)
    """Bytes that one principal may begin to upload in a day, in UTC."""
    stage: str = "live"
    """API Gateway may send the stage's name to a private integration as the first segment of the path."""

    @field_validator("assertion_keys")
    @classmethod
    def _decode(cls, secret: dict[str, Any] | None, info: ValidationInfo) -> dict[str, bytes] | None:
        if secret is not None:
            return decode_keys(secret.get("assertion_keys"))
        if info.data.get("identity") != "direct":
            raise ValueError("required, unless HEARTMAP_IDENTITY is direct")
        return None


Settings = TypeVar("Settings", bound=_ProcessSettings)


def load(kind: type[Settings]) -> Settings:
    """The settings in the environment. Raises SystemExit, with one line a variable, when they are not usable."""
    try:
        return kind()  # pyright: ignore[reportCallIssue]  # pydantic-settings takes the fields from the environment
    except ValidationError as error:
        lines = [f"{_variable(item['loc'])}: {item['msg']}" for item in error.errors(include_input=False, include_url=False)]
        raise SystemExit("The environment of this process is not usable:\n  " + "\n  ".join(lines)) from None
    except ValueError:
        # pydantic-settings, for a value that is not JSON; its text would quote the value.
        raise SystemExit("The environment of this process is not usable:\n  HEARTMAP_ASSERTION_KEYS: not JSON") from None


def _variable(location: tuple[int | str, ...]) -> str:
    name = str(location[0])
    return name if name.startswith(("AWS_", "ECS_")) else f"HEARTMAP_{name.upper()}"
