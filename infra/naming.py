"""Names of what exists in AWS. One place, so that policies can name a resource before it is made."""

from dataclasses import dataclass

from infra.settings import PROJECT, Environment

# The shortest limit of all: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
LOAD_BALANCER_NAME_LIMIT = 32
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET_NAME_LIMIT = 63

STAGE = "live"
"""The one stage of the REST API."""


@dataclass(frozen=True, kw_only=True)
class Names:
    """Names and ARNs of one environment in one account and region."""

    environment: Environment
    partition: str
    region: str
    account: str

    @property
    def prefix(self) -> str:
        """What every name begins with: ``heartmap-dev``."""
        return f"{PROJECT}-{self.environment}"

    def of(self, purpose: str) -> str:
        """The name of something that is unique within the account. Raises ValueError when it is too long for any service."""
        name = f"{self.prefix}-{purpose}"
        if len(name) > LOAD_BALANCER_NAME_LIMIT:
            raise ValueError(f"the name {name} is longer than {LOAD_BALANCER_NAME_LIMIT} characters: shorten {purpose}")
        return name

    def bucket(self, purpose: str) -> str:
        """The name of a bucket, which is unique among all accounts. Raises ValueError when it is too long for S3."""
        name = f"{self.prefix}-{purpose}-{self.account}-{self.region}"
        if len(name) > BUCKET_NAME_LIMIT:
            raise ValueError(f"the bucket name {name} is longer than {BUCKET_NAME_LIMIT} characters: shorten {purpose}")
        return name

    def log_group(self, purpose: str) -> str:
        """The name of a log group of our own naming; some services prescribe another."""
        return f"/{PROJECT}/{self.environment}/{purpose}"

    def role_arn(self, name: str) -> str:
        """The ARN of a role of this account."""
        return f"arn:{self.partition}:iam::{self.account}:role/{name}"

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource of this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"
