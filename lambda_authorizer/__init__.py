"""Who may call what: the Lambda authorizer of the REST API."""
