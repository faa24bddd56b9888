"""What the functions behind the API have in common: who calls, what with, how they answer, and the audit line of each call."""
