"""The access policy of this stack for gateways other than AWS's: configuration that is written, never typed."""
