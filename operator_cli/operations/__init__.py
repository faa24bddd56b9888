"""What an operator does to a stack with AWS credentials of their own, beside the API."""
