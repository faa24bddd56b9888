"""Lambda: functions deployed through a bucket, and who may invoke them."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

import json
from typing import Any, ClassVar

from local_cloud.provider.framework import (
    MAP,
    Aws,
    Inputs,
    Refused,
    ResourceType,
    changed,
    ignoring_gone,
    none_if_gone,
    register,
    tag_changes,
    undoing,
)
from local_cloud.provider.names import given, live, one, to_aws

CODE_ARGUMENTS = frozenset({"s3Bucket", "s3Key", "s3ObjectVersion", "sourceCodeHash", "architectures"})


@register
class Function(ResourceType):
    token = "aws:lambda/function:Function"
    arguments = CODE_ARGUMENTS | {
        "name",
        "role",
        "description",
        "runtime",
        "handler",
        "memorySize",
        "timeout",
        "environment",
        "loggingConfig",
        "tracingConfig",
        "ephemeralStorage",
        "kmsKeyArn",
        "reservedConcurrentExecutions",
        "tags",
    }
    required = frozenset({"role", "runtime", "handler", "s3Bucket", "s3Key"})
    replaces = frozenset({"name"})
    nested: ClassVar = {
        "environment": {"variables": MAP},
        "loggingConfig": {"logFormat": None, "logGroup": None, "applicationLogLevel": None, "systemLogLevel": None},
        "tracingConfig": {"mode": None},
        "ephemeralStorage": {"size": None},
    }
    computed = frozenset(
        {
            "arn",
            "invokeArn",
            "qualifiedArn",
            "qualifiedInvokeArn",
            "responseStreamingInvokeArn",
            "version",
            "lastModified",
            "sourceCodeSize",
            "codeSha256",
        }
    )
    volatile = frozenset({"lastModified", "sourceCodeSize", "codeSha256"})
    unique = "name"
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        client, name = aws.client("lambda"), inputs["name"]
        made = client.create_function(
            FunctionName=name,
            PackageType="Zip",
            Code=self._place(inputs),
            Tags=aws.tags(inputs),
            **given(Architectures=inputs.get("architectures")),
            **self._settings(inputs),
        )
        with undoing(lambda: client.delete_function(FunctionName=name)):
            self._check_code(inputs, made)
            self._reserve(aws, name, inputs)
            return name, self._outputs(aws, made)

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("lambda").get_function, FunctionName=resource_id)
        if answer is None:
            return None
        found = answer["Configuration"]
        variables = found.get("Environment", {}).get("Variables", {})
        arguments = live(
            state,
            role=found["Role"],
            description=found["Description"],
            runtime=found["Runtime"],
            handler=found["Handler"],
            memorySize=found["MemorySize"],
            timeout=found["Timeout"],
            architectures=found["Architectures"],
            sourceCodeHash=found["CodeSha256"],
            environment={"variables": variables},
            tracingConfig={"mode": found.get("TracingConfig", {}).get("Mode")},
            kmsKeyArn=found.get("KMSKeyArn"),
            reservedConcurrentExecutions=answer.get("Concurrency", {}).get("ReservedConcurrentExecutions"),
        )
        return arguments | self._outputs(aws, found) | {"tagsAll": answer.get("Tags") or {}}

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        client = aws.client("lambda")
        if changed(old, new, CODE_ARGUMENTS):
            found = client.update_function_code(
                FunctionName=resource_id, **self._place(new), **given(Architectures=new.get("architectures"))
            )
            self._check_code(new, found)
        if changed(old, new, self.arguments - CODE_ARGUMENTS - {"tags", "reservedConcurrentExecutions"}):
            # What the program no longer says goes back to its default, for which the API wants it said.
            emptied = {"Description": "", "Environment": {"Variables": {}}, "KMSKeyArn": ""}
            cleared = {name: value for name, value in emptied.items() if self._says(old, name) and not self._says(new, name)}
            client.update_function_configuration(FunctionName=resource_id, **(cleared | self._settings(new)))
        if changed(old, new, {"reservedConcurrentExecutions"}):
            self._reserve(aws, resource_id, new)
        to_set, to_remove = tag_changes(aws, old, new)
        if to_remove:
            client.untag_resource(Resource=old["arn"], TagKeys=to_remove)
        if to_set:
            client.tag_resource(Resource=old["arn"], Tags=to_set)
        return self._outputs(aws, client.get_function_configuration(FunctionName=resource_id))

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("lambda").delete_function(FunctionName=resource_id)

    def _says(self, inputs: Inputs, api_name: str) -> bool:
        return api_name in self._settings(inputs)

    def _place(self, inputs: Inputs) -> dict[str, Any]:
        return given(S3Bucket=inputs["s3Bucket"], S3Key=inputs["s3Key"], S3ObjectVersion=inputs.get("s3ObjectVersion"))

    def _settings(self, inputs: Inputs) -> dict[str, Any]:
        """What both creating and updating a function take."""
        environment = one(inputs.get("environment"))
        return given(
            Role=inputs["role"],
            Runtime=inputs["runtime"],
            Handler=inputs["handler"],
            Description=inputs.get("description"),
            MemorySize=inputs.get("memorySize"),
            Timeout=inputs.get("timeout"),
            KMSKeyArn=inputs.get("kmsKeyArn"),
            Environment={"Variables": environment.get("variables") or {}} if environment else None,
            LoggingConfig=to_aws(one(inputs.get("loggingConfig"))),
            TracingConfig=to_aws(one(inputs.get("tracingConfig"))),
            EphemeralStorage=to_aws(one(inputs.get("ephemeralStorage"))),
        )

    def _check_code(self, inputs: Inputs, found: dict[str, Any]) -> None:
        wanted = inputs.get("sourceCodeHash")
        if wanted is not None and wanted != found["CodeSha256"]:
            raise Refused(f"the object {inputs['s3Key']} is not the archive of sourceCodeHash {wanted}: upload it first")

    def _reserve(self, aws: Aws, name: str, inputs: Inputs) -> None:
        count = inputs.get("reservedConcurrentExecutions")
        client = aws.client("lambda")
        if count is None or count < 0:  # -1 is Pulumi's word for "no reservation"
            client.delete_function_concurrency(FunctionName=name)
        else:
            client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=count)

    def _outputs(self, aws: Aws, found: dict[str, Any]) -> dict[str, Any]:
        arn = f"arn:{aws.partition}:lambda:{aws.region}:{aws.account}:function:{found['FunctionName']}"
        invoke = f"arn:{aws.partition}:apigateway:{aws.region}:lambda:path/2015-03-31/functions"
        return {
            "arn": arn,
            "invokeArn": f"{invoke}/{arn}/invocations",
            "qualifiedArn": f"{arn}:$LATEST",
            "qualifiedInvokeArn": f"{invoke}/{arn}:$LATEST/invocations",
            "responseStreamingInvokeArn": (f"{invoke.replace('2015-03-31', '2021-11-15')}/{arn}/response-streaming-invocations"),
            "version": "$LATEST",
            "lastModified": found["LastModified"],
            "sourceCodeSize": found["CodeSize"],
            "codeSha256": found["CodeSha256"],
        }


@register
class Permission(ResourceType):
    token = "aws:lambda/permission:Permission"
    arguments = frozenset({"statementId", "action", "function", "principal", "sourceArn", "sourceAccount"})
    required = frozenset({"action", "function", "principal"})
    replaces = arguments
    unique = "statementId"
    autoname = "statementId"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        aws.client("lambda").add_permission(
            FunctionName=inputs["function"],
            StatementId=inputs["statementId"],
            Action=inputs["action"],
            Principal=inputs["principal"],
            **given(SourceArn=inputs.get("sourceArn"), SourceAccount=inputs.get("sourceAccount")),
        )
        return inputs["statementId"], {}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("lambda").get_policy, FunctionName=state["function"])
        statements = json.loads(answer["Policy"])["Statement"] if answer else []
        found = [statement for statement in statements if statement.get("Sid") == resource_id]
        return {"action": found[0]["Action"]} if found else None

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("lambda").remove_permission(FunctionName=state["function"], StatementId=resource_id)
