from typing import Any


def test_one_web_acl_protects_the_stage_and_the_sign_in(plan: Any) -> None:
    plan.one("wafv2/webAcl:WebAcl")
    associations = [association.inputs for association in plan.of("wafv2/webAclAssociation:WebAclAssociation")]
    assert {association["resourceArn"] for association in associations} == {"arn:aws:Stage/api", "arn:aws:UserPool/identity"}
    assert {association["webAclArn"] for association in associations} == {"arn:aws:WebAcl/edge"}


def test_as_much_of_a_body_is_inspected_as_can_be(plan: Any) -> None:
    (bodies,) = plan.one("wafv2/webAcl:WebAcl").inputs["associationConfig"]["requestBodies"]
    assert bodies == {
        "apiGateway": {"defaultSizeInspectionLimit": "KB_64"},
        "cognitoUserPool": {"defaultSizeInspectionLimit": "KB_64"},
    }


def test_the_ip_sets_hold_the_ranges_of_the_settings(run: Any) -> None:
    plan = run("dev", {"heartmap:allowed_ipv4": '["192.0.2.0/24"]', "heartmap:allowed_ipv6": '["2001:db8::/32"]'})
    addresses = {ip_set.inputs["ipAddressVersion"]: ip_set.inputs["addresses"] for ip_set in plan.of("wafv2/ipSet:IpSet")}
    assert addresses == {"IPV4": ["192.0.2.0/24"], "IPV6": ["2001:db8::/32"]}


def test_without_ranges_there_are_no_ip_sets(run: Any) -> None:
    assert not run("dev", {"heartmap:allowed_ipv4": "[]", "heartmap:allowed_ipv6": "[]"}).of("wafv2/ipSet:IpSet")


def test_the_log_of_the_web_acl_holds_no_credentials(plan: Any) -> None:
    log = plan.one("wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration").inputs
    assert {item["singleHeader"]["name"] for item in log["redactedFields"]} == {"authorization", "cookie"}
    assert plan.one("cloudwatch/logGroup:LogGroup", "web-acl").inputs["name"].startswith("aws-waf-logs-")
    assert log["logDestinationConfigs"] == ["arn:aws:LogGroup/web-acl"]


def test_the_domain_has_its_own_certificate_and_the_tls_policy_of_the_api(planned: Any) -> None:
    plan = planned("prod")
    domain = plan.one("apigateway/domainName:DomainName").inputs
    assert domain["domainName"] == plan.settings.domain
    assert domain["securityPolicy"] == plan.one("apigateway/restApi:RestApi").inputs["securityPolicy"]
    assert domain["endpointAccessMode"] == "STRICT"
    certificates = {c.inputs["domainName"]: c.inputs["validationMethod"] for c in plan.of("acm/certificate:Certificate")}
    assert certificates == dict.fromkeys(
        (plan.settings.domain, plan.settings.internal_host, "auth." + plan.settings.domain), "DNS"
    )


def test_the_whole_domain_leads_to_the_one_stage_from_both_families_of_addresses(planned: Any) -> None:
    plan = planned("prod")
    mapping = plan.one("apigateway/basePathMapping:BasePathMapping").inputs
    assert (mapping["stageName"], mapping.get("basePath")) == ("live", None)
    # Without it the ranges of allowed_ipv6 would let nobody in.
    assert plan.one("apigateway/domainName:DomainName").inputs["endpointConfiguration"]["ipAddressType"] == "dualstack"
    records = [record.inputs for record in plan.of("route53/record:Record") if record.inputs["name"] == plan.settings.domain]
    assert {record["type"] for record in records} == {"A", "AAAA"}
    assert {record["aliases"][0]["name"] for record in records} == {"DomainName/domain/regionalDomainName"}
    assert plan.outputs["api_url"] == f"https://{plan.settings.domain}"


def test_the_sign_in_has_a_name_of_ours_and_its_certificate_comes_from_us_east_1(run: Any) -> None:
    plan = run("prod", {"aws:region": "eu-central-1"})
    host = f"auth.{plan.settings.domain}"
    domain = plan.one("cognito/userPoolDomain:UserPoolDomain")
    assert domain.inputs["domain"] == host
    # The one whose requests the web ACL sees.
    assert domain.inputs["managedLoginVersion"] == 1
    assert plan.outputs["authorize_url"] == f"https://{host}/oauth2/authorize"
    providers = {p.name: p.inputs["region"] for p in plan.resources if p.type == "pulumi:providers:aws"}
    assert providers == {"aws": "eu-central-1", "us-east-1": "us-east-1"}
    certificate = next(c for c in plan.of("acm/certificate:Certificate") if c.inputs["domainName"] == host)
    assert "::us-east-1::" in certificate.provider
    assert "::aws::" in domain.provider
    records = [record.inputs for record in plan.of("route53/record:Record") if record.inputs["name"] == host]
    assert {(record["type"], record["aliases"][0]["name"]) for record in records} == {
        (kind, "UserPoolDomain/sign-in/cloudfrontDistribution") for kind in ("A", "AAAA")
    }


def test_the_sign_in_domain_waits_for_the_address_that_cognito_looks_for(planned: Any) -> None:
    plan = planned("prod")
    address = next(
        r for r in plan.of("route53/record:Record") if r.inputs["name"] == plan.settings.domain and r.inputs["type"] == "A"
    )
    assert address.urn in plan.one("cognito/userPoolDomain:UserPoolDomain").dependencies
