"""heartmapctl: what an operator and a scientist type."""

APPLICATION = "heartmapctl"
DISTRIBUTION = "heartmap-on-aws"
"""The name under which it is installed (pyproject.toml)."""
