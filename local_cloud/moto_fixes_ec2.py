"""What moto lacks of EC2, or does otherwise than EC2 does. Applied with the other fixes, see `moto_fixes`."""

from collections.abc import Callable
from typing import Any

from moto.ec2.models.elastic_block_store import EBSBackend
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.kms.models import kms_backends

from local_cloud.moto_client_vpn import know_client_vpn
from local_cloud.moto_patching import add, replace


def know_tags_of_launch_templates() -> None:
    """EC2: a launch template has the tags that it was given since it was made. moto shows those of its making."""

    def set_tags(_self: Any, _tags: Any) -> None:
        """moto's constructor; what it sets is in the backend already."""

    add(LaunchTemplate, "tags", property(lambda self: self.get_tags(), set_tags))  # pyright: ignore[reportArgumentType]


def follow_launch_templates() -> None:
    """EC2: an instance is what its launch template says. moto forgets its metadata options, monitoring, profile and interfaces,
    and adds a volume that is not encrypted."""

    def make(original: Any) -> Any:
        def run_instances(self: Any, *args: Any, **kwargs: Any) -> Any:
            if kwargs.get("launch_template"):
                data = self._get_template_from_args(kwargs["launch_template"]).data
                interfaces = data.get("NetworkInterfaces") or [{}]
                said = {
                    "metadata_options": data.get("MetadataOptions"),
                    "monitoring_state": "enabled" if data.get("Monitoring", {}).get("Enabled") else None,
                    "ebs_optimized": data.get("EbsOptimized"),
                    "iam_instance_profile": data.get("IamInstanceProfile"),
                    "block_device_mappings": data.get("BlockDeviceMappings"),
                    "security_group_ids": interfaces[0].get("Groups"),
                    "associate_public_ip": interfaces[0].get("AssociatePublicIpAddress"),
                }
                for name, value in said.items():
                    if value is not None and not kwargs.get(name):
                        kwargs[name] = value
            return original(self, *args, **kwargs)

        return run_instances

    replace(InstanceBackend, "run_instances", make)


def leave_the_default_key_to_aws() -> None:
    """EC2: the key of disks for which nobody names one is managed by AWS, as KMS tells. moto makes it one of the account's."""

    def make(original: Any) -> Any:
        def create_default_encryption_key(self: Any) -> Any:
            answer = original(self)
            keys = kms_backends[self.account_id][self.region_name].keys
            keys[self.default_kms_key_id.rpartition("/")[2]].key_manager = "AWS"
            return answer

        return create_default_encryption_key

    replace(EBSBackend, "_create_default_encryption_key", make)


FIXES: tuple[Callable[[], None], ...] = (
    know_tags_of_launch_templates,
    follow_launch_templates,
    leave_the_default_key_to_aws,
    know_client_vpn,
)
