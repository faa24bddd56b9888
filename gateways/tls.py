"""The protocols, ciphers and curves that every gateway offers, in the names of OpenSSL.

Mozilla's intermediate configuration, but for its three ciphers of finite-field Diffie-Hellman, which ask for parameters of their
own; every client of the service has elliptic curves.
https://wiki.mozilla.org/Security/Server_Side_TLS
"""

PROTOCOLS = ("TLSv1.2", "TLSv1.3")
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
"""Of TLS 1.2; those of TLS 1.3 are all good."""
CURVES = ("X25519", "prime256v1", "secp384r1")
SESSION_SECONDS = 24 * 3600
