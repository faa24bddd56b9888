"""The function behind ``/audit``: administrators search what was decided and done."""
