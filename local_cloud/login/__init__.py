"""A stand-in for Cognito's hosted login, on top of the emulated user pool.

Served: the authorization endpoint with its login page, the token, revocation and logout endpoints, the key set and the OpenID
configuration. What a client may do is read back from the deployed app client for each request. People, passwords and groups are
those of the user pool, which also makes their tokens; those of the client for programs are made here, which the emulated pool
cannot. The web ACL of the user pool is enforced.

Stricter than Cognito: for people only the authorization code flow, and not without PKCE (S256). Not there: sign-up, forgotten
passwords, other identity providers, and, for now, second factors: a pool that demands one is refused. Sessions end with the
process.
"""
