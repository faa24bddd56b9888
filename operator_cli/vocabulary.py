"""The closed sets of words that a command line may hold. Kept apart so that `--help` needs nothing else."""

from enum import StrEnum


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


class Role(StrEnum):
    """The Cognito groups, each of which the local environment has a user in."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    ADMIN = "admin"
