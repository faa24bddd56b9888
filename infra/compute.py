"""What runs HeartMAP: an internal load balancer and a cluster with the API and the worker, both from one image."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_awsx as awsx
from pulumi import Input, Output, ResourceOptions

from infra.alarms import AlarmTopic, Declared, MetricAlarm, alarm_on_metric
from infra.build_context import TAG_PREFIX, source_tag
from infra.certificates import IssuedCertificate, IssuedCertificateArgs, SelfSignedCertificate, SelfSignedCertificateArgs
from infra.data import LISTING_INDEX, LOAD_BALANCER_LOG_PREFIX, UPLOADS_PREFIX, Buckets, PrivateBucket, Queue, Secrets, Tables
from infra.iam import ServiceRole, ServiceRoleArgs, Statement
from infra.naming import STAGE, Names
from infra.network import HTTPS_PORT, SERVICE_PORT, Network
from infra.settings import GIB, Settings

TYPE_IMAGE = "heartmap:compute:ServiceImage"
TYPE_BALANCER = "heartmap:compute:LoadBalancer"
TYPE_SERVICES = "heartmap:compute:Services"

# TLS 1.3 and 1.2 with FIPS 140-3 ciphers and post-quantum key exchange.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-FIPS-PQ-2025-09"

DOCKERFILE = "heartmap_service/Dockerfile"
PLATFORM = "linux/arm64"
IMAGES_KEPT = 20
REMAINS_KEPT_DAYS = 7
"""How long what no tag leads to is kept, such as the layers of a push that was broken off."""

HEALTH_PATH = "/healthz"
RESULTS_PREFIX = "results/"
SCRATCH_DIRECTORY = "/scratch"
"""The one place that a task can write to; the image declares it as a volume of the user below."""
USER = "10001:10001"

# What Fargate gives every task, of which the image takes its share; and what an analysis writes, measured, in sizes of its input.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-task-storage.html
EVERY_TASKS_DISK_GIB = 20
DISK_PER_INPUT = 11

DRAIN_SECONDS = 30
API_STOP_SECONDS = 60
WORKER_STOP_SECONDS = 120
START_GRACE_SECONDS = 120

DEPLOYMENT_FAULTS = 5
"""Answers with a status of 500 or more within a minute that end a deployment."""

# What is true inside a container, and not of a process on this machine. It listens on every address of the task's own
# network interface, which its security group guards.
IN_A_CONTAINER = {
    "HEARTMAP_BIND_ADDRESS": "0.0.0.0",  # noqa: S104 - as said
    "HEARTMAP_PORT": str(SERVICE_PORT),
    "HEARTMAP_SCRATCH_DIR": SCRATCH_DIRECTORY,
}

API_COMMAND = ("python", "-m", "heartmap_service.api")
WORKER_COMMAND = ("python", "-m", "heartmap_service.worker")


@dataclass(frozen=True, kw_only=True)
class ServiceImageArgs:
    """``given`` is the image to run; without it the image is built here and pushed."""

    names: Names
    key_arn: Input[str]
    given: str
    emptied_on_delete: bool


class ServiceImage(pulumi.ComponentResource):
    """The registry of the service's image, and the image, which is built when its sources have changed.

    A tag is taken once and says what it was built from. To go back to sources that were built before, give the image by its
    digest: the registry refuses their tag a second time.
    """

    uri: Output[str]
    repository_arn: Output[str]

    def __init__(self, name: str, args: ServiceImageArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_IMAGE, name, None, opts)
        child = ResourceOptions(parent=self)
        repository = aws.ecr.Repository(
            name,
            name=args.names.of("service"),
            force_delete=args.emptied_on_delete,
            image_tag_mutability="IMMUTABLE",
            encryption_configurations=[
                aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=args.key_arn)
            ],
            image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            opts=child,
        )
        aws.ecr.LifecyclePolicy(name, repository=repository.name, policy=Output.json_dumps({"rules": _expiry()}), opts=child)
        self.repository_arn = repository.arn
        if args.given:
            self.uri = Output.from_input(args.given)
        else:
            # Relative to the project directory, so that a deployment from another checkout is no change.
            self.uri = awsx.ecr.Image(
                name,
                repository_url=repository.repository_url,
                context=".",
                dockerfile=DOCKERFILE,
                platform=PLATFORM,
                image_tag=source_tag(DOCKERFILE, PLATFORM),
                # A new tag is a new image in awsx, and with the old one its digest would be deleted from the registry: under
                # tasks that still run it, and that a deployment may have to be rolled back to.
                opts=ResourceOptions(parent=self, retain_on_delete=True),
            ).image_uri
        self.register_outputs({"uri": self.uri})


def _expiry() -> list[dict[str, Any]]:
    """The rules of the registry. What belongs to an image of several parts stays for as long as the image does.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html
    """
    images = {
        "tagStatus": "tagged",
        "tagPrefixList": [TAG_PREFIX],
        "countType": "imageCountMoreThan",
        "countNumber": IMAGES_KEPT,
    }
    remains = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": REMAINS_KEPT_DAYS}
    return [
        {"rulePriority": 1, "description": "the last images", "selection": images, "action": {"type": "expire"}},
        {"rulePriority": 2, "description": "what has no tag", "selection": remains, "action": {"type": "expire"}},
    ]


@dataclass(frozen=True, kw_only=True)
class LoadBalancerArgs:
    names: Names
    settings: Settings
    network: Network
    logs: PrivateBucket


class LoadBalancer(pulumi.ComponentResource):
    """HTTPS in, HTTPS on to the tasks; reached by the VPC link, and from inside by whom else its group lets in.

    By the suffixes of the two ARNs CloudWatch knows the load balancer and its targets.
    """

    arn: Output[str]
    arn_suffix: Output[str]
    dns_name: Output[str]
    zone_id: Output[str]
    target_group_arn: Output[str]
    target_group_arn_suffix: Output[str]
    listener_arn: Output[str]
    certificate_arn: Output[str]

    def __init__(self, name: str, args: LoadBalancerArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_BALANCER, name, None, opts)
        child = ResourceOptions(parent=self)
        balancer = aws.lb.LoadBalancer(
            name,
            name=args.names.of("service"),
            load_balancer_type="application",
            internal=True,
            subnets=args.network.subnet_ids,
            security_groups=[args.network.load_balancer_security_group_id],
            drop_invalid_header_fields=True,
            desync_mitigation_mode="strictest",
            enable_deletion_protection=args.settings.deletion_protection,
            access_logs=aws.lb.LoadBalancerAccessLogsArgs(
                bucket=args.logs.bucket,
                prefix=LOAD_BALANCER_LOG_PREFIX,
                enabled=True,
            ),
            connection_logs=aws.lb.LoadBalancerConnectionLogsArgs(
                bucket=args.logs.bucket,
                prefix=LOAD_BALANCER_LOG_PREFIX,
                enabled=True,
            ),
            opts=child,
        )
        targets = aws.lb.TargetGroup(
            name,
            name=args.names.of("service"),
            vpc_id=args.network.vpc_id,
            target_type="ip",
            protocol="HTTPS",
            port=SERVICE_PORT,
            deregistration_delay=DRAIN_SECONDS,
            health_check=aws.lb.TargetGroupHealthCheckArgs(
                protocol="HTTPS",
                path=HEALTH_PATH,
                matcher="200",
                interval=15,
                timeout=5,
                healthy_threshold=2,
                unhealthy_threshold=3,
            ),
            opts=child,
        )
        self.certificate_arn = self._certificate_arn(name, args.settings)
        listener = aws.lb.Listener(
            name,
            load_balancer_arn=balancer.arn,
            port=HTTPS_PORT,
            protocol="HTTPS",
            ssl_policy=TLS_POLICY,
            certificate_arn=self.certificate_arn,
            default_actions=[aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=targets.arn)],
            opts=child,
        )
        self.arn, self.target_group_arn, self.listener_arn = balancer.arn, targets.arn, listener.arn
        self.arn_suffix, self.target_group_arn_suffix = balancer.arn_suffix, targets.arn_suffix
        self.dns_name, self.zone_id = balancer.dns_name, balancer.zone_id
        self.register_outputs({"arn": self.arn, "target_group_arn": self.target_group_arn})

    def _certificate_arn(self, name: str, settings: Settings) -> Output[str]:
        child, host = ResourceOptions(parent=self), settings.internal_host
        if settings.domain:
            return IssuedCertificate(name, IssuedCertificateArgs(host=host, zone_id=settings.hosted_zone_id), child).arn
        return SelfSignedCertificate(name, SelfSignedCertificateArgs(host=host), child).arn


@dataclass(frozen=True, kw_only=True)
class ServicesArgs:
    """``alarms`` is where alarms speak."""

    names: Names
    settings: Settings
    network: Network
    balancer: LoadBalancer
    image: ServiceImage
    buckets: Buckets
    tables: Tables
    queue: Queue
    secrets: Secrets
    data_key_arn: Input[str]
    secrets_key_arn: Input[str]
    logs_key_arn: Input[str]
    alarms: AlarmTopic


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What tells the two tasks apart.

    ``cpu`` in CPU units, ``memory`` in MiB, ``disk`` in GiB with None for what every task has, ``stop_seconds`` between SIGTERM
    and SIGKILL. ``environment`` is what it alone is told.
    """

    purpose: str
    command: Sequence[str]
    cpu: int
    memory: int
    disk: int | None
    stop_seconds: int
    environment: Mapping[str, str]
    secrets: Mapping[str, Input[str]]
    statements: Sequence[Statement]
    listens: bool


