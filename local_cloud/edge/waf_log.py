"""What AWS WAF logs of each request that a web ACL saw, but for the rules, the labels and the headers.

https://docs.aws.amazon.com/waf/latest/developerguide/logging-fields.html
"""

import json
from typing import Any

from local_cloud.edge.exchange import Exchange
from local_cloud.edge.interpret import require


def log_group(acl_arn: str, client: Any) -> str | None:
    """The log group that gets a line for each request, if there is one."""
    try:
        found = client.get_logging_configuration(ResourceArn=acl_arn)["LoggingConfiguration"]
    except client.exceptions.WAFNonexistentItemException:
        return None
    (destination,) = found["LogDestinationConfigs"]
    require(":log-group:" in destination, "The web ACL logs to something else than a log group.")
    return destination.partition(":log-group:")[2].removesuffix(":*")


def line(acl_arn: str, exchange: Exchange, *, allowed: bool) -> str:
    """The line of a request that the web ACL of this ARN allowed or blocked."""
    entry = {
        "timestamp": round(exchange.received * 1000),
        "formatVersion": 1,
        "webaclId": acl_arn,
        "action": "ALLOW" if allowed else "BLOCK",
        "httpSourceName": "APIGW",
        "httpSourceId": f"{exchange.api.account}:{exchange.api.id}:{exchange.api.stage}",
        "httpRequest": {
            "clientIp": exchange.source_ip,
            "uri": exchange.path,
            "httpMethod": exchange.method,
            "requestId": exchange.request_id,
        },
    }
    return json.dumps(entry, separators=(",", ":"))
