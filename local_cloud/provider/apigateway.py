"""API Gateway: the REST API with its resources, methods and answers, and its stage, domain, usage plans and account."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, ClassVar

from local_cloud.provider.framework import (
    MAP,
    Aws,
    Inputs,
    ResourceType,
    changed,
    ignoring_gone,
    none_if_gone,
    register,
    same_json,
    tag_changes,
    undoing,
)
from local_cloud.provider.names import given, live, one, replacing


def _arn(aws: Aws, path: str) -> str:
    return f"arn:{aws.partition}:apigateway:{aws.region}::{path}"


def _update_tags(aws: Aws, arn: str, old: dict[str, Any], new: Inputs) -> None:
    to_set, to_remove = tag_changes(aws, old, new)
    if to_remove:
        aws.client("apigateway").untag_resource(resourceArn=arn, tagKeys=to_remove)
    if to_set:
        aws.client("apigateway").tag_resource(resourceArn=arn, tags=to_set)


ENDPOINT = {"types": None, "ipAddressType": None}


def _endpoint_configuration(inputs: Inputs) -> dict[str, Any] | None:
    """As the API wants it: a list of one type, which Pulumi holds as a text."""
    configuration = one(inputs.get("endpointConfiguration"))
    return configuration and {"types": [configuration["types"]]} | given(ipAddressType=configuration.get("ipAddressType"))


def _live_endpoint(state: Inputs, found: dict[str, Any]) -> dict[str, Any]:
    """The way back: one type, and the kind of addresses where the program says it."""
    configuration = found.get("endpointConfiguration") or {}
    said = one(state.get("endpointConfiguration")) or {}
    return {"types": configuration["types"][0]} | live(said, ipAddressType=configuration.get("ipAddressType"))


def _endpoint_patches(old: Inputs, new: Inputs) -> list[dict[str, str]]:
    before, after = one(old.get("endpointConfiguration")) or {}, one(new.get("endpointConfiguration")) or {}
    was, will = ({"types": "EDGE", "ipAddressType": "ipv4"} | given(**each) for each in (before, after))
    patches = []
    if was["types"] != will["types"]:
        patches.append(replacing(f"/endpointConfiguration/types/{was['types']}", will["types"]))
    if was["ipAddressType"] != will["ipAddressType"]:
        patches.append(replacing("/endpointConfiguration/ipAddressType", will["ipAddressType"]))
    return patches


def _policy_text(api: dict[str, Any], said: str | None) -> str | None:
    """A REST API's policy, whose quotes come back escaped once more; the program's own text when the two say the same."""
    return same_json(json.loads(f'"{api["policy"]}"'), said) if api.get("policy") else None


def _escape(key: str) -> str:
    """A key as one part of a patch path (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _map_patches(path: str, old: dict[str, Any] | None, new: dict[str, Any] | None, added: str) -> list[dict[str, str]]:
    """The patch operations from one map to another; `added` is the operation that sets an entry."""
    before, after = old or {}, new or {}
    removals = [{"op": "remove", "path": f"{path}/{_escape(key)}"} for key in sorted(before.keys() - after.keys())]
    return removals + [
        {**replacing(f"{path}/{_escape(key)}", value), "op": added}
        for key, value in sorted(after.items())
        if before.get(key) != value
    ]


@register
class RestApi(ResourceType):
    token = "aws:apigateway/restApi:RestApi"
    arguments = frozenset(
        {
            "name",
            "description",
            "endpointConfiguration",
            "policy",
            "binaryMediaTypes",
            "disableExecuteApiEndpoint",
            "securityPolicy",
            "endpointAccessMode",
            "tags",
        }
    )
    nested: ClassVar = {"endpointConfiguration": ENDPOINT}
    computed = frozenset({"arn", "executionArn", "rootResourceId", "createdDate"})
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        api = aws.client("apigateway").create_rest_api(
            name=inputs["name"],
            tags=aws.tags(inputs),
            **given(
                description=inputs.get("description"),
                endpointConfiguration=_endpoint_configuration(inputs),
                policy=inputs.get("policy"),
                binaryMediaTypes=inputs.get("binaryMediaTypes"),
                disableExecuteApiEndpoint=inputs.get("disableExecuteApiEndpoint"),
                securityPolicy=inputs.get("securityPolicy"),
                endpointAccessMode=inputs.get("endpointAccessMode"),
            ),
        )
        return api["id"], self._outputs(aws, api)

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        api = none_if_gone(aws.client("apigateway").get_rest_api, restApiId=resource_id)
        if api is None:
            return None
        found = live(
            state,
            name=api["name"],
            description=api.get("description"),
            policy=_policy_text(api, state.get("policy")),
            binaryMediaTypes=api.get("binaryMediaTypes", []),
            disableExecuteApiEndpoint=api.get("disableExecuteApiEndpoint"),
            securityPolicy=api.get("securityPolicy"),
            endpointAccessMode=api.get("endpointAccessMode"),
            endpointConfiguration=_live_endpoint(state, api),
        )
        return found | self._outputs(aws, api) | {"tagsAll": api.get("tags") or {}}

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        plain = self.arguments - {"tags", "endpointConfiguration", "binaryMediaTypes"}
        patches = [replacing(f"/{name}", new.get(name)) for name in sorted(changed(old, new, plain))]
        patches += _endpoint_patches(old, new)
        before, after = set(old.get("binaryMediaTypes") or []), set(new.get("binaryMediaTypes") or [])
        for operation, names in (("remove", before - after), ("add", after - before)):
            patches += [{"op": operation, "path": f"/binaryMediaTypes/{_escape(name)}", "value": name} for name in sorted(names)]
        if patches:
            aws.client("apigateway").update_rest_api(restApiId=resource_id, patchOperations=patches)
        _update_tags(aws, _arn(aws, f"/restapis/{resource_id}"), old, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("apigateway").delete_rest_api(restApiId=resource_id)

    def _outputs(self, aws: Aws, api: dict[str, Any]) -> dict[str, Any]:
        return {
            "arn": _arn(aws, f"/restapis/{api['id']}"),
            "executionArn": aws.arn("execute-api", api["id"]),
            "rootResourceId": api["rootResourceId"],
            "createdDate": api["createdDate"].isoformat(),
        }


@register
class RestApiPolicy(ResourceType):
    """The API's policy as a resource of its own, for one that names the API."""

    token = "aws:apigateway/restApiPolicy:RestApiPolicy"
    arguments = frozenset({"restApiId", "policy"})
    required = arguments
    replaces = frozenset({"restApiId"})
    delete_before_replace = True  # an API has one policy

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._set(aws, inputs["restApiId"], inputs["policy"])
        return inputs["restApiId"], {}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        api = none_if_gone(aws.client("apigateway").get_rest_api, restApiId=resource_id)
        policy = api and _policy_text(api, state["policy"])
        return {"policy": policy} if policy else None

    def update(self, aws: Aws, resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._set(aws, resource_id, new["policy"])
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            self._set(aws, resource_id, None)

    def _set(self, aws: Aws, api: str, policy: str | None) -> None:
        aws.client("apigateway").update_rest_api(restApiId=api, patchOperations=[replacing("/policy", policy)])


@register
class Resource(ResourceType):
    token = "aws:apigateway/resource:Resource"
    arguments = frozenset({"restApi", "parentId", "pathPart"})
    required = arguments
    replaces = arguments
    computed = frozenset({"path"})
    delete_before_replace = True  # two resources of one path are refused

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        resource = aws.client("apigateway").create_resource(
            restApiId=inputs["restApi"], parentId=inputs["parentId"], pathPart=inputs["pathPart"]
        )
        return resource["id"], {"path": resource["path"]}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        found = none_if_gone(aws.client("apigateway").get_resource, restApiId=state["restApi"], resourceId=resource_id)
        return found and {"path": found["path"], "pathPart": found["pathPart"], "parentId": found["parentId"]}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("apigateway").delete_resource(restApiId=state["restApi"], resourceId=resource_id)


class _OfMethod(ResourceType):
    """What is addressed by API, resource and HTTP method."""

    def _place(self, inputs: Inputs) -> dict[str, Any]:
        return {"restApiId": inputs["restApi"], "resourceId": inputs["resourceId"], "httpMethod": inputs["httpMethod"]}

    def _id(self, prefix: str, inputs: Inputs) -> str:
        return "-".join([prefix, inputs["restApi"], inputs["resourceId"], inputs["httpMethod"]])


@register
class Method(_OfMethod):
    token = "aws:apigateway/method:Method"
    arguments = frozenset(
        {
            "restApi",
            "resourceId",
            "httpMethod",
            "authorization",
            "authorizerId",
            "apiKeyRequired",
            "operationName",
            "requestParameters",
            "requestModels",
            "requestValidatorId",
        }
    )
    required = frozenset({"restApi", "resourceId", "httpMethod", "authorization"})
    replaces = frozenset({"restApi", "resourceId", "httpMethod"})
    nested: ClassVar = {"requestParameters": MAP, "requestModels": MAP}
    delete_before_replace = True

    # Pulumi's name of an argument -> the API's.
    PLAIN: ClassVar = {
        "authorization": "authorizationType",
        "authorizerId": "authorizerId",
        "apiKeyRequired": "apiKeyRequired",
        "operationName": "operationName",
        "requestValidatorId": "requestValidatorId",
    }

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        plain = given(**{api: inputs.get(name) for name, api in self.PLAIN.items()})
        maps = given(**{name: inputs.get(name) for name in self.nested})
        aws.client("apigateway").put_method(**self._place(inputs), **plain, **maps)
        return self._id("agm", inputs), {}

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        found = none_if_gone(aws.client("apigateway").get_method, **self._place(state))
        if found is None:
            return None
        plain = {name: found.get(api) for name, api in self.PLAIN.items()}
        return live(state, **plain, **{name: found.get(name) or {} for name in self.nested})

    def update(self, aws: Aws, _resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        patches = [replacing(f"/{self.PLAIN[name]}", new.get(name)) for name in sorted(changed(old, new, set(self.PLAIN)))]
        for name in self.nested:
            patches += _map_patches(f"/{name}", old.get(name), new.get(name), "add")
        aws.client("apigateway").update_method(**self._place(new), patchOperations=patches)
        return {}

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("apigateway").delete_method(**self._place(state))


@register
class Integration(_OfMethod):
    """PutIntegration replaces a method's integration as a whole, so that it serves updates as well."""

    token = "aws:apigateway/integration:Integration"
    arguments = frozenset(
        {
            "restApi",
            "resourceId",
            "httpMethod",
            "type",
            "integrationHttpMethod",
            "uri",
            "connectionType",
            "connectionId",
            "integrationTarget",
            "requestParameters",
            "passthroughBehavior",
            "timeoutMilliseconds",
            "tlsConfig",
        }
    )
    required = frozenset({"restApi", "resourceId", "httpMethod", "type"})
    replaces = frozenset({"restApi", "resourceId", "httpMethod", "type"})
    nested: ClassVar = {"requestParameters": MAP, "tlsConfig": {"insecureSkipVerification": None}}
    delete_before_replace = True

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs)
        return self._id("agi", inputs), {}

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        found = none_if_gone(aws.client("apigateway").get_integration, **self._place(state))
        if found is None:
            return None
        return live(
            state,
            type=found["type"],
            integrationHttpMethod=found.get("httpMethod"),
            uri=found.get("uri"),
            connectionType=found.get("connectionType"),
            connectionId=found.get("connectionId"),
            integrationTarget=found.get("integrationTarget"),
            requestParameters=found.get("requestParameters") or {},
            passthroughBehavior=found.get("passthroughBehavior"),
            timeoutMilliseconds=found.get("timeoutInMillis"),
            tlsConfig=found.get("tlsConfig"),
        )

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, new)
        return {}

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("apigateway").delete_integration(**self._place(state))

    def _put(self, aws: Aws, inputs: Inputs) -> None:
        aws.client("apigateway").put_integration(
            **self._place(inputs),
            type=inputs["type"],
            **given(
                integrationHttpMethod=inputs.get("integrationHttpMethod"),
                uri=inputs.get("uri"),
                connectionType=inputs.get("connectionType"),
                connectionId=inputs.get("connectionId"),
                integrationTarget=inputs.get("integrationTarget"),
                requestParameters=inputs.get("requestParameters"),
                passthroughBehavior=inputs.get("passthroughBehavior"),
                timeoutInMillis=inputs.get("timeoutMilliseconds"),
                tlsConfig=one(inputs.get("tlsConfig")),
            ),
        )


@register
class Authorizer(ResourceType):
    token = "aws:apigateway/authorizer:Authorizer"
    arguments = frozenset(
        {
            "restApi",
            "name",
            "type",
            "authorizerUri",
            "authorizerCredentials",
            "identitySource",
            "authorizerResultTtlInSeconds",
        }
    )
    required = frozenset({"restApi"})
    replaces = frozenset({"restApi", "type"})
    computed = frozenset({"arn"})
    unique = "name"
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        settings = {name: inputs.get(name) for name in self.arguments - {"restApi", "type"}}
        authorizer = aws.client("apigateway").create_authorizer(
            restApiId=inputs["restApi"], type=inputs.get("type") or "TOKEN", **given(**settings)
        )
        return authorizer["id"], {"arn": _arn(aws, f"/restapis/{inputs['restApi']}/authorizers/{authorizer['id']}")}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        found = none_if_gone(aws.client("apigateway").get_authorizer, restApiId=state["restApi"], authorizerId=resource_id)
        return found and live(state, **{name: found.get(name) for name in self.arguments - {"restApi"}})

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        patches = [replacing(f"/{name}", new.get(name)) for name in sorted(changed(old, new, self.arguments))]
        aws.client("apigateway").update_authorizer(restApiId=new["restApi"], authorizerId=resource_id, patchOperations=patches)
        return {}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("apigateway").delete_authorizer(restApiId=state["restApi"], authorizerId=resource_id)


@register
class RequestValidator(ResourceType):
    token = "aws:apigateway/requestValidator:RequestValidator"
    arguments = frozenset({"restApi", "name", "validateRequestBody", "validateRequestParameters"})
    required = frozenset({"restApi"})
    replaces = frozenset({"restApi"})
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        settings = {name: inputs.get(name) for name in self.arguments - {"restApi"}}
        made = aws.client("apigateway").create_request_validator(restApiId=inputs["restApi"], **given(**settings))
        return made["id"], {}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        found = none_if_gone(
            aws.client("apigateway").get_request_validator, restApiId=state["restApi"], requestValidatorId=resource_id
        )
        return found and live(state, **{name: found.get(name) for name in self.arguments - {"restApi"}})

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        patches = [
            replacing(f"/{name}", new.get(name, False)) for name in sorted(changed(old, new, self.arguments - {"restApi"}))
        ]
        aws.client("apigateway").update_request_validator(
            restApiId=new["restApi"], requestValidatorId=resource_id, patchOperations=patches
        )
        return {}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("apigateway").delete_request_validator(restApiId=state["restApi"], requestValidatorId=resource_id)


@register
class Model(ResourceType):
    token = "aws:apigateway/model:Model"
    arguments = frozenset({"restApi", "name", "contentType", "description", "schema"})
    required = frozenset({"restApi", "contentType", "schema"})
    replaces = frozenset({"restApi", "name", "contentType"})
    unique = "name"
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        made = aws.client("apigateway").create_model(
            restApiId=inputs["restApi"],
            name=inputs["name"],
            contentType=inputs["contentType"],
            schema=inputs["schema"],
            **given(description=inputs.get("description")),
        )
        return made["id"], {}

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        found = none_if_gone(aws.client("apigateway").get_model, **self._place(state))
        schema = found and same_json(found["schema"], state["schema"])
        return found and live(state, schema=schema, description=found.get("description"), contentType=found["contentType"])

    def update(self, aws: Aws, _resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        patches = [replacing(f"/{name}", new.get(name)) for name in sorted(changed(old, new, {"schema", "description"}))]
        aws.client("apigateway").update_model(**self._place(new), patchOperations=patches)
        return {}

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("apigateway").delete_model(**self._place(state))

    def _place(self, inputs: Inputs) -> dict[str, Any]:
        return {"restApiId": inputs["restApi"], "modelName": inputs["name"]}


@register
class Response(ResourceType):
    """A gateway response: what API Gateway answers by itself."""

    token = "aws:apigateway/response:Response"
    arguments = frozenset({"restApiId", "responseType", "statusCode", "responseParameters", "responseTemplates"})
    required = frozenset({"restApiId", "responseType"})
    replaces = frozenset({"restApiId", "responseType"})
    nested: ClassVar = {"responseParameters": MAP, "responseTemplates": MAP}
    delete_before_replace = True

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs)
        return f"aggr-{inputs['restApiId']}-{inputs['responseType']}", {}

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        found = none_if_gone(aws.client("apigateway").get_gateway_response, **self._place(state))
        if found is None:
            return None
        settings = {name: found.get(name) or {} for name in self.nested}
        return live(state, statusCode=found.get("statusCode"), **settings)

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, new)
        return {}

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("apigateway").delete_gateway_response(**self._place(state))

    def _place(self, inputs: Inputs) -> dict[str, Any]:
        return {"restApiId": inputs["restApiId"], "responseType": inputs["responseType"]}

    def _put(self, aws: Aws, inputs: Inputs) -> None:
        settings = {name: inputs.get(name) for name in ("statusCode", "responseParameters", "responseTemplates")}
        aws.client("apigateway").put_gateway_response(**self._place(inputs), **given(**settings))


@register
class Deployment(ResourceType):
    """A snapshot of the API: whatever the program names in `triggers` makes another one."""

    token = "aws:apigateway/deployment:Deployment"
    arguments = frozenset({"restApi", "description", "triggers"})
    required = frozenset({"restApi"})
    replaces = frozenset({"restApi", "triggers"})
    nested: ClassVar = {"triggers": MAP}
    computed = frozenset({"createdDate"})

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        made = aws.client("apigateway").create_deployment(
            restApiId=inputs["restApi"], **given(description=inputs.get("description"))
        )
        return made["id"], {"createdDate": made["createdDate"].isoformat()}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        found = none_if_gone(aws.client("apigateway").get_deployment, restApiId=state["restApi"], deploymentId=resource_id)
        return found and live(state, description=found.get("description")) | {"createdDate": found["createdDate"].isoformat()}

    def update(self, aws: Aws, resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        patches = [replacing("/description", new.get("description"))]
        aws.client("apigateway").update_deployment(restApiId=new["restApi"], deploymentId=resource_id, patchOperations=patches)
        return {}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("apigateway").delete_deployment(restApiId=state["restApi"], deploymentId=resource_id)


@register
class Stage(ResourceType):
    token = "aws:apigateway/stage:Stage"
    arguments = frozenset(
        {
            "restApi",
            "stageName",
            "deployment",
            "description",
            "accessLogSettings",
            "clientCertificateId",
            "variables",
            "xrayTracingEnabled",
            "tags",
        }
    )
    required = frozenset({"restApi", "stageName", "deployment"})
    replaces = frozenset({"restApi", "stageName"})
    nested: ClassVar = {"accessLogSettings": {"destinationArn": None, "format": None}, "variables": MAP}
    computed = frozenset({"arn", "executionArn", "invokeUrl"})
    unique = "stageName"

    # Pulumi's name of an argument -> the patch path.
    PLAIN: ClassVar = {
        "clientCertificateId": "/clientCertificateId",
        "deployment": "/deploymentId",
        "description": "/description",
        "xrayTracingEnabled": "/tracingEnabled",
    }

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        client, place = aws.client("apigateway"), self._place(inputs)
        client.create_stage(
            **place,
            deploymentId=inputs["deployment"],
            tags=aws.tags(inputs),
            **given(
                description=inputs.get("description"),
                variables=inputs.get("variables"),
                tracingEnabled=inputs.get("xrayTracingEnabled"),
            ),
        )
        with undoing(lambda: client.delete_stage(**place)):
            # CreateStage takes neither.
            patches = self._log_patches(inputs)
            if inputs.get("clientCertificateId") is not None:
                patches.append(replacing("/clientCertificateId", inputs["clientCertificateId"]))
            if patches:
                client.update_stage(**place, patchOperations=patches)
        return f"ags-{inputs['restApi']}-{inputs['stageName']}", self._outputs(aws, inputs)

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        found = none_if_gone(aws.client("apigateway").get_stage, **self._place(state))
        if found is None:
            return None
        arguments = live(
            state,
            clientCertificateId=found.get("clientCertificateId"),
            deployment=found["deploymentId"],
            description=found.get("description"),
            variables=found.get("variables") or {},
            xrayTracingEnabled=found.get("tracingEnabled"),
            accessLogSettings=found.get("accessLogSettings"),
        )
        web_acl = given(webAclArn=found.get("webAclArn"))
        return arguments | self._outputs(aws, state) | web_acl | {"tagsAll": found.get("tags") or {}}

    def update(self, aws: Aws, _resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        patches = [replacing(self.PLAIN[name], new.get(name)) for name in sorted(changed(old, new, set(self.PLAIN)))]
        patches += _map_patches("/variables", old.get("variables"), new.get("variables"), "replace")
        if changed(old, new, {"accessLogSettings"}):
            patches += self._log_patches(new) or [{"op": "remove", "path": "/accessLogSettings"}]
        if patches:
            aws.client("apigateway").update_stage(**self._place(new), patchOperations=patches)
        outputs = self._outputs(aws, new)
        _update_tags(aws, outputs["arn"], old, new)
        return outputs

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("apigateway").delete_stage(**self._place(state))

    def _place(self, inputs: Inputs) -> dict[str, Any]:
        return {"restApiId": inputs["restApi"], "stageName": inputs["stageName"]}

    def _log_patches(self, inputs: Inputs) -> list[dict[str, str]]:
        settings = one(inputs.get("accessLogSettings"))
        return [replacing(f"/accessLogSettings/{name}", settings[name]) for name in sorted(settings)] if settings else []

    def _outputs(self, aws: Aws, inputs: Inputs) -> dict[str, Any]:
        api, stage = inputs["restApi"], inputs["stageName"]
        return {
            "arn": _arn(aws, f"/restapis/{api}/stages/{stage}"),
            "executionArn": aws.arn("execute-api", f"{api}/{stage}"),
            "invokeUrl": f"https://{api}.execute-api.{aws.region}.amazonaws.com/{stage}",
        }


@register
class ClientCertificate(ResourceType):
    """What API Gateway shows to the services behind it. It makes the key itself and gives it to nobody."""

    token = "aws:apigateway/clientCertificate:ClientCertificate"
    arguments = frozenset({"description", "tags"})
    computed = frozenset({"arn", "createdDate", "expirationDate", "pemEncodedCertificate"})

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        made = aws.client("apigateway").generate_client_certificate(
            tags=aws.tags(inputs), **given(description=inputs.get("description"))
        )
        return made["clientCertificateId"], self._outputs(aws, made)

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        found = none_if_gone(aws.client("apigateway").get_client_certificate, clientCertificateId=resource_id)
        if found is None:
            return None
        arguments = live(state, description=found.get("description"))
        return arguments | self._outputs(aws, found) | {"tagsAll": found.get("tags") or {}}

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        if changed(old, new, {"description"}):
            patches = [replacing("/description", new.get("description"))]
            aws.client("apigateway").update_client_certificate(clientCertificateId=resource_id, patchOperations=patches)
        _update_tags(aws, old["arn"], old, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("apigateway").delete_client_certificate(clientCertificateId=resource_id)

    def _outputs(self, aws: Aws, found: dict[str, Any]) -> dict[str, Any]:
        return {
            "arn": _arn(aws, f"/clientcertificates/{found['clientCertificateId']}"),
            "createdDate": found["createdDate"].isoformat(),
            "expirationDate": found["expirationDate"].isoformat(),
            "pemEncodedCertificate": found["pemEncodedCertificate"],
        }


LIMITS = ("rateLimit", "burstLimit")
_Stages = dict[str, dict[str, dict[str, Any]]]
"""``<API>:<stage>`` -> path and method -> limits."""


@register
class UsagePlan(ResourceType):
    """Quotas and product codes are left out: nothing here would enforce the one or sell by the other."""

    token = "aws:apigateway/usagePlan:UsagePlan"
    arguments = frozenset({"name", "description", "apiStages", "throttleSettings", "tags"})
    nested: ClassVar = {
        "apiStages": {"apiId": None, "stage": None, "throttles": {"path": None, **dict.fromkeys(LIMITS)}},
        "throttleSettings": dict.fromkeys(LIMITS),
    }
    computed = frozenset({"arn"})
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        stages = [
            {"apiId": stage["apiId"], "stage": stage["stage"]}
            | given(throttle={each["path"]: self._limits(each) for each in stage.get("throttles") or []} or None)
            for stage in inputs.get("apiStages") or []
        ]
        made = aws.client("apigateway").create_usage_plan(
            name=inputs["name"],
            apiStages=stages,
            tags=aws.tags(inputs),
            **given(description=inputs.get("description"), throttle=one(inputs.get("throttleSettings"))),
        )
        return made["id"], {"arn": _arn(aws, f"/usageplans/{made['id']}")}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        found = none_if_gone(aws.client("apigateway").get_usage_plan, usagePlanId=resource_id)
        if found is None:
            return None
        stages = {f"{stage['apiId']}:{stage['stage']}": stage.get("throttle") or {} for stage in found.get("apiStages") or []}
        arguments = live(
            state,
            name=found["name"],
            description=found.get("description"),
            throttleSettings=found.get("throttle"),
            # The lists are sets to AWS.
            apiStages=state.get("apiStages") if stages == self._stages(state) else [{"live": stages}],
        )
        arn = _arn(aws, f"/usageplans/{resource_id}")
        return arguments | {"arn": arn, "tagsAll": found.get("tags") or {}}

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        patches = [replacing(f"/{name}", new.get(name)) for name in sorted(changed(old, new, {"name", "description"}))]
        if changed(old, new, {"throttleSettings"}):
            limits = one(new.get("throttleSettings")) or {}
            patches.append({"op": "remove", "path": "/throttle"})
            patches += [replacing(f"/throttle/{name}", limits[name]) | {"op": "add"} for name in sorted(limits)]
        before, after = self._stages(old), self._stages(new)
        # A stage whose limits change is taken out and put in again: what the program no longer says is then gone.
        patches += self._without(name for name in self._live_stages(aws, resource_id) if before.get(name) != after.get(name))
        for name in sorted(name for name in after if after[name] != before.get(name)):
            patches.append({"op": "add", "path": "/apiStages", "value": name})
            patches += [
                replacing(f"/apiStages/{name}/throttle/{_escape(path)}/{limit}", value)
                for path, limits in sorted(after[name].items())
                for limit, value in sorted(limits.items())
            ]
        if patches:
            aws.client("apigateway").update_usage_plan(usagePlanId=resource_id, patchOperations=patches)
        _update_tags(aws, old["arn"], old, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        client = aws.client("apigateway")
        with ignoring_gone():
            # A plan with stages is not deleted.
            patches = self._without(self._live_stages(aws, resource_id))
            if patches:
                client.update_usage_plan(usagePlanId=resource_id, patchOperations=patches)
            client.delete_usage_plan(usagePlanId=resource_id)

    @staticmethod
    def _live_stages(aws: Aws, resource_id: str) -> list[str]:
        """The stages that are there now: an attempt before this one may have got half-way."""
        plan = aws.client("apigateway").get_usage_plan(usagePlanId=resource_id)
        return [f"{stage['apiId']}:{stage['stage']}" for stage in plan.get("apiStages") or []]

    def _without(self, stages: Iterable[str]) -> list[dict[str, str]]:
        return [{"op": "remove", "path": "/apiStages", "value": name} for name in sorted(stages)]

    def _stages(self, inputs: Inputs) -> _Stages:
        return {
            f"{stage['apiId']}:{stage['stage']}": {each["path"]: self._limits(each) for each in stage.get("throttles") or []}
            for stage in inputs.get("apiStages") or []
        }

    @staticmethod
    def _limits(throttle: dict[str, Any]) -> dict[str, Any]:
        return given(**{name: throttle.get(name) for name in LIMITS})


# Pulumi's name of a method setting -> its part of the patch path.
# https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateStage-Patch
METHOD_SETTINGS = {
    "throttlingRateLimit": "throttling/rateLimit",
    "throttlingBurstLimit": "throttling/burstLimit",
    "loggingLevel": "logging/loglevel",
    "dataTraceEnabled": "logging/dataTrace",
    "metricsEnabled": "metrics/enabled",
    "cachingEnabled": "caching/enabled",
}


@register
class MethodSettings(ResourceType):
    token = "aws:apigateway/methodSettings:MethodSettings"
    arguments = frozenset({"restApi", "stageName", "methodPath", "settings"})
    required = arguments
    replaces = frozenset({"restApi", "stageName", "methodPath"})
    nested: ClassVar = {"settings": dict.fromkeys(METHOD_SETTINGS)}
    delete_before_replace = True

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._patch(aws, inputs, self._replacements(inputs))
        return f"{inputs['restApi']}-{inputs['stageName']}-{inputs['methodPath']}", {}

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        stage = none_if_gone(aws.client("apigateway").get_stage, restApiId=state["restApi"], stageName=state["stageName"])
        found = (stage or {}).get("methodSettings", {}).get(state["methodPath"])
        return found and {"settings": {name: found.get(name) for name in one(state["settings"])}}

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        # Removed first: a setting that the program no longer names goes back to its default.
        self._patch(aws, new, [{"op": "remove", "path": f"/{new['methodPath']}"}])
        self._patch(aws, new, self._replacements(new))
        return {}

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            self._patch(aws, state, [{"op": "remove", "path": f"/{state['methodPath']}"}])

    def _replacements(self, inputs: Inputs) -> list[dict[str, str]]:
        settings = one(inputs["settings"])
        return [replacing(f"/{inputs['methodPath']}/{METHOD_SETTINGS[name]}", settings[name]) for name in sorted(settings)]

    def _patch(self, aws: Aws, inputs: Inputs, patches: list[dict[str, str]]) -> None:
        place = {"restApiId": inputs["restApi"], "stageName": inputs["stageName"]}
        aws.client("apigateway").update_stage(**place, patchOperations=patches)


@register
class Account(ResourceType):
    """The one account-wide setting of a region; deleting it takes the role away."""

    token = "aws:apigateway/account:Account"
    arguments = frozenset({"cloudwatchRoleArn"})

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._set(aws, inputs.get("cloudwatchRoleArn"))
        return "api-gateway-account", {}

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        return live(state, cloudwatchRoleArn=aws.client("apigateway").get_account().get("cloudwatchRoleArn"))

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._set(aws, new.get("cloudwatchRoleArn"))
        return {}

    def delete(self, aws: Aws, _resource_id: str, _state: dict[str, Any], /) -> None:
        self._set(aws, None)

    def _set(self, aws: Aws, role: str | None) -> None:
        aws.client("apigateway").update_account(patchOperations=[replacing("/cloudwatchRoleArn", role)])


@register
class DomainName(ResourceType):
    token = "aws:apigateway/domainName:DomainName"
    arguments = frozenset(
        {"domainName", "regionalCertificateArn", "endpointConfiguration", "securityPolicy", "endpointAccessMode", "tags"}
    )
    required = frozenset({"domainName", "regionalCertificateArn"})
    replaces = frozenset({"domainName"})
    nested: ClassVar = {"endpointConfiguration": ENDPOINT}
    computed = frozenset({"arn", "regionalDomainName", "regionalZoneId"})
    unique = "domainName"

    UPDATED: ClassVar = frozenset({"regionalCertificateArn", "securityPolicy", "endpointAccessMode"})

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        found = aws.client("apigateway").create_domain_name(
            domainName=inputs["domainName"],
            tags=aws.tags(inputs),
            **given(endpointConfiguration=_endpoint_configuration(inputs)),
            **given(**{name: inputs.get(name) for name in self.UPDATED}),
        )
        return inputs["domainName"], self._outputs(aws, found)

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        found = none_if_gone(aws.client("apigateway").get_domain_name, domainName=resource_id)
        if found is None:
            return None
        arguments = live(
            state,
            endpointConfiguration=_live_endpoint(state, found),
            **{name: found.get(name) for name in self.UPDATED},
        )
        return arguments | self._outputs(aws, found) | {"tagsAll": found.get("tags") or {}}

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        patches = [replacing(f"/{name}", new.get(name)) for name in sorted(changed(old, new, self.UPDATED))]
        patches += _endpoint_patches(old, new)
        if patches:
            aws.client("apigateway").update_domain_name(domainName=resource_id, patchOperations=patches)
        _update_tags(aws, old["arn"], old, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("apigateway").delete_domain_name(domainName=resource_id)

    def _outputs(self, aws: Aws, found: dict[str, Any]) -> dict[str, Any]:
        return {
            "arn": _arn(aws, f"/domainnames/{found['domainName']}"),
            "regionalDomainName": found["regionalDomainName"],
            "regionalZoneId": found["regionalHostedZoneId"],
        }


@register
class BasePathMapping(ResourceType):
    token = "aws:apigateway/basePathMapping:BasePathMapping"
    arguments = frozenset({"domainName", "restApi", "stageName", "basePath"})
    required = frozenset({"domainName", "restApi"})
    replaces = frozenset({"domainName", "basePath"})
    delete_before_replace = True

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        aws.client("apigateway").create_base_path_mapping(
            domainName=inputs["domainName"],
            restApiId=inputs["restApi"],
            **given(stage=inputs.get("stageName"), basePath=inputs.get("basePath")),
        )
        return f"{inputs['domainName']}/{inputs.get('basePath') or ''}", {}

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        found = none_if_gone(aws.client("apigateway").get_base_path_mapping, **self._place(state))
        return found and live(state, restApi=found["restApiId"], stageName=found.get("stage"))

    def update(self, aws: Aws, _resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        paths = {"restApi": "/restapiId", "stageName": "/stage"}
        patches = [replacing(paths[name], new.get(name)) for name in sorted(changed(old, new, set(paths)))]
        aws.client("apigateway").update_base_path_mapping(**self._place(new), patchOperations=patches)
        return {}

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("apigateway").delete_base_path_mapping(**self._place(state))

    def _place(self, inputs: Inputs) -> dict[str, Any]:
        # The empty base path has a name of its own in the API.
        return {"domainName": inputs["domainName"], "basePath": inputs.get("basePath") or "(none)"}