class Services(pulumi.ComponentResource):
    """The cluster with the API, which is behind the load balancer, and the worker, which nothing can call.

    A deployment starts new tasks before it ends old ones, and goes back by itself when they do not start or do not answer well.
    How many tasks there are is said once, when a service is made: from then on infra.scaling decides.
    """

    arns: list[Output[str]]
    """Of both services."""
    cluster_name: Output[str]
    api_name: Output[str]
    worker_name: Output[str]
    log_groups: dict[str, Output[str]]
    """The names of the tasks' log groups, by what the tasks are for."""
    alarms: Sequence[Declared]

    def __init__(self, name: str, args: ServicesArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_SERVICES, name, None, opts)
        self._args, self._child = args, ResourceOptions(parent=self)
        self.log_groups = {}
        names, settings = args.names, args.settings
        deployment = self._deployment_alarm()
        self.alarms = (deployment,)
        # Tasks that cannot reach AWS fail, and a few of them end a deployment for good: the endpoints and rules come first.
        connected = ResourceOptions(parent=self, depends_on=[args.network], ignore_changes=["desiredCount"])
        # Container Insights prescribes the name, and makes a log group that is neither encrypted by us nor ever emptied where it
        # finds none.
        insights = aws.cloudwatch.LogGroup(
            "container-insights",
            name=f"/aws/ecs/containerinsights/{names.prefix}/performance",
            retention_in_days=settings.log_retention_days,
            kms_key_id=args.logs_key_arn,
            opts=self._child,
        )
        cluster = aws.ecs.Cluster(
            name,
            name=names.prefix,
            settings=[aws.ecs.ClusterSettingArgs(name="containerInsights", value="enhanced")],
            opts=ResourceOptions(parent=self, depends_on=[insights]),
        )
        api = aws.ecs.Service(
            "api",
            name=names.of("api"),
            cluster=cluster.arn,
            task_definition=self._task_definition(self._api_task()),
            desired_count=settings.api_tasks_min,
            launch_type="FARGATE",
            platform_version="LATEST",
            enable_execute_command=False,
            propagate_tags="SERVICE",
            health_check_grace_period_seconds=START_GRACE_SECONDS,
            deployment_minimum_healthy_percent=100,
            deployment_maximum_percent=200,
            deployment_circuit_breaker=aws.ecs.ServiceDeploymentCircuitBreakerArgs(enable=True, rollback=True),
            alarms=aws.ecs.ServiceAlarmsArgs(enable=True, rollback=True, alarm_names=[deployment.made.name]),
            availability_zone_rebalancing="ENABLED",
            network_configuration=self._in_network(args.network.api_security_group_id),
            load_balancers=[
                aws.ecs.ServiceLoadBalancerArgs(
                    # ECS refuses a target group that no listener leads to yet.
                    target_group_arn=Output.all(args.balancer.target_group_arn, args.balancer.listener_arn).apply(
                        lambda values: values[0]
                    ),
                    container_name="api",
                    container_port=SERVICE_PORT,
                )
            ],
            opts=connected,
        )
        worker = aws.ecs.Service(
            "worker",
            name=names.of("worker"),
            cluster=cluster.arn,
            task_definition=self._task_definition(self._worker_task()),
            desired_count=settings.worker_tasks_min,
            launch_type="FARGATE",
            platform_version="LATEST",
            enable_execute_command=False,
            propagate_tags="SERVICE",
            deployment_minimum_healthy_percent=100,
            deployment_maximum_percent=200,
            deployment_circuit_breaker=aws.ecs.ServiceDeploymentCircuitBreakerArgs(enable=True, rollback=True),
            # Which zone a worker is in matters to nobody, and moving one is ending it.
            availability_zone_rebalancing="DISABLED",
            network_configuration=self._in_network(args.network.worker_security_group_id),
            opts=connected,
        )
        self.cluster_name, self.api_name, self.worker_name = cluster.name, api.name, worker.name
        prefix = Output.concat(names.arn("ecs", "service/"), cluster.name, "/")
        self.arns = [Output.concat(prefix, api.name), Output.concat(prefix, worker.name)]
        self.register_outputs({"cluster": self.cluster_name, "api": self.api_name, "worker": self.worker_name})

    def _deployment_alarm(self) -> Declared:
        """The alarm at which a deployment of the API is rolled back. Faster than those that only call somebody."""
        balancer = self._args.balancer
        faults = MetricAlarm(
            name="api-deployment",
            description="The tasks of the API answer with a status of 500 or more: a deployment that is under way is rolled back",
            namespace="AWS/ApplicationELB",
            metric="HTTPCode_Target_5XX_Count",
            dimensions={"LoadBalancer": balancer.arn_suffix, "TargetGroup": balancer.target_group_arn_suffix},
            threshold=DEPLOYMENT_FAULTS,
            seconds=60,
        )
        return alarm_on_metric(self._args.alarms, faults, self._child)

    def _in_network(self, security_group_id: Output[str]) -> aws.ecs.ServiceNetworkConfigurationArgs:
        return aws.ecs.ServiceNetworkConfigurationArgs(
            subnets=self._args.network.subnet_ids, security_groups=[security_group_id], assign_public_ip=False
        )

    def _api_task(self) -> _Task:
        settings = self._args.settings
        return _Task(
            purpose="api",
            command=API_COMMAND,
            cpu=settings.api_cpu,
            memory=settings.api_memory,
            disk=None,
            stop_seconds=API_STOP_SECONDS,
            environment={
                "HEARTMAP_QUOTA_QUEUED_JOBS": str(settings.quota_queued_jobs),
                "HEARTMAP_QUOTA_JOBS_PER_DAY": str(settings.quota_jobs_per_day),
                "HEARTMAP_QUOTA_UPLOAD_BYTES_PER_DAY": str(settings.quota_upload_bytes_per_day),
            },
            secrets={"HEARTMAP_ASSERTION_KEYS": self._args.secrets.service_parameter_arn},
            statements=self._api_statements(),
            listens=True,
        )

    def _worker_task(self) -> _Task:
        settings = self._args.settings
        return _Task(
            purpose="worker",
            command=WORKER_COMMAND,
            cpu=settings.worker_cpu,
            memory=settings.worker_memory,
            disk=math.ceil(EVERY_TASKS_DISK_GIB + DISK_PER_INPUT * settings.max_upload_bytes / GIB),
            stop_seconds=WORKER_STOP_SECONDS,
            environment={},
            secrets={},
            statements=self._worker_statements(),
            listens=False,
        )

    def _environment(self) -> dict[str, Input[str]]:
        args = self._args
        environment: dict[str, Input[str]] = {
            "AWS_REGION": args.names.region,
            "HEARTMAP_ENVIRONMENT": str(args.settings.environment),
            "HEARTMAP_LOG_LEVEL": str(args.settings.log_level),
            "HEARTMAP_STAGE": STAGE,
            "HEARTMAP_INTERNAL_HOST": args.settings.internal_host,
            "HEARTMAP_UPLOADS_BUCKET": args.buckets.uploads.bucket,
            "HEARTMAP_RESULTS_BUCKET": args.buckets.results.bucket,
            "HEARTMAP_JOBS_TABLE": args.tables.jobs.name,
            "HEARTMAP_CONFIG_TABLE": args.tables.config.name,
            "HEARTMAP_QUEUE_URL": args.queue.url,
            "HEARTMAP_MAX_UPLOAD_BYTES": str(args.settings.max_upload_bytes),
            "HEARTMAP_JOB_MEMORY_BYTES": str(args.settings.job_memory_bytes),
            # The API tells what an analysis will cost there.
            "HEARTMAP_WORKER_CPU": str(args.settings.worker_cpu),
            "HEARTMAP_WORKER_MEMORY": str(args.settings.worker_memory),
        }
        if args.settings.import_buckets:
            environment["HEARTMAP_IMPORT_BUCKETS"] = ",".join(args.settings.import_buckets)
        return environment if args.settings.is_local else environment | IN_A_CONTAINER

    def _task_definition(self, task: _Task) -> Output[str]:
        names = self._args.names
        logs = aws.cloudwatch.LogGroup(
            task.purpose,
            name=names.log_group(task.purpose),
            retention_in_days=self._args.settings.log_retention_days,
            kms_key_id=self._args.logs_key_arn,
            opts=self._child,
        )
        self.log_groups[task.purpose] = logs.name
        execution = ServiceRole(
            f"{task.purpose}-execution",
            ServiceRoleArgs(
                name=names.of(f"{task.purpose}-execution"),
                service="ecs-tasks.amazonaws.com",
                description=f"Starts the {task.purpose} tasks: image, log group, secrets",
                statements=self._execution_statements(task, logs),
                account=names.account,
                source_arn=names.arn("ecs", "*"),
            ),
            self._child,
        )
        role = ServiceRole(
            f"{task.purpose}-task",
            ServiceRoleArgs(
                name=names.of(f"{task.purpose}-task"),
                service="ecs-tasks.amazonaws.com",
                description=f"What the {task.purpose} tasks may do",
                statements=task.statements,
                account=names.account,
                source_arn=names.arn("ecs", "*"),
            ),
            self._child,
        )
        definition = aws.ecs.TaskDefinition(
            task.purpose,
            family=names.of(task.purpose),
            cpu=str(task.cpu),
            memory=str(task.memory),
            network_mode="awsvpc",
            requires_compatibilities=["FARGATE"],
            runtime_platform=aws.ecs.TaskDefinitionRuntimePlatformArgs(cpu_architecture="ARM64", operating_system_family="LINUX"),
            execution_role_arn=execution.arn,
            task_role_arn=role.arn,
            ephemeral_storage=(None if task.disk is None else aws.ecs.TaskDefinitionEphemeralStorageArgs(size_in_gib=task.disk)),
            volumes=[aws.ecs.TaskDefinitionVolumeArgs(name="scratch")],
            container_definitions=Output.json_dumps([self._container(task, logs)]),
            opts=self._child,
        )
        return definition.arn

    def _container(self, task: _Task, logs: aws.cloudwatch.LogGroup) -> dict[str, Any]:
        environment = {**self._environment(), **task.environment}
        container: dict[str, Any] = {
            "name": task.purpose,
            "image": self._args.image.uri,
            "essential": True,
            "command": list(task.command),
            "environment": [{"name": key, "value": environment[key]} for key in sorted(environment)],
            "secrets": [{"name": key, "valueFrom": arn} for key, arn in sorted(task.secrets.items())],
            "user": USER,
            "readonlyRootFilesystem": True,
            "linuxParameters": {"initProcessEnabled": True, "capabilities": {"drop": ["ALL"]}},
            "mountPoints": [{"sourceVolume": "scratch", "containerPath": SCRATCH_DIRECTORY, "readOnly": False}],
            "stopTimeout": task.stop_seconds,
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": logs.name,
                    "awslogs-region": self._args.names.region,
                    "awslogs-stream-prefix": task.purpose,
                    # A slow log service must not stop the service itself; the audit records of many minutes wait for it here.
                    "mode": "non-blocking",
                    "max-buffer-size": "25m",
                },
            },
        }
        if task.listens:
            container["portMappings"] = [{"containerPort": SERVICE_PORT, "hostPort": SERVICE_PORT, "protocol": "tcp"}]
        return container

    def _execution_statements(self, task: _Task, logs: aws.cloudwatch.LogGroup) -> list[Statement]:
        statements = [
            Statement(
                sid="Registry",
                actions=("ecr:GetAuthorizationToken",),
                resources=("*",),
                reason="the action knows no resources",
            ),
            Statement(
                sid="Image",
                actions=("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
                resources=(self._args.image.repository_arn,),
            ),
            Statement(
                sid="Logs",
                actions=("logs:CreateLogStream", "logs:PutLogEvents"),
                resources=(Output.concat(logs.arn, ":*"),),
                reason="each task has a log stream of its own in this log group",
            ),
        ]
        if task.secrets:
            arns = tuple(task.secrets.values())
            statements += [
                Statement(sid="Secrets", actions=("ssm:GetParameters",), resources=arns),
                Statement(
                    sid="SecretsKey",
                    actions=("kms:Decrypt",),
                    resources=(self._args.secrets_key_arn,),
                    # https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
                    conditions={"StringEquals": {"kms:EncryptionContext:PARAMETER_ARN": list(arns)}},
                ),
            ]
        return statements

    def _api_statements(self) -> list[Statement]:
        args = self._args
        jobs, config = args.tables.jobs, args.tables.config
        return [
            # A presigned request may do what its signer may, so that the caller's upload and download are among these.
            Statement(
                sid="Uploads",
                actions=("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"),
                resources=(Output.concat(args.buckets.uploads.arn, "/", UPLOADS_PREFIX, "*"),),
                reason="an upload's id is made when it is asked for",
            ),
            self._missing_uploads(),
            Statement(
                sid="Results",
                actions=("s3:GetObject",),
                resources=(Output.concat(args.buckets.results.arn, "/", RESULTS_PREFIX, "*"),),
                reason="an analysis's id is made when it is asked for",
            ),
            Statement(
                sid="Jobs",
                # A transaction needs the right to each of its parts.
                actions=(
                    "dynamodb:BatchGetItem",
                    "dynamodb:ConditionCheckItem",
                    "dynamodb:DeleteItem",
                    "dynamodb:GetItem",
                    "dynamodb:PutItem",
                    "dynamodb:UpdateItem",
                ),
                resources=(jobs.arn,),
            ),
            self._listing(),
            Statement(
                sid="Configuration",
                actions=("dynamodb:ConditionCheckItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"),
                resources=(config.arn,),
            ),
            Statement(sid="Queue", actions=("sqs:GetQueueAttributes", "sqs:SendMessage"), resources=(args.queue.arn,)),
            self._data_key(),
        ]

    def _worker_statements(self) -> list[Statement]:
        args = self._args
        return [
            Statement(
                sid="Uploads",
                # The tags say why an upload is refused: it is still being scanned, or was not found clean.
                actions=("s3:GetObject", "s3:GetObjectTagging"),
                resources=(Output.concat(args.buckets.uploads.arn, "/", UPLOADS_PREFIX, "*"),),
                reason="an upload's id is made when it is asked for",
            ),
            self._missing_uploads(),
            *self._imports(),
            Statement(
                sid="Results",
                actions=("s3:AbortMultipartUpload", "s3:PutObject"),
                resources=(Output.concat(args.buckets.results.arn, "/", RESULTS_PREFIX, "*"),),
                reason="an analysis's id is made when it is asked for",
            ),
            Statement(
                sid="Jobs",
                # A claim, and the end of an analysis, are transactions: they need the right to each of their parts.
                actions=(
                    "dynamodb:ConditionCheckItem",
                    "dynamodb:DeleteItem",
                    "dynamodb:GetItem",
                    "dynamodb:PutItem",
                    "dynamodb:UpdateItem",
                ),
                resources=(args.tables.jobs.arn,),
            ),
            self._listing(),
            Statement(
                sid="Queue",
                # It sends a message anew that has come back often, before it would become a dead letter.
                actions=("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage", "sqs:SendMessage"),
                resources=(args.queue.arn,),
            ),
            Statement(
                sid="Protection",
                actions=("ecs:GetTaskProtection", "ecs:UpdateTaskProtection"),
                resources=(args.names.arn("ecs", f"task/{args.names.prefix}/*"),),
                reason="a task's id is made when it starts",
            ),
            self._data_key(),
        ]

    def _listing(self) -> Statement:
        """Lists of what one may see, and of what is queued, in its order."""
        index = Output.concat(self._args.tables.jobs.arn, "/index/", LISTING_INDEX)
        return Statement(sid="Listing", actions=("dynamodb:Query",), resources=(index,))

    def _imports(self) -> list[Statement]:
        """Reading what others let be read, and writing it where uploads are. Its tags stay behind: of an upload they are the
        malware scan's word."""
        partition = self._args.names.partition
        buckets = [f"arn:{partition}:s3:::{bucket}" for bucket in self._args.settings.import_buckets]
        if not buckets:
            return []
        return [
            Statement(
                sid="Imports",
                actions=("s3:GetObject",),
                resources=[f"{bucket}/*" for bucket in buckets],
                reason="which object is analysed, people say",
            ),
            Statement(sid="MissingImports", actions=("s3:ListBucket",), resources=buckets),
            Statement(
                sid="Copies",
                actions=("s3:AbortMultipartUpload", "s3:PutObject"),
                resources=(Output.concat(self._args.buckets.uploads.arn, "/", UPLOADS_PREFIX, "*"),),
                reason="an upload's id is made when it is asked for",
            ),
        ]

    def _missing_uploads(self) -> Statement:
        # Without it S3 answers 403 for an object that is not there, which cannot be told from a refusal.
        return Statement(sid="MissingUploads", actions=("s3:ListBucket",), resources=(self._args.buckets.uploads.arn,))

    def _data_key(self) -> Statement:
        return Statement(sid="DataKey", actions=("kms:Decrypt", "kms:GenerateDataKey"), resources=(self._args.data_key_arn,))
