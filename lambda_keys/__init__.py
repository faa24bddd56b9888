"""The function behind ``/keys``: administrators make, list, rotate and revoke the API keys of programs."""
