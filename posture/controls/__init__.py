"""The controls that public scanners check, each as a check of the plan. docs/controls.md says which stack meets which."""

from posture.controls import audit, compute, data, gateway, network, people
from posture.controls.registry import CHECKS, findings

__all__ = ["CHECKS", "audit", "compute", "data", "findings", "gateway", "network", "people"]
