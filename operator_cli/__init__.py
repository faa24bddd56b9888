"""heartmapctl: what an operator and a scientist type."""
