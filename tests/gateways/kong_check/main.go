// Decodes Kong's declarative configuration, as JSON on standard input, into the types of Kong's own client, and refuses a field that
// they have not.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/kong/go-kong/kong"
)

type route struct {
	kong.Route
	Plugins []kong.Plugin `json:"plugins"`
}

type service struct {
	kong.Service
	Routes []route `json:"routes"`
}

type consumer struct {
	kong.Consumer
	ACLGroups []kong.ACLGroup `json:"acls"`
	JWTAuths  []kong.JWTAuth  `json:"jwt_secrets"`
	KeyAuths  []kong.KeyAuth  `json:"keyauth_credentials"`
}

type document struct {
	FormatVersion string        `json:"_format_version"`
	Services      []service     `json:"services"`
	Consumers     []consumer    `json:"consumers"`
	Plugins       []kong.Plugin `json:"plugins"`
}

func main() {
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	var read document
	if err := decoder.Decode(&read); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	routes := 0
	for _, each := range read.Services {
		routes += len(each.Routes)
	}
	fmt.Printf("%s %d %d %d\n", read.FormatVersion, routes, len(read.Consumers), len(read.Plugins))
}
