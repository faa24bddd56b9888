"""The function behind ``/users``: administrators invite people, put them into groups, and let them in or keep them out."""
