"""The gRPC service that the Pulumi engine starts as `pulumi-resource-aws`.

It dispatches to the handlers; what all resource types have in common happens here: secrets, unknown values in previews, default
tags, the comparison of inputs, and errors in clear words.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc
from typing_extensions import override

from local_cloud.provider import checks, wire
from local_cloud.provider.attempts import Attempts
from local_cloud.provider.framework import FUNCTIONS, REGISTRY, UNKNOWN, Aws, Function, Refused, ResourceType, load_handlers
from local_cloud.provider.plugin import clear_errors, serve

PROVIDER_ARGUMENTS: Final = frozenset({"region", "defaultTags", "allowedAccountIds"})
# What the SDK fills in by itself, or the engine adds; nothing here depends on it.
IGNORED_PROVIDER_ARGUMENTS: Final = frozenset(
    {"version", "skipCredentialsValidation", "skipMetadataApiCheck", "skipRegionValidation"}
)


class AwsProvider(provider_pb2_grpc.ResourceProviderServicer):
    """One provider process; the engine starts one for each provider resource of the program."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._configured: tuple[Aws, Attempts] | None = None

    # ---- the provider itself

    @override
    def Handshake(self, request, context):
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    @override
    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version=version("pulumi_aws"))

    @override
    def GetSchema(self, request, context):
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": "aws", "version": version("pulumi_aws")}))

    @override
    def Attach(self, request, context):
        return empty_pb2.Empty()

    @override
    def Cancel(self, request, context):
        return empty_pb2.Empty()

    @override
    def CheckConfig(self, request, context):
        with clear_errors(context, "the provider"):
            news, _ = wire.decode(request.news)
            failures = [
                provider_pb2.CheckFailure(
                    property=name, reason=f'the local cloud does not know the provider argument "{name}": leave it out'
                )
                for name in sorted(news.keys() - PROVIDER_ARGUMENTS - IGNORED_PROVIDER_ARGUMENTS)
            ]
            return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    @override
    def DiffConfig(self, request, context):
        with clear_errors(context, "the provider"):
            old, _ = wire.decode(request.old_inputs or request.olds)
            new, _ = wire.decode(request.news)
            differing = sorted(name for name in PROVIDER_ARGUMENTS if old.get(name) != new.get(name))
            # Another region is another set of resources; tags are compared resource by resource.
            replaces = [name for name in differing if name == "region"]
            return _diff_response(old, new, differing, replaces, delete_first=False)

    @override
    def Configure(self, request, context):
        with clear_errors(context, "the provider"):
            arguments, _ = wire.decode(request.args)
            region = arguments.get("region") or self._environment.get("AWS_REGION") or ""
            if not region or region is UNKNOWN:
                raise Refused("there is no AWS region: set aws:region in the stack's settings")
            tags = _from_json(arguments.get("defaultTags")) or {}
            aws = Aws(self._environment.get("AWS_ENDPOINT_URL", ""), region, tags.get("tags"))
            allowed = _from_json(arguments.get("allowedAccountIds"))
            if allowed and aws.account not in allowed:
                raise Refused(f"the account {aws.account} is not one of allowedAccountIds")
            self._configured = aws, Attempts(aws)
            return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    # ---- resources

    @override
    def Check(self, request, context):
        with clear_errors(context, _subject(request)):
            handler, name = _handler(request), _name(request.urn)
            given, secrets = wire.decode(request.news)
            old, _ = wire.decode(request.olds)
            inputs = {**handler.defaults, **given}
            inputs = checks.autonamed(handler, name, inputs, old, request.randomSeed)
            failures = [
                provider_pb2.CheckFailure(property=failure.property, reason=failure.reason)
                for failure in checks.check_arguments(handler, inputs)
            ]
            return provider_pb2.CheckResponse(inputs=wire.encode(inputs, secrets), failures=failures)

    @override
    def Diff(self, request, context):
        with clear_errors(context, _subject(request)):
            handler, name = _handler(request), _name(request.urn)
            self._attempts.know(request.urn, request.id)
            state, _ = wire.decode(request.olds)
            old, _ = wire.decode(request.old_inputs)
            new, _ = wire.decode(request.news)
            ignored = {path.partition(".")[0].partition("[")[0] for path in request.ignoreChanges}
            differing = {key for key in handler.arguments if old.get(key) != new.get(key)}
            if handler.takes_tags and not wire.contains_unknown(new.get("tags")):
                differing |= {"tags"} if self._aws.tags(new) != state.get("tagsAll") else set()
            differing -= ignored
            replaces = sorted(differing & handler.replaces)
            delete_first = bool(replaces) and checks.names_collide(handler, name, old, new)
            return _diff_response(old, new, sorted(differing), replaces, delete_first)

    @override
    def Create(self, request, context):
        with clear_errors(context, _subject(request)):
            handler = _handler(request)
            inputs, secrets = wire.decode(request.properties)
            if request.preview:
                planned = dict.fromkeys(handler.computed, UNKNOWN) | inputs
                return provider_pb2.CreateResponse(
                    id="", properties=wire.encode(self._with_tags(handler, inputs, planned), secrets)
                )
            _require_known(inputs)
            self._attempts.take_back_abandoned()
            resource_id, outputs = self._attempts.create(handler, request.urn, inputs)
            state = self._with_tags(handler, inputs, {**inputs, **outputs})
            return provider_pb2.CreateResponse(id=resource_id, properties=wire.encode(state, secrets | handler.secret_outputs))

    @override
    def Read(self, request, context):
        with clear_errors(context, _subject(request)):
            handler = _handler(request)
            state, secrets = wire.decode(request.properties)
            inputs, secret_inputs = wire.decode(request.inputs)
            if not state:
                raise Refused("cannot be adopted: the local cloud only reads what it created itself")
            live = handler.read(self._aws, request.id, state)
            if live is None:
                return provider_pb2.ReadResponse(id="")
            current = {**state, **live}
            # An argument that the program leaves to AWS stays out of the inputs, unless somebody changed it since.
            drifted = {name for name, value in live.items() if state.get(name) != value}
            live_inputs = {name: current.get(name) for name in handler.arguments & (inputs.keys() | drifted)}
            return provider_pb2.ReadResponse(
                id=request.id,
                properties=wire.encode(current, secrets | handler.secret_outputs),
                inputs=wire.encode(live_inputs, secret_inputs),
            )

    @override
    def Update(self, request, context):
        with clear_errors(context, _subject(request)):
            handler = _handler(request)
            old, old_secrets = wire.decode(request.olds)
            new, secrets = wire.decode(request.news)
            secrets |= handler.secret_outputs | (old_secrets - handler.arguments)
            old_inputs, _ = wire.decode(request.old_inputs)
            # What AWS decided stays, also where the program could have decided it but did not.
            decided = handler.computed - old_inputs.keys()
            kept = {name: value for name, value in old.items() if name not in handler.arguments or name in decided}
            if request.preview:
                planned = {**kept, **dict.fromkeys(handler.volatile, UNKNOWN), **new}
                return provider_pb2.UpdateResponse(properties=wire.encode(self._with_tags(handler, new, planned), secrets))
            _require_known(new)
            self._attempts.take_back_abandoned()
            outputs = handler.update(self._aws, request.id, old, new)
            state = self._with_tags(handler, new, {**kept, **new, **outputs})
            return provider_pb2.UpdateResponse(properties=wire.encode(state, secrets))

    @override
    def Delete(self, request, context):
        with clear_errors(context, _subject(request)):
            state, _ = wire.decode(request.properties)
            self._attempts.take_back_abandoned()
            self._attempts.delete(_handler(request), request.urn, request.id, state)
            return empty_pb2.Empty()

    # ---- invokes

    @override
    def Invoke(self, request, context):
        with clear_errors(context, request.tok):
            function = _function(request.tok)
            args, secrets = wire.decode(request.args)
            failures = [
                provider_pb2.CheckFailure(property=failure.property, reason=failure.reason)
                for failure in checks.check_function_arguments(function, args)
            ]
            if failures:
                return provider_pb2.InvokeResponse(failures=failures)
            answer = function.invoke(self._aws, args)
            response = provider_pb2.InvokeResponse()
            # "return" is a keyword of Python, so that the field cannot be written as an attribute.
            getattr(response, "return").CopyFrom(wire.encode(answer, set(answer) if secrets else set()))
            return response

    # ----

    @property
    def _aws(self) -> Aws:
        if self._configured is None:
            raise Refused("the provider was not configured")
        return self._configured[0]

    @property
    def _attempts(self) -> Attempts:
        if self._configured is None:
            raise Refused("the provider was not configured")
        return self._configured[1]

    def _with_tags(self, handler: ResourceType, inputs: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        if not handler.takes_tags:
            return state
        tags = inputs.get("tags")
        return {**state, "tagsAll": UNKNOWN if tags is UNKNOWN else self._aws.tags(inputs)}


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _type(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2]


def _subject(request: Any) -> str:
    return f'{_type(request.urn)} "{_name(request.urn)}"'


def _handler(request: Any) -> ResourceType:
    handler = REGISTRY.get(_type(request.urn))
    if handler is None:
        raise Refused("the local cloud does not know this resource type: leave it out or add a handler in local_cloud/provider")
    return handler


def _function(token: str) -> Function:
    function = FUNCTIONS.get(token)
    if function is None:
        raise Refused("the local cloud does not know this invoke: leave it out or add a handler in local_cloud/provider")
    return function


def _require_known(inputs: Mapping[str, Any]) -> None:
    unknown = sorted(name for name, value in inputs.items() if wire.contains_unknown(value))
    if unknown:
        raise Refused(f"these arguments have no value yet: {', '.join(unknown)}")


def _from_json(value: Any) -> Any:
    """The SDK sends the provider's own objects and lists as JSON texts."""
    return json.loads(value) if isinstance(value, str) else value


def _diff_response(
    old: Mapping[str, Any], new: Mapping[str, Any], differing: list[str], replaces: list[str], delete_first: bool
) -> provider_pb2.DiffResponse:
    kinds = provider_pb2.PropertyDiff
    detailed = {}
    for name in differing:
        replace = name in replaces
        if old.get(name) is None:
            kind = kinds.ADD_REPLACE if replace else kinds.ADD
        elif new.get(name) is None:
            kind = kinds.DELETE_REPLACE if replace else kinds.DELETE
        else:
            kind = kinds.UPDATE_REPLACE if replace else kinds.UPDATE
        detailed[name] = provider_pb2.PropertyDiff(kind=kind, inputDiff=True)
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if differing else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=differing,
        replaces=replaces,
        deleteBeforeReplace=delete_first,
        detailedDiff=detailed,
        hasDetailedDiff=True,
    )


def main() -> None:
    """Entry point of pulumi-resource-aws."""
    load_handlers()
    serve(AwsProvider(os.environ))


if __name__ == "__main__":
    main()
