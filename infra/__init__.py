"""What exists in AWS: one Pulumi program for every environment."""
