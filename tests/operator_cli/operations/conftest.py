"""A stack in an emulated AWS: what a backup is of, and what is rotated."""

import base64
import json
import uuid
from collections.abc import Callable
from typing import Any, cast

import pytest

from infra.certificates import self_signed
from infra.data import new_authorizer_secret, service_secret
from lambda_authorizer import api_keys, peppers
from operator_cli.operations.stack import BUCKETS, KEYS, TABLES, Stack

REGION, ACCOUNT = "us-east-1", "123456789012"
HASH = {"jobs": "pk", "config": "name", "api-keys": "public_id", "key-use": "id"}


_CLIENTS: dict[str | None, dict[str, Any]] = {}


class Deployed(Stack):
    """A stack of a name of its own, with as much in it as the operations need."""

    @property
    def _clients(self) -> dict[str, Any]:
        # To make a client takes longer than most tests.
        return _CLIENTS.setdefault(self.endpoint, {})

    def secret_content(self) -> dict[str, Any]:
        return json.loads(self.client("secretsmanager").get_secret_value(SecretId=self.secret)["SecretString"])

    def pepper(self) -> bytes:
        return base64.b64decode(self.secret_content()["api_key_pepper"])

    def put(self, table: str, **item: dict[str, Any]) -> None:
        self.client("dynamodb").put_item(TableName=self.output(TABLES[table]), Item=item)

    def items(self, table: str) -> list[dict[str, Any]]:
        return self.client("dynamodb").scan(TableName=self.output(TABLES[table]))["Items"]

    def key(self, key_id: str, **more: dict[str, Any]) -> str:
        """Store a key as the API makes it; the key itself."""
        key, pepper = f"hm_local_{key_id}_{'s' * 43}", self.pepper()
        digest = {"digest": {"S": api_keys.digest(key, pepper)}, "peppers": {"S": peppers.name(pepper)}}
        self.put(
            "api-keys", public_id={"S": key_id}, principal={"S": "program:ci"}, scopes={"SS": ["models:read"]}, **digest, **more
        )
        return key

    def person(self, email: str, *groups: str) -> str:
        """Somebody; their subject."""
        cognito, pool = self.client("cognito-idp"), self.output("user_pool_id")
        attributes = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
        made = cognito.admin_create_user(UserPoolId=pool, Username=email, UserAttributes=attributes)["User"]["Attributes"]
        for group in groups:
            cognito.admin_add_user_to_group(UserPoolId=pool, Username=email, GroupName=group)
        return next(each["Value"] for each in made if each["Name"] == "sub")

    def put_object(self, bucket: str, key: str, content: bytes, **more: Any) -> None:
        self.client("s3").put_object(Bucket=self.output(BUCKETS[bucket]), Key=key, Body=content, **more)

    def empty(self) -> None:
        """Everything that a backup holds is lost: tables, every version of every object, and the user pool."""
        dynamodb, s3 = self.client("dynamodb"), self.client("s3")
        for name, output in TABLES.items():
            for item in self.items(name):
                key = {attribute: item[attribute] for attribute in (HASH[name], "version")[: 2 if name == "config" else 1]}
                dynamodb.delete_item(TableName=self.output(output), Key=key)
        for output in BUCKETS.values():
            found = s3.list_object_versions(Bucket=self.output(output))
            for version in (*found.get("Versions", []), *found.get("DeleteMarkers", [])):
                s3.delete_object(Bucket=self.output(output), Key=version["Key"], VersionId=version["VersionId"])


