"""An AWS on one machine: the Pulumi provider backed by moto, the edge, the hosted login, and what supervises them."""
