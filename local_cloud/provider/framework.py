"""What every handler of a resource type is made of: the base classes, the registry, and the connection to the emulated AWS.

A handler says which arguments it understands. Everything else is refused, so that the program can never rely on a setting
that this environment drops silently.
"""

from __future__ import annotations

import importlib
import ipaddress
import json
import pkgutil
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from local_cloud.provider import recording

Inputs = dict[str, Any]
"""Arguments as on the wire: camelCase keys; values are JSON values, UNKNOWN, FileContent or Archive."""


class Refused(Exception):
    """The request cannot be carried out; the text says what was wrong and what to do."""


class Failure(NamedTuple):
    """One argument that did not pass the check of its type."""

    property: str
    reason: str


class _Unknown:
    """Stands for a value that only exists after a resource is created (in a preview)."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()


@dataclass(frozen=True)
class FileContent:
    """A FileAsset (path) or a StringAsset (text). Two are equal when their hashes are; a stack's state may hold nothing else."""

    path: Path | None = field(compare=False)
    text: str | None = field(compare=False)
    sha256: str

    def read(self) -> bytes:
        """The content. Raises Refused when the file is not there."""
        if self.path is None:
            if self.text is None:
                raise Refused("the content of an asset is not known any more: deploy from the program")
            return self.text.encode()
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise Refused(f"the asset {self.path.name} cannot be read ({error.strerror}): build it before deploying") from error


@dataclass(frozen=True)
class Archive:
    """A FileArchive (path) or an AssetArchive (entries)."""

    path: Path | None = field(compare=False)
    entries: Mapping[str, FileContent | Archive] = field(default_factory=dict, compare=False)
    sha256: str = ""


class FreeMap:
    """A map whose keys are the program's own, as tags have."""


MAP: Final = FreeMap()
Shape = Mapping[str, Any]
"""What a nested argument may contain: key -> None (a plain value or a list of them), MAP, or a Shape. Lists are transparent."""


