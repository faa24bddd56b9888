"""The function that seals the audit records: every few minutes, into files that a signature holds together."""
