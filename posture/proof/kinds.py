"""Which types of resources the proof reads, which open a way by being there, and which open none, and why.

A type that is in none of these tables, and an argument of a type in READ that is not named there, is refused: nobody has thought
about whether it opens a way.
"""

from collections.abc import Iterator

from posture.proof.exported import Stack
from posture.proof.findings import Counterexample

_TAGS = frozenset({"tags", "tagsAll", "description"})

# Type: the arguments that the proof reads, or has looked at and found to open no way.
READ: dict[str, str] = {
    "apigateway/authorizer:Authorizer": "authorizerResultTtlInSeconds authorizerUri identitySource name restApi type",
    "apigateway/basePathMapping:BasePathMapping": "domainName restApi stageName",
    "apigateway/domainName:DomainName": (
        "domainName endpointAccessMode endpointConfiguration regionalCertificateArn securityPolicy"
    ),
    "apigateway/integration:Integration": (
        "connectionId connectionType httpMethod integrationHttpMethod integrationTarget requestParameters resourceId "
        "restApi timeoutMilliseconds type uri tlsConfig passthroughBehavior"
    ),
    "apigateway/method:Method": (
        "authorization authorizerId httpMethod requestModels requestParameters requestValidatorId resourceId restApi "
        "apiKeyRequired operationName authorizationScopes"
    ),
    "apigateway/resource:Resource": "parentId pathPart restApi",
    "apigateway/restApi:RestApi": (
        "binaryMediaTypes disableExecuteApiEndpoint endpointAccessMode endpointConfiguration name securityPolicy policy "
        "minimumCompressionSize"
    ),
    "apigateway/restApiPolicy:RestApiPolicy": "policy restApiId",
    "apigateway/stage:Stage": "accessLogSettings clientCertificateId deployment restApi stageName xrayTracingEnabled",
    "apigatewayv2/vpcLink:VpcLink": "name securityGroupIds subnetIds",
    "autoscaling/group:Group": "desiredCapacity launchTemplate maxSize minSize name vpcZoneIdentifiers",
    "cognito/userPool:UserPool": (
        "accountRecoverySetting adminCreateUserConfig autoVerifiedAttributes deletionProtection emailConfiguration "
        "lambdaConfig mfaConfiguration name passwordPolicy softwareTokenMfaConfiguration userPoolAddOns userPoolTier "
        "usernameConfiguration webAuthnConfiguration signInPolicy"
    ),
    "dynamodb/table:Table": (
        "attributes billingMode deletionProtectionEnabled globalSecondaryIndexes hashKey name onDemandThroughput "
        "pointInTimeRecovery rangeKey serverSideEncryption ttl streamEnabled streamViewType"
    ),
    "ec2/defaultNetworkAcl:DefaultNetworkAcl": "defaultNetworkAclId egress ingress subnetIds",
    "ec2/defaultSecurityGroup:DefaultSecurityGroup": "egress ingress vpcId",
    "ec2/launchTemplate:LaunchTemplate": (
        "blockDeviceMappings disableApiTermination ebsOptimized iamInstanceProfile imageId instanceType metadataOptions "
        "monitoring name networkInterfaces tagSpecifications updateDefaultVersion userData"
    ),
    "ec2/networkAcl:NetworkAcl": "egress ingress subnetIds vpcId",
    "ec2/routeTable:RouteTable": "routes vpcId propagatingVgws",
    "ec2/route:Route": (
        "routeTableId destinationCidrBlock destinationIpv6CidrBlock destinationPrefixListId gatewayId natGatewayId "
        "vpcEndpointId transitGatewayId vpcPeeringConnectionId networkInterfaceId egressOnlyGatewayId localGatewayId "
        "carrierGatewayId coreNetworkArn"
    ),
    "ec2/routeTableAssociation:RouteTableAssociation": "routeTableId subnetId",
    "ec2/securityGroup:SecurityGroup": "name vpcId ingress egress revokeRulesOnDelete",
    "ec2/subnet:Subnet": "availabilityZoneId availabilityZone cidrBlock mapPublicIpOnLaunch vpcId",
    "ec2/vpc:Vpc": "cidrBlock enableDnsHostnames enableDnsSupport instanceTenancy",
    "ec2/vpcEndpoint:VpcEndpoint": (
        "policy privateDnsEnabled routeTableIds securityGroupIds serviceName subnetIds vpcEndpointType vpcId"
    ),
    "ec2clientvpn/authorizationRule:AuthorizationRule": "accessGroupId authorizeAllGroups clientVpnEndpointId targetNetworkCidr",
    "ec2clientvpn/endpoint:Endpoint": (
        "authenticationOptions clientCidrBlock clientLoginBannerOptions connectionLogOptions disconnectOnSessionTimeout "
        "dnsServers securityGroupIds selfServicePortal serverCertificateArn sessionTimeoutHours splitTunnel transportProtocol "
        "vpcId vpnPort"
    ),
    "ec2clientvpn/networkAssociation:NetworkAssociation": "clientVpnEndpointId subnetId",
    "ecr/repositoryPolicy:RepositoryPolicy": "policy repository",
    "ecs/service:Service": (
        "alarms availabilityZoneRebalancing cluster deploymentCircuitBreaker deploymentMaximumPercent "
        "deploymentMinimumHealthyPercent desiredCount enableExecuteCommand healthCheckGracePeriodSeconds launchType "
        "loadBalancers name networkConfiguration platformVersion propagateTags taskDefinition forceNewDeployment "
        "waitForSteadyState triggers capacityProviderStrategies enableEcsManagedTags"
    ),
    "iam/policy:Policy": "name path policy",
    "iam/role:Role": "assumeRolePolicy maxSessionDuration name path inlinePolicies managedPolicyArns",
    "iam/rolePolicy:RolePolicy": "name policy role",
    "iam/rolePolicyAttachment:RolePolicyAttachment": "policyArn role",
    "kms/key:Key": (
        "customerMasterKeySpec deletionWindowInDays enableKeyRotation isEnabled keyUsage policy multiRegion "
        "bypassPolicyLockoutSafetyCheck rotationPeriodInDays"
    ),
    "lambda/function:Function": (
        "architectures environment ephemeralStorage handler kmsKeyArn loggingConfig memorySize name "
        "reservedConcurrentExecutions role runtime s3Bucket s3Key sourceCodeHash timeout tracingConfig vpcConfig "
        "deadLetterConfig publish"
    ),
    "lambda/permission:Permission": (
        "action function principal sourceAccount sourceArn statementId principalOrgId eventSourceToken functionUrlAuthType"
    ),
    "lb/listener:Listener": "certificateArn defaultActions loadBalancerArn port protocol sslPolicy",
    "lb/loadBalancer:LoadBalancer": (
        "accessLogs connectionLogs desyncMitigationMode dropInvalidHeaderFields enableDeletionProtection idleTimeout "
        "internal loadBalancerType name securityGroups subnets"
    ),
    "lb/targetGroup:TargetGroup": (
        "deregistrationDelay healthCheck name port protocol targetType vpcId slowStart loadBalancingAlgorithmType"
    ),
    "cloudwatch/logResourcePolicy:LogResourcePolicy": "policyDocument policyName",
    "s3/bucket:Bucket": "bucket forceDestroy objectLockEnabled",
    "s3/bucketOwnershipControls:BucketOwnershipControls": "bucket rule",
    "s3/bucketPolicy:BucketPolicy": "bucket policy",
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock": (
        "blockPublicAcls blockPublicPolicy bucket ignorePublicAcls restrictPublicBuckets skipDestroy"
    ),
    "secretsmanager/secret:Secret": "forceOverwriteReplicaSecret kmsKeyId name recoveryWindowInDays policy",
    "secretsmanager/secretPolicy:SecretPolicy": "blockPublicPolicy policy secretArn",
    "ses/identityPolicy:IdentityPolicy": "identity name policy",
    "sns/topic:Topic": "kmsMasterKeyId name policy",
    "sns/topicPolicy:TopicPolicy": "arn policy",
    "sqs/queue:Queue": (
        "delaySeconds kmsDataKeyReusePeriodSeconds kmsMasterKeyId maxMessageSize messageRetentionSeconds name policy "
        "receiveWaitTimeSeconds redrivePolicy visibilityTimeoutSeconds"
    ),
    "sqs/queuePolicy:QueuePolicy": "policy queueUrl",
    "dynamodb/resourcePolicy:ResourcePolicy": "policy resourceArn",
    "vpc/securityGroupEgressRule:SecurityGroupEgressRule": (
        "cidrIpv4 cidrIpv6 fromPort ipProtocol prefixListId referencedSecurityGroupId securityGroupId toPort"
    ),
    "vpc/securityGroupIngressRule:SecurityGroupIngressRule": (
        "cidrIpv4 cidrIpv6 fromPort ipProtocol prefixListId referencedSecurityGroupId securityGroupId toPort"
    ),
    "wafv2/webAcl:WebAcl": (
        "associationConfig captchaConfig challengeConfig customResponseBodies defaultAction name rules scope tokenDomains "
        "visibilityConfig"
    ),
    "wafv2/webAclAssociation:WebAclAssociation": "resourceArn webAclArn",
}