class ResourceType(ABC):
    """One Pulumi resource type. Subclasses are registered with @register and hold no state.

    `arguments` are all accepted inputs. Those that contain objects have a Shape in `nested`; an object anywhere else is refused.
    `replaces` are the arguments whose change needs a new resource. `unique` is the argument that names the resource in AWS: where
    it is the same in the new resource, the old one is deleted first. `autoname` is the argument that is filled in from the
    resource's name, with a random suffix, when the program leaves it out. `computed` are the outputs that AWS decides;
    `volatile` are those among them that an update may change; `secret_outputs` those that are secret whatever the inputs were.
    """

    token: ClassVar[str]
    arguments: ClassVar[frozenset[str]]
    required: ClassVar[frozenset[str]] = frozenset()
    replaces: ClassVar[frozenset[str]] = frozenset()
    defaults: ClassVar[Mapping[str, Any]] = {}
    nested: ClassVar[Mapping[str, Shape | FreeMap]] = {}
    computed: ClassVar[frozenset[str]] = frozenset()
    volatile: ClassVar[frozenset[str]] = frozenset()
    secret_outputs: ClassVar[frozenset[str]] = frozenset()
    unique: ClassVar[str | None] = None
    autoname: ClassVar[str | None] = None
    delete_before_replace: ClassVar[bool] = False

    @property
    def takes_tags(self) -> bool:
        """Whether the argument `tags` is the usual map, to which the provider's default tags are added."""
        return "tags" in self.arguments and "tags" not in self.nested

    # The parameters are positional only: a subclass calls one that it does not use by a name that starts with "_".

    def check(self, _inputs: Inputs, /) -> list[Failure]:
        """Further validation; a value may be UNKNOWN in a preview."""
        return []

    @abstractmethod
    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        """Create it; returns the id and the outputs (the inputs are merged in). Leaves nothing behind when it raises."""

    @abstractmethod
    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        """The outputs as they are now, or None when it is gone. Arguments in the result replace those in the state."""

    def update(self, _aws: Aws, _resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        """Change it in place from the state `old` to the inputs `new`; returns the outputs that changed or were computed."""
        raise Refused(f"cannot be changed in place; changed: {', '.join(sorted(changed(old, new, self.arguments)))}")

    @abstractmethod
    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        """Delete it; one that is gone already is fine."""


class Function(ABC):
    """One invoke, such as getCallerIdentity."""

    token: ClassVar[str]
    arguments: ClassVar[frozenset[str]] = frozenset()
    nested: ClassVar[Mapping[str, Shape | FreeMap]] = {}

    @abstractmethod
    def invoke(self, aws: Aws, args: Inputs, /) -> dict[str, Any]:
        """The answer, with camelCase keys."""


HandlerType = TypeVar("HandlerType", bound="type[ResourceType] | type[Function]")
REGISTRY: Final[dict[str, ResourceType]] = {}
FUNCTIONS: Final[dict[str, Function]] = {}


def register(handler: HandlerType) -> HandlerType:
    """Make a handler known under its token."""
    table: dict[str, Any] = REGISTRY if issubclass(handler, ResourceType) else FUNCTIONS
    if handler.token in table:
        raise ValueError(f"two handlers for {handler.token}")
    table[handler.token] = handler()
    return handler


def load_handlers() -> None:
    """Import every module of this package, so that the handlers in it register themselves."""
    package = importlib.import_module("local_cloud.provider")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


class Aws:
    """The emulated AWS that one configured provider talks to.

    `endpoint` has to be an address of this machine, and the credentials are fixed words, so that nothing here can reach a real
    account whatever the environment holds. Raises Refused for any other endpoint.
    """

    def __init__(self, endpoint: str, region: str, default_tags: Mapping[str, str] | None = None) -> None:
        self.endpoint = loopback(endpoint)
        self.region = region
        self.default_tags = dict(default_tags or {})
        self._lock = threading.Lock()
        self._session = boto3.session.Session(
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106  # moto takes any words
            region_name=region,
        )
        self._session.events.register("before-send", recording.before_send)  # pyright: ignore[reportArgumentType]
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """A boto3 client, made once. Any, because one method serves the clients of all services."""
        with self._lock:  # making a client is not thread-safe, using one is
            if service not in self._clients:
                self._clients[service] = self._session.client(
                    service,  # pyright: ignore[reportArgumentType, reportCallIssue]  # the name is not a literal
                    endpoint_url=self.endpoint,
                    config=Config(
                        connect_timeout=5,
                        read_timeout=120,
                        max_pool_connections=32,
                        proxies={},
                        retries={"mode": "standard", "total_max_attempts": 3},
                        s3={"addressing_style": "path"},
                    ),
                )
            return self._clients[service]

    @cached_property
    def _identity(self) -> dict[str, str]:
        return self.client("sts").get_caller_identity()

    @property
    def account(self) -> str:
        """The account's twelve digits."""
        return self._identity["Account"]

    @property
    def caller_arn(self) -> str:
        """The ARN of the credentials in use."""
        return self._identity["Arn"]

    @property
    def partition(self) -> str:
        """Such as aws, out of the region's name (AWS General Reference, ARNs)."""
        return self._session.get_partition_for_region(self.region)

    @property
    def dns_suffix(self) -> str:
        """Such as amazonaws.com."""
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource in this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def tags(self, inputs: Mapping[str, Any]) -> dict[str, str]:
        """The provider's default tags, overridden by the resource's own."""
        return {**self.default_tags, **(inputs.get("tags") or {})}

    def tag_list(self, inputs: Mapping[str, Any]) -> list[dict[str, str]]:
        """The same as AWS's list of Key and Value."""
        return [{"Key": key, "Value": value} for key, value in self.tags(inputs).items()]


def loopback(endpoint: str) -> str:
    """The endpoint itself when it is an http(s) address of this machine; raises Refused otherwise."""
    advice = "set AWS_ENDPOINT_URL to the moto server of this machine, such as http://127.0.0.1:5000"
    if not endpoint:
        raise Refused(f"there is no AWS endpoint: {advice}")
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise Refused(f"the AWS endpoint is not a URL: {advice}") from error
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local or parts.scheme not in {"http", "https"} or parts.username is not None:
        raise Refused(f"the AWS endpoint is not an address of this machine, and this provider never talks to any other: {advice}")
    return endpoint


def changed(old: Mapping[str, Any], new: Mapping[str, Any], arguments: frozenset[str] | set[str] | None = None) -> set[str]:
    """The arguments whose values differ; one that is absent equals None."""
    names = arguments if arguments is not None else {*old, *new}
    return {name for name in names if old.get(name) != new.get(name)}


_GONE = re.compile(r"NotFound|NoSuch|NonExistent|DoesNotExist|Unknown\w*Id|^404$|ResourceNotFound|WAFNonexistentItem")


def is_gone(error: ClientError) -> bool:
    """Whether AWS says that the thing does not exist."""
    return bool(_GONE.search(error.response.get("Error", {}).get("Code", "")))


def tag_changes(aws: Aws, old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """The tags to set and the keys to remove, from the old state to the new inputs."""
    before, after = old.get("tagsAll") or {}, aws.tags(new)
    return {key: value for key, value in after.items() if before.get(key) != value}, sorted(before.keys() - after.keys())


def same_json(live: Any, text: str | None) -> str:
    """The live document (text or parsed) as JSON text; the program's own text when the two say the same."""
    document = json.loads(live) if isinstance(live, str) else live
    if text is not None and json.loads(text) == document:
        return text
    return json.dumps(document)


def from_tag_list(tags: list[dict[str, str]] | None) -> dict[str, str]:
    """AWS's list of Key and Value as a dict."""
    return {tag["Key"]: tag["Value"] for tag in tags or []}


@contextmanager
def ignoring_gone() -> Iterator[None]:
    """For deletions: AWS's answer that the thing does not exist is success."""
    try:
        yield
    except ClientError as error:
        if not is_gone(error):
            raise


def none_if_gone(call: Callable[..., Any], **arguments: Any) -> Any:
    """The answer of a call that describes one thing, or None when it does not exist."""
    try:
        return call(**arguments)
    except ClientError as error:
        if is_gone(error):
            return None
        raise


@contextmanager
def undoing(undo: Callable[[], Any]) -> Iterator[None]:
    """For the steps after the call that created something: when one fails, the thing is removed again."""
    try:
        yield
    except BaseException:
        with recording.unrecorded():
            undo()
        raise
