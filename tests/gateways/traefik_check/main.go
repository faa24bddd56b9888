// Decodes Traefik's static and dynamic configuration as Traefik does, into its own types (see extract), and prints both with the
// defaults filled in, as JSON. A field that Traefik has not is an error, and so is a cipher that Go does not know or calls insecure.
//
// Usage: traefik_check TRAEFIK.YML DYNAMIC.YML
package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/traefik/paerser/file"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/config/static"
)

type decoded struct {
	Static  static.Configuration  `json:"static"`
	Dynamic dynamic.Configuration `json:"dynamic"`
}

func main() {
	if len(os.Args) != 3 {
		fail("usage: traefik_check TRAEFIK.YML DYNAMIC.YML")
	}
	var read decoded
	if err := file.Decode(os.Args[1], &read.Static); err != nil {
		fail(err)
	}
	if err := file.Decode(os.Args[2], &read.Dynamic); err != nil {
		fail(err)
	}
	for name, options := range read.Dynamic.TLS.Options {
		for _, cipher := range options.CipherSuites {
			if !slices.ContainsFunc(tls.CipherSuites(), func(known *tls.CipherSuite) bool { return known.Name == cipher }) {
				fail("tls.options.", name, ": no good cipher: ", cipher)
			}
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(read); err != nil {
		fail(err)
	}
}

func fail(what ...any) {
	fmt.Fprintln(os.Stderr, what...)
	os.Exit(1)
}
