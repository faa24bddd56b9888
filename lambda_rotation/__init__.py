"""The function that rotates the keys of the assertions, in the four steps of AWS Secrets Manager."""
