from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from infra.certificates import self_signed


def test_a_self_signed_certificate_is_for_its_host_alone_and_its_own_authority() -> None:
    body, key = self_signed("internal.heartmap.internal")
    certificate = x509.load_pem_x509_certificate(body.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["internal.heartmap.internal"]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign, "what API Gateway demands of a root that it does not know"
    assert usage.digital_signature, "what a TLS server's key does"
    certificate.verify_directly_issued_by(certificate)
    loaded = serialization.load_pem_private_key(key.encode(), None)
    assert loaded.public_key() == certificate.public_key()


def test_every_certificate_has_a_key_of_its_own() -> None:
    assert self_signed("a.internal")[1] != self_signed("a.internal")[1]


@pytest.mark.parametrize("stack", ["local", "dev"])
def test_a_stack_without_a_domain_imports_one_once_and_keeps_it(planned: Any, stack: str) -> None:
    certificate = planned(stack).one("acm/certificate:Certificate")
    assert sorted(certificate.ignored) == ["certificateBody", "privateKey"]
    assert "internal.heartmap.internal" in str(
        x509.load_pem_x509_certificate(certificate.inputs["certificateBody"].encode()).subject
    )


def test_a_stack_with_a_domain_has_no_self_signed_certificate(planned: Any) -> None:
    for certificate in planned("prod").of("acm/certificate:Certificate"):
        assert "privateKey" not in certificate.inputs
