"""The function behind ``POST /token``: an IAM role becomes a credential of 15 minutes with the groups that the stack gives it."""