def deploy(url: str) -> Deployed:
    name = f"t{uuid.uuid4().hex[:8]}"
    stack = Deployed(name, outputs := {"region": REGION}, url)
    dynamodb, s3, cognito = (stack.client(service) for service in ("dynamodb", "s3", "cognito-idp"))
    for table, output in TABLES.items():
        outputs[output] = f"{stack.prefix}-{table}"
        schema, types = (
            [{"AttributeName": HASH[table], "KeyType": "HASH"}],
            [{"AttributeName": HASH[table], "AttributeType": "S"}],
        )
        if table == "config":
            schema.append({"AttributeName": "version", "KeyType": "RANGE"})
            types.append({"AttributeName": "version", "AttributeType": "N"})
        dynamodb.create_table(
            TableName=outputs[output], KeySchema=schema, AttributeDefinitions=types, BillingMode="PAY_PER_REQUEST"
        )
        dynamodb.update_continuous_backups(
            TableName=outputs[output], PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    for bucket in (*BUCKETS, "artifacts"):
        outputs[f"{bucket}_bucket"] = f"{stack.prefix}-{bucket}-{ACCOUNT}-{REGION}"
        s3.create_bucket(Bucket=outputs[f"{bucket}_bucket"])
        s3.put_bucket_versioning(Bucket=outputs[f"{bucket}_bucket"], VersioningConfiguration={"Status": "Enabled"})
    pool = cognito.create_user_pool(PoolName=name)["UserPool"]["Id"]
    for group in ("viewer", "analyst", "admin"):
        cognito.create_group(UserPoolId=pool, GroupName=group)
    outputs["user_pool_id"] = pool
    kms = stack.client("kms")
    for purpose in KEYS:
        kms.create_alias(AliasName=stack.key_alias(purpose), TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    secret = new_authorizer_secret()
    stack.client("secretsmanager").create_secret(Name=stack.secret, SecretString=secret)
    stack.client("ssm").put_parameter(Name=stack.parameter, Value=service_secret(secret), Type="SecureString")
    ecs = stack.client("ecs")
    ecs.create_cluster(clusterName=stack.prefix)
    ecs.register_task_definition(family=stack.prefix, containerDefinitions=[{"name": "api", "image": "i", "memory": 1}])
    ecs.create_service(cluster=stack.prefix, serviceName="api", taskDefinition=stack.prefix, desiredCount=0)
    outputs |= {"cluster": stack.prefix, "api_service": "api"}
    return stack


def behind_a_gateway(stack: Deployed) -> None:
    """A stage with a client certificate, and a load balancer with one that we signed."""
    gateway, acm, elb, ec2 = (stack.client(service) for service in ("apigateway", "acm", "elbv2", "ec2"))
    api = gateway.create_rest_api(name=stack.prefix)["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    gateway.put_method(restApiId=api, resourceId=root, httpMethod="GET", authorizationType="NONE")
    gateway.put_integration(restApiId=api, resourceId=root, httpMethod="GET", type="MOCK")
    deployment = gateway.create_deployment(restApiId=api)["id"]
    tags = {"project": "heartmap"}
    made = gateway.generate_client_certificate(description=stack.prefix, tags=tags)["clientCertificateId"]
    gateway.create_stage(restApiId=api, stageName="live", deploymentId=deployment)
    change = {"op": "replace", "path": "/clientCertificateId", "value": made}
    gateway.update_stage(restApiId=api, stageName="live", patchOperations=[change])
    certificate, key = self_signed("internal.heartmap.internal")
    arn = acm.import_certificate(Certificate=certificate.encode(), PrivateKey=key.encode())["CertificateArn"]
    subnets = [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"][:2]]
    balancer = elb.create_load_balancer(Name=stack.prefix, Subnets=subnets, Scheme="internal")["LoadBalancers"][0][
        "LoadBalancerArn"
    ]
    action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    elb.create_listener(
        LoadBalancerArn=balancer, Protocol="HTTPS", Port=443, Certificates=[{"CertificateArn": arn}], DefaultActions=[action]
    )
    cast("dict[str, Any]", stack.outputs).update(rest_api_id=api, stage_name="live", load_balancer_arn=balancer)


@pytest.fixture
def make_stack(moto_url: str) -> Callable[[], Deployed]:
    return lambda: deploy(moto_url)


@pytest.fixture
def stack(moto_url: str) -> Deployed:
    return deploy(moto_url)
