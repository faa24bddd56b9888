"""What AWS does in front of the service, done on this machine from what was deployed to the emulated AWS and from nothing else.

A request passes, in this order: TLS and the host name, the web ACL, the limit on bodies, the routes of the REST API, its policy,
the throttles of the stage, the authorizer or the IAM signature, the request validators, the integration's mappings, the load
balancer's targets or the Lambda function. Each module does one of these. Whatever is deployed and cannot be interpreted stops
the edge when it starts: nothing is skipped in silence.

Where it differs from AWS: a target that cannot be reached is answered by the REST API's INTEGRATION_FAILURE response, where a
load balancer answers with a page of its own; the load balancer checks no health, every registered target counts as healthy; of
its certificate nothing counts but when it expires; the REST API is served as its resources are now, without a snapshot per
deployment; it is read once, so a changed stack needs a restart. The gateway and the load balancer are one process, so that the
client certificate is shown to nobody. A usage plan limits whoever has a key of API Gateway's own, which no method asks for.
Conditions in IAM policies are not evaluated: what has one allows nothing here.
"""
