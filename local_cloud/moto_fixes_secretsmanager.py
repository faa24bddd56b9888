"""What moto does otherwise than Secrets Manager. Applied with the other fixes, see `moto_fixes`."""

from collections.abc import Callable
from typing import Any

from moto.secretsmanager import models
from moto.secretsmanager.exceptions import SecretNotFoundException

from local_cloud.moto_patching import replace


def configure_rotation_without_rotating() -> None:
    """Secrets Manager: RotateSecret with RotateImmediately false leaves no pending version behind. moto leaves one.

    AWS also has the function test the configuration; here nothing runs functions on behalf of Secrets Manager.
    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html
    """

    def make(original: Any) -> Any:
        def rotate_secret(
            self: Any,
            secret_id: str,
            client_request_token: str | None = None,
            rotation_lambda_arn: str | None = None,
            rotation_rules: dict[str, Any] | None = None,
            rotate_immediately: bool = True,
        ) -> str:
            if rotate_immediately:
                return original(self, secret_id, client_request_token, rotation_lambda_arn, rotation_rules)
            if not self._is_valid_identifier(secret_id):
                raise SecretNotFoundException
            secret = self.secrets[secret_id]
            secret.rotation_requested = secret.rotation_enabled = True
            secret.rotation_lambda_arn = rotation_lambda_arn or secret.rotation_lambda_arn
            secret.auto_rotate_after_days = (rotation_rules or {}).get("AutomaticallyAfterDays", 0)
            return secret.to_short_dict()

        return rotate_secret

    replace(models.SecretsManagerBackend, "rotate_secret", make)


def read_what_is_current() -> None:
    """Secrets Manager: GetSecretValue without a stage gives what AWSCURRENT was moved to. moto gives what was written last.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
    """

    def make(original: Any) -> Any:
        def update_secret_version_stage(
            self: Any, secret_id: str, version_stage: str, remove_from_version_id: str, move_to_version_id: str
        ) -> tuple[str, str]:
            told = original(self, secret_id, version_stage, remove_from_version_id, move_to_version_id)
            if version_stage == "AWSCURRENT" and move_to_version_id:
                self.secrets[secret_id].set_default_version_id(move_to_version_id)
            return told

        return update_secret_version_stage

    replace(models.SecretsManagerBackend, "update_secret_version_stage", make)


FIXES: tuple[Callable[[], None], ...] = (configure_rotation_without_rotating, read_what_is_current)
