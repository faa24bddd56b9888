"""The stack, wired in the order in which a request and its data flow. What each part is stands in its module."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import Output, ResourceOptions

from infra import settings as configuration
from infra.activity_alarms import ActivityAlarms, ActivityAlarmsArgs, SealAlarms, SealAlarmsArgs
from infra.alarms import AlarmTopic, AlarmTopicArgs
from infra.api import Api, ApiArgs
from infra.api_functions import Surroundings
from infra.audit_sealing import Sealing, SealingArgs, SigningKey, SigningKeyArgs, own_log_group
from infra.audit_search import AuditSearch, AuditSearchArgs
from infra.authorizer import Authorizer, AuthorizerArgs
from infra.bastion import Bastion, BastionArgs
from infra.break_glass import BreakGlass, BreakGlassArgs
from infra.budget import Budget, BudgetArgs
from infra.certificates import IssuedCertificate, IssuedCertificateArgs
from infra.compute import (
    LoadBalancer,
    LoadBalancerArgs,
    ServiceImage,
    ServiceImageArgs,
    Services,
    ServicesArgs,
)
from infra.dashboard import Dashboard, DashboardArgs
from infra.data import (
    Buckets,
    BucketsArgs,
    Keys,
    KeysArgs,
    Queue,
    QueueArgs,
    Secrets,
    SecretsArgs,
    Tables,
    TablesArgs,
)
from infra.edge import Domain, DomainArgs, SignInDomain, SignInDomainArgs, WebAcl, WebAclArgs
from infra.identity import CALLBACK_URLS, Identity, IdentityArgs, sign_in_host
from infra.key_administration import KeyAdministration, KeyAdministrationArgs
from infra.mail import Sender, SenderArgs
from infra.naming import Names
from infra.network import FlowLog, FlowLogArgs, Network, NetworkArgs, NetworkPlanError, find_network
from infra.observability import AuditTrail, AuditTrailArgs, ServiceAlarms, ServiceAlarmsArgs, WebAclLog, WebAclLogArgs
from infra.private_dns import PrivateDns, PrivateDnsArgs
from infra.rotation import Rotation, RotationArgs
from infra.saved_queries import SavedQueries, SavedQueriesArgs
from infra.scaling import ApiScaling, ApiScalingArgs, WorkerScaling, WorkerScalingArgs
from infra.scanning import MalwareScan, MalwareScanArgs
from infra.setting_types import ThreatProtection, Vpn
from infra.token_exchange import TokenExchange, TokenExchangeArgs
from infra.user_administration import UserAdministration, UserAdministrationArgs
from infra.vpn import ClientVpn, ClientVpnArgs
from lambda_authorizer.access_policy import AUDIT, KEYS, USERS

SECRET_RECOVERY_DAYS = 30


def main() -> None:
    """Declare everything and export the outputs. Raises pulumi.RunError, which is shown as it is, for settings that are wrong."""
    try:
        settings = configuration.from_pulumi(pulumi.get_stack())
    except configuration.SettingsError as error:
        raise pulumi.RunError(str(error)) from None
    # An emulated AWS announces itself as the AWS SDKs expect it: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    labels = {"Project": configuration.PROJECT, "Environment": str(settings.environment), "ManagedBy": "pulumi"}
    tags = aws.ProviderDefaultTagsArgs(tags=labels)
    provider = aws.Provider("aws", region=settings.region, default_tags=tags)
    top = ResourceOptions(providers={"aws": provider})
    asking = pulumi.InvokeOptions(provider=provider)
    names = Names(
        environment=settings.environment,
        partition=aws.get_partition(opts=asking).partition,
        region=settings.region,
        account=aws.get_caller_identity(opts=asking).account_id,
    )
    zone_ids = aws.get_availability_zones(state="available", opts=asking).zone_ids

    network = Network("network", _network(settings, names, zone_ids, asking), top)

    protected = settings.deletion_protection
    disposable = not protected
    keys = Keys("keys", KeysArgs(names=names, malware_scan=settings.malware_scan, protected=protected), top)
    alarms = AlarmTopic(
        "alarms",
        AlarmTopicArgs(names=names, logs_key_arn=keys.logs_arn, email=settings.alarm_email, runbook=settings.runbook),
        top,
    )
    FlowLog(
        "flow-log",
        FlowLogArgs(
            names=names,
            network=network,
            logs_key_arn=keys.logs_arn,
            retention_days=settings.log_retention_days,
            protected=protected,
        ),
        top,
    )
    buckets = Buckets(
        "buckets",
        BucketsArgs(
            names=names,
            data_key_arn=keys.data_arn,
            logs_key_arn=keys.logs_arn,
            logs_kept_days=settings.log_retention_days,
            audit_lock_days=settings.audit_lock_days,
            malware_scan=settings.malware_scan,
            protected=protected,
        ),
        top,
    )
    tables = Tables("tables", TablesArgs(names=names, key_arn=keys.data_arn, protected=protected), top)
    queue = Queue(
        "queue",
        QueueArgs(names=names, key_arn=keys.data_arn, uploads=buckets.uploads, malware_scan=settings.malware_scan),
        top,
    )
    if settings.malware_scan:
        MalwareScan(
            "malware-scan",
            MalwareScanArgs(names=names, uploads=buckets.uploads, queue=queue, data_key_arn=keys.data_arn),
            top,
        )
    secrets = Secrets(
        "secrets",
        SecretsArgs(
            names=names,
            key_arn=keys.secrets_arn,
            recovery_days=0 if disposable else SECRET_RECOVERY_DAYS,
            protected=protected,
        ),
        top,
    )

    image = ServiceImage(
        "service",
        ServiceImageArgs(names=names, key_arn=keys.data_arn, given=settings.image, emptied_on_delete=disposable),
        top,
    )
    balancer = LoadBalancer("balancer", LoadBalancerArgs(names=names, settings=settings, network=network, logs=buckets.logs), top)
    services = Services(
        "services",
        ServicesArgs(
            names=names,
            settings=settings,
            network=network,
            balancer=balancer,
            image=image,
            buckets=buckets,
            tables=tables,
            queue=queue,
            secrets=secrets,
            data_key_arn=keys.data_arn,
            secrets_key_arn=keys.secrets_arn,
            logs_key_arn=keys.logs_arn,
            alarms=alarms,
        ),
        top,
    )
    ApiScaling("api-scaling", ApiScalingArgs(names=names, settings=settings, services=services, balancer=balancer), top)
    WorkerScaling("worker-scaling", WorkerScalingArgs(names=names, settings=settings, services=services, queue=queue), top)

    lambdas: dict[str, Output[str]] = {}
    if settings.secret_rotation_days:
        rotation = Rotation(
            "rotation",
            RotationArgs(
                names=names,
                settings=settings,
                secrets=secrets,
                artifacts=buckets.artifacts,
                cluster_name=services.cluster_name,
                service_name=services.api_name,
                secrets_key_arn=keys.secrets_arn,
                logs_key_arn=keys.logs_arn,
            ),
            top,
        )
        lambdas["rotation"] = rotation.function_name
    warned = settings.domain and settings.threat_protection is not ThreatProtection.OFF
    sender = Sender("sign-ins", SenderArgs(settings=settings), top) if warned else None
    identity = Identity(
        "identity",
        IdentityArgs(names=names, settings=settings, logs_key_arn=keys.logs_arn, sender=sender),
        top,
    )
    authorizer = Authorizer(
        "authorizer",
        AuthorizerArgs(
            names=names,
            settings=settings,
            endpoint=endpoint,
            identity=identity,
            artifacts=buckets.artifacts,
            api_keys=tables.api_keys,
            key_use=tables.key_use,
            secret_arn=secrets.authorizer_arn,
            data_key_arn=keys.data_arn,
            secrets_key_arn=keys.secrets_arn,
            logs_key_arn=keys.logs_arn,
        ),
        top,
    )

    surroundings = Surroundings(
        names=names,
        settings=settings,
        artifacts=buckets.artifacts,
        secret_arn=secrets.authorizer_arn,
        data_key_arn=keys.data_arn,
        secrets_key_arn=keys.secrets_arn,
        logs_key_arn=keys.logs_arn,
    )
    token_exchange = TokenExchange("token", TokenExchangeArgs(surroundings=surroundings, api_keys=tables.api_keys), top)
    lambdas["token"] = token_exchange.function_name
    key_administration = KeyAdministration(
        "key-administration",
        KeyAdministrationArgs(surroundings=surroundings, api_keys=tables.api_keys, key_use=tables.key_use),
        top,
    )
    lambdas["keys"] = key_administration.function_name
    user_administration = UserAdministration(
        "user-administration",
        UserAdministrationArgs(surroundings=surroundings, identity=identity, api_keys=tables.api_keys),
        top,
    )
    lambdas["users"] = user_administration.function_name
    audited = {
        "authorizer": authorizer.log_group_name,
        "token": token_exchange.log_group_name,
        "keys": key_administration.log_group_name,
        "users": user_administration.log_group_name,
        "service": services.log_groups["api"],
        "worker": services.log_groups["worker"],
    }
    signing_key = SigningKey("signing", SigningKeyArgs(names=names, asking=asking, protected=protected), top)
    audit_search = AuditSearch(
        "audit-search",
        AuditSearchArgs(
            surroundings=surroundings,
            audit=buckets.audit,
            public_key=signing_key.public_key,
            log_groups={**audited, "sealing": own_log_group(names)},
        ),
        top,
    )
    lambdas["audit"] = audit_search.function_name
    sealing = Sealing(
        "sealing",
        SealingArgs(
            names=names,
            settings=settings,
            artifacts=buckets.artifacts,
            audit=buckets.audit,
            key=signing_key,
            log_groups=(*audited.values(), audit_search.log_group_name),
            data_key_arn=keys.data_arn,
            logs_key_arn=keys.logs_arn,
        ),
        top,
    )
    lambdas["sealing"] = sealing.function_name

    api = Api(
        "api",
        ApiArgs(
            names=names,
            settings=settings,
            network=network,
            balancer=balancer,
            authorizer=authorizer,
            token_exchange=token_exchange,
            functions={KEYS: key_administration, USERS: user_administration, AUDIT: audit_search},
            logs_key_arn=keys.logs_arn,
        ),
        top,
    )
    web_acl = WebAcl("edge", WebAclArgs(names=names, settings=settings, stage_arn=api.stage_arn, identity=identity), top)
    api_url = api.stage_url
    certificates = {"balancer": balancer.certificate_arn}
    if settings.domain:
        domain = Domain("domain", DomainArgs(settings=settings, api=api), top)
        api_url = domain.url
        certificates["api"] = domain.certificate_arn
        certificate = IssuedCertificate(
            "sign-in",
            IssuedCertificateArgs(host=sign_in_host(settings), zone_id=settings.hosted_zone_id),
            # Cognito shows the pages through CloudFront, which takes certificates of this region alone.
            ResourceOptions(providers={"aws": aws.Provider("us-east-1", region="us-east-1", default_tags=tags)}),
        )
        SignInDomain(
            "sign-in",
            SignInDomainArgs(settings=settings, identity=identity, certificate_arn=certificate.arn, domain=domain),
            top,
        )
    WebAclLog(
        "web-acl",
        WebAclLogArgs(
            names=names,
            web_acl_arn=web_acl.arn,
            logs_key_arn=keys.logs_arn,
            retention_days=settings.log_retention_days,
        ),
        top,
    )
    log_groups = {
        "audit": [
            authorizer.log_group_name,
            *services.log_groups.values(),
            *(function.log_group_name for function in (token_exchange, key_administration, user_administration, audit_search)),
            sealing.log_group_name,
        ],
        "access": [api.access_log_group_name],
    }
    declared = [*services.alarms]
    if settings.audit_trail:
        trail = AuditTrail(
            "audit-trail",
            AuditTrailArgs(
                names=names,
                audit=buckets.audit,
                tables=tables,
                logs_key_arn=keys.logs_arn,
                retention_days=settings.log_retention_days,
                alarms=alarms,
                protected=protected,
            ),
            top,
        )
        declared += trail.alarms
        log_groups["trail"] = [trail.log_group_name]
    SavedQueries("saved-queries", SavedQueriesArgs(names=names, log_groups=log_groups), top)
    always_on = settings.working_hours is None
    on_service = ServiceAlarms(
        "service-alarms",
        ServiceAlarmsArgs(
            names=names,
            alarms=alarms,
            access_log_group=api.access_log_group_name,
            authorizer=authorizer.function_name,
            functions=lambdas,
            balancer=balancer,
            queue=queue,
            certificates=certificates,
            always_on=always_on,
        ),
        top,
    )
    on_seals = SealAlarms(
        "seal-alarms",
        SealAlarmsArgs(alarms=alarms, log_group=sealing.log_group_name, function=sealing.function_name),
        top,
    )
    on_activity = ActivityAlarms(
        "activity-alarms",
        ActivityAlarmsArgs(
            alarms=alarms,
            always_on=always_on,
            authorizer_log_group=authorizer.log_group_name,
            service_log_group=services.log_groups["api"],
            keys_log_group=key_administration.log_group_name,
            users_log_group=user_administration.log_group_name,
            sealing_log_group=sealing.log_group_name,
        ),
        top,
    )
    declared += [*on_service.alarms, *on_seals.alarms, *on_activity.alarms]
    Dashboard("dashboard", DashboardArgs(topic=alarms, alarms=declared, queue=queue, services=services), top)
    if settings.monthly_budget_usd:
        Budget("budget", BudgetArgs(alarms=alarms, monthly_usd=settings.monthly_budget_usd), top)

    if settings.break_glass_users:
        BreakGlass(
            "break-glass",
            BreakGlassArgs(
                names=names,
                users=settings.break_glass_users,
                user_pool_arn=identity.user_pool_arn,
                service_arns=services.arns,
                key_arns=(keys.data_arn, keys.secrets_arn, keys.logs_arn),
                secret_arn=secrets.authorizer_arn,
            ),
            top,
        )

    ways_in = _ways_in(settings, names, network, balancer, keys, buckets, labels, top)

    _export(
        {
            "api_url": api_url,
            "region": settings.region,
            "user_pool_id": identity.user_pool_id,
            "client_id": identity.client_id,
            "program_client_id": identity.program_client_id,
            "issuer": identity.issuer,
            "authorize_url": identity.authorize_url,
            "token_url": identity.token_url,
            "callback_urls": CALLBACK_URLS,
            "rest_api_id": api.rest_api_id,
            "stage_name": api.stage_name,
            "stage_arn": api.stage_arn,
            "web_acl_arn": web_acl.arn,
            # For other gateways than this one: gateways/model.py.
            "allowed_ranges": [str(network) for network in (*settings.allowed_ipv4, *settings.allowed_ipv6)],
            "requests_per_minute": settings.requests_per_minute,
            "sensitive_requests_per_minute": settings.sensitive_requests_per_minute,
            "authorizer_function": authorizer.function_name,
            "audit_log_group": authorizer.log_group_name,
            "token_log_group": token_exchange.log_group_name,
            "key_administration_log_group": key_administration.log_group_name,
            "user_administration_log_group": user_administration.log_group_name,
            "audit_search_log_group": audit_search.log_group_name,
            "sealing_log_group": sealing.log_group_name,
            "audit_bucket": buckets.audit.bucket,
            "audit_public_key": signing_key.public_key,
            "token_policy_arn": api.token_policy_arn,
            "load_balancer_arn": balancer.arn,
            "target_group_arn": balancer.target_group_arn,
            "internal_host": settings.internal_host,
            "vpc_link_id": api.vpc_link_id,
            "cluster": services.cluster_name,
            "api_service": services.api_name,
            "worker_service": services.worker_name,
            "uploads_bucket": buckets.uploads.bucket,
            "results_bucket": buckets.results.bucket,
            "jobs_table": tables.jobs.name,
            "config_table": tables.config.name,
            "api_keys_table": tables.api_keys.name,
            "key_use_table": tables.key_use.name,
            "queue_url": queue.url,
            "dead_letter_queue_url": queue.dead_letter_url,
            **ways_in,
        }
    )


def _ways_in(
    settings: configuration.Settings,
    names: Names,
    network: Network,
    balancer: LoadBalancer,
    keys: Keys,
    buckets: Buckets,
    labels: Mapping[str, str],
    top: ResourceOptions,
) -> dict[str, Any]:
    """What leads people to the internal load balancer, each by settings, and the outputs of what there is."""
    outputs: dict[str, Any] = {}
    if settings.bastion or settings.vpn is not Vpn.OFF:
        PrivateDns(
            "private-dns",
            PrivateDnsArgs(
                network=network,
                host=settings.internal_host,
                target=balancer.dns_name,
                target_zone_id=balancer.zone_id,
            ),
            top,
        )
    if network.bastion_security_group_id is not None:
        bastion = Bastion(
            "bastion",
            BastionArgs(
                names=names,
                network=network,
                security_group_id=network.bastion_security_group_id,
                internal_host=settings.internal_host,
                logs_key_arn=keys.logs_arn,
                audit=buckets.audit,
                retention_days=settings.log_retention_days,
                hours=settings.working_hours,
                time_zone=settings.time_zone,
                tags=labels,
                protected=settings.deletion_protection,
            ),
            top,
        )
        outputs |= {
            "bastion_group": bastion.group_name,
            "session_document": bastion.session_document,
            "operator_policy_arn": bastion.operator_policy_arn,
        }
    if network.vpn_security_group_id is not None and settings.vpn_cidr is not None:
        vpn = ClientVpn(
            "vpn",
            ClientVpnArgs(
                names=names,
                network=network,
                security_group_id=network.vpn_security_group_id,
                kind=settings.vpn,
                cidr=settings.vpn_cidr,
                zones=settings.endpoint_zones,
                server_certificate_arn=settings.vpn_server_certificate_arn,
                client_certificate_arn=settings.vpn_client_certificate_arn,
                saml_provider_arn=settings.vpn_saml_provider_arn,
                logs_key_arn=keys.logs_arn,
                retention_days=settings.log_retention_days,
                protected=settings.deletion_protection,
            ),
            top,
        )
        outputs["vpn_endpoint_id"] = vpn.endpoint_id
    return outputs


def _network(
    settings: configuration.Settings, names: Names, zone_ids: Sequence[str], asking: pulumi.InvokeOptions
) -> NetworkArgs:
    existing = None
    if settings.existing_vpc_id:
        try:
            existing = find_network(
                settings.existing_vpc_id, settings.existing_subnet_ids, bastion=settings.bastion, names=names, asking=asking
            )
        except NetworkPlanError as error:
            raise pulumi.RunError(str(error)) from None
    return NetworkArgs(
        names=names,
        cidr=settings.vpc_cidr,
        zone_ids=zone_ids,
        zones=settings.availability_zones,
        endpoint_zones=settings.endpoint_zones,
        bastion=settings.bastion,
        vpn=settings.vpn is not Vpn.OFF,
        existing=existing,
        import_buckets=settings.import_buckets,
    )


def _export(outputs: Mapping[str, Any]) -> None:
    for key, value in outputs.items():
        pulumi.export(key, value)
