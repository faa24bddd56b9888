"""The Pulumi provider of the local environment: each resource type that the program uses, created in a moto server."""
