//go:build tools

// Package pulumi_cli pins the Pulumi CLI, so that go.sum vouches for every byte that goes into the engine that we build.
package pulumi_cli

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
