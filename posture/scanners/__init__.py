"""Public scanners, each in an environment of its own: their dependencies exclude ours, and each other's."""