# Type: the property that it breaks, and by what.
OPENING: dict[str, tuple[str, str]] = {
    "ec2/internetGateway:InternetGateway": ("entry", "joins the network to the internet"),
    "ec2/internetGatewayAttachment:InternetGatewayAttachment": ("entry", "joins the network to the internet"),
    "ec2/eip:Eip": ("entry", "gives an interface an address on the internet"),
    "ec2/eipAssociation:EipAssociation": ("entry", "gives an interface an address on the internet"),
    "ec2/natGateway:NatGateway": ("leaving", "leads to the internet"),
    "ec2/egressOnlyInternetGateway:EgressOnlyInternetGateway": ("leaving", "leads to the internet"),
    "ec2/vpcPeeringConnection:VpcPeeringConnection": ("entry", "joins the network to another"),
    "ec2/vpnGateway:VpnGateway": ("entry", "joins the network to another"),
    "ec2transitgateway/vpcAttachment:VpcAttachment": ("entry", "joins the network to others"),
    "ec2/vpcEndpointService:VpcEndpointService": ("entry", "offers a load balancer to other accounts"),
    "ec2clientvpn/route:Route": ("leaving", "leads clients of the VPN beyond the network"),
    "lambda/functionUrl:FunctionUrl": ("entry", "makes a function answer beside the API"),
    "s3/bucketAcl:BucketAcl": ("entry", "opens a bucket beside its policy"),
    "s3/accessPoint:AccessPoint": ("entry", "opens a bucket beside its policy"),
    "s3/bucketWebsiteConfiguration:BucketWebsiteConfiguration": ("entry", "serves a bucket without TLS"),
    "kms/grant:Grant": ("rights", "gives the use of a key beside its policy"),
    "iam/user:User": ("rights", "is a principal with credentials that do not end"),
    "iam/accessKey:AccessKey": ("rights", "is a credential that does not end"),
    "iam/group:Group": ("rights", "gives rights to users, of which the stack has none"),
    "iam/policyAttachment:PolicyAttachment": ("rights", "takes a policy from whom the program gave it"),
}

