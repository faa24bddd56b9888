"""A stand-in for Cognito's hosted login, on top of the emulated user pool.

Served: the authorization endpoint with its login page, the token, revocation and logout endpoints, the key set and the OpenID
configuration. What a client may do is read back from the deployed app client for each request. People, passwords and groups are
those of the user pool, which also makes their tokens; those of the client for programs are made here, which the emulated pool
cannot. The web ACL of the user pool is enforced.

A second factor is an authenticator app, asked for as the pool says at that moment. A page of the sign-in shows its secret as a QR
code and as text; the codes are checked in the emulated pool (`moto_fixes_factors`), where each is taken once.

Stricter than Cognito: for people only the authorization code flow, not without PKCE (S256), and the password every time. Not
there: sign-up, passwords that people forgot (an administrator resets them), second factors by text message or e-mail, and other
identity providers. Sessions end with the process.
"""
