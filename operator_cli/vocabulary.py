"""The closed sets of words that a command line may hold. Kept apart so that `--help` needs nothing else."""

from enum import StrEnum

from lambda_authorizer import access_policy


class EnvironmentName(StrEnum):
    LOCAL = "local"
    DEV = "dev"
    PROD = "prod"


class AnalysisType(StrEnum):
    """HeartMAP's pipelines, as GET /models names them."""

    BASIC = "basic"
    ADVANCED_COMMUNICATION = "advanced_communication"
    MULTI_CHAMBER = "multi_chamber"
    COMPREHENSIVE = "comprehensive"


class AnalysisState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Role(StrEnum):
    """The Cognito groups, each of which the local environment has a user in."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    ADMIN = "admin"


class Scope(StrEnum):
    """What an API key may open: the scopes of the access policy."""

    MODELS_READ = access_policy.MODELS_READ
    CONFIG_READ = access_policy.CONFIG_READ
    CONFIG_WRITE = access_policy.CONFIG_WRITE
    UPLOADS_READ = access_policy.UPLOADS_READ
    UPLOADS_WRITE = access_policy.UPLOADS_WRITE
    ANALYSES_READ = access_policy.ANALYSES_READ
    ANALYSES_WRITE = access_policy.ANALYSES_WRITE