_SHAPE = "is part of the API's shape; who may call what is decided by methods, authorizer and stage"
_SIZE = "says how many there are and when, and not who reaches them"
_TOLD = "tells of what happens; it lets nothing in"
_NAMED = "gives a name to something; a name lets nobody in"
_OWN = "is how a bucket keeps what is in it"
# Type: why it opens no way.
IRRELEVANT: dict[str, str] = {
    "acm/certificate:Certificate": "proves a name; a listener or domain that uses it is read",
    "acm/certificateValidation:CertificateValidation": "waits for a certificate",
    "apigateway/account:Account": "names the role that writes the API's log; the role is read",
    "apigateway/clientCertificate:ClientCertificate": "is what the API shows to the load balancer",
    "apigateway/deployment:Deployment": "puts methods into a stage; methods and stages are read",
    "apigateway/methodSettings:MethodSettings": "bounds how often a method is called, and what is logged",
    "apigateway/model:Model": _SHAPE,
    "apigateway/requestValidator:RequestValidator": _SHAPE,
    "apigateway/response:Response": _SHAPE,
    "apigateway/usagePlan:UsagePlan": "bounds how often the API is called",
    "appautoscaling/policy:Policy": _SIZE,
    "appautoscaling/scheduledAction:ScheduledAction": _SIZE,
    "appautoscaling/target:Target": _SIZE,
    "autoscaling/schedule:Schedule": _SIZE,
    "budgets/budget:Budget": _TOLD,
    "cloudtrail/trail:Trail": _TOLD,
    "cloudwatch/compositeAlarm:CompositeAlarm": _TOLD,
    "cloudwatch/dashboard:Dashboard": _TOLD,
    "cloudwatch/eventRule:EventRule": "starts its targets; that a function lets itself be started is a permission, which is read",
    "cloudwatch/eventTarget:EventTarget": "is what a rule starts, under the target's own policy, which is read",
    "cloudwatch/logGroup:LogGroup": "holds a log; who reads it is decided by roles, and it has no policy of its own",
    "cloudwatch/logMetricFilter:LogMetricFilter": _TOLD,
    "cloudwatch/metricAlarm:MetricAlarm": _TOLD,
    "cloudwatch/queryDefinition:QueryDefinition": "keeps the text of a query",
    "cognito/logDeliveryConfiguration:LogDeliveryConfiguration": _TOLD,
    "cognito/resourceServer:ResourceServer": "names scopes; what one opens is the authorizer's decision",
    "cognito/riskConfiguration:RiskConfiguration": "refuses more sign-ins",
    "cognito/userGroup:UserGroup": "names a group; what it opens is the authorizer's decision",
    "cognito/userPoolClient:UserPoolClient": "is how people sign in; what a token opens is the authorizer's decision",
    "cognito/userPoolDomain:UserPoolDomain": "is where people sign in; the pool's web ACL is read",
    "docker-build:index:Image": "builds and pushes the image, on the machine of whoever deploys",
    "ec2/flowLog:FlowLog": _TOLD,
    "ecr/lifecyclePolicy:LifecyclePolicy": "removes old images",
    "ecr/repository:Repository": "holds images; a policy of a repository is a resource of its own, which is read",
    "ecs/cluster:Cluster": "groups services, which are read",
    "ecs/taskDefinition:TaskDefinition": "says what runs in a task; where it is reached is read from the service, what it may do "
    "from its roles",
    "guardduty/malwareProtectionPlan:MalwareProtectionPlan": "reads uploads with a role, which is read",
    "iam/instanceProfile:InstanceProfile": "hands a role to an instance; the role is read",
    "kms/alias:Alias": _NAMED,
    "lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": "bounds how often a failed call is tried again",
    "route53/record:Record": _NAMED,
    "route53/zone:Zone": _NAMED,
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _OWN,
    "s3/bucketLogging:BucketLogging": _TOLD,
    "s3/bucketNotification:BucketNotification": _TOLD,
    "s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": _OWN,
    "s3/bucketObjectv2:BucketObjectv2": "is the code of a function; objects without ACLs are as open as their bucket",
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _OWN,
    "s3/bucketVersioning:BucketVersioning": _OWN,
    "secretsmanager/secretRotation:SecretRotation": "starts the rotating function, which its permission says, which is read",
    "secretsmanager/secretVersion:SecretVersion": "is the value of a secret, which is read by nobody here",
    "ses/domainIdentity:DomainIdentity": "sends mail; its policy is read",
    "ses/domainIdentityVerification:DomainIdentityVerification": "waits for a domain",
    "sns/topicSubscription:TopicSubscription": _TOLD,
    "sqs/redriveAllowPolicy:RedriveAllowPolicy": "says which queues a dead letter comes from",
    "ssm/document:Document": "says how a session is recorded; who may begin one is read from the policies",
    "ssm/parameter:Parameter": "holds a value; it has no policy of its own",
    "wafv2/ipSet:IpSet": "is a list of addresses that a rule of the web ACL names",
    "wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": _TOLD,
}

# Not AWS's: the project's own groupings of resources, the engine's, and the program that builds and pushes the image.
_NO_RESOURCE = ("heartmap:", "pulumi:", "awsx:")


def check(stack: Stack) -> Iterator[Counterexample]:
    """What was deployed and is not understood, or opens a way by being there."""
    for resource in stack.resources:
        if resource.type.startswith(_NO_RESOURCE):
            continue
        kind = resource.type.removeprefix("aws:")
        if kind in OPENING:
            property_, by = OPENING[kind]
            yield Counterexample(property_, resource.title, f"it {by}")
        elif kind in READ:
            known = frozenset(READ[kind].split()) | _TAGS | {"region", "__defaults"}
            unknown = sorted(
                key for key, value in resource.inputs.items() if key not in known and value not in (None, "", [], {})
            )
            if unknown:
                yield Counterexample("understood", resource.title, f"the proof does not know its {', '.join(unknown)}")
        elif kind not in IRRELEVANT:
            yield Counterexample("understood", resource.title, f"the proof does not know the type {resource.type}")
