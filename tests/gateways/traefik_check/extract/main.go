// Extract copies the types of Traefik's configuration out of its own sources, and nothing that they can do.
//
// The packages of the types import all that Traefik can talk to: Kubernetes, Docker, 170 DNS services. Decoding needs only the
// types, with their tags and their defaults. Kept are types, constants and the methods by which paerser decodes and fills in
// defaults; a field of a type from elsewhere is left out, so that a configuration which uses it is refused as unknown.
//
// Usage: extract SOURCE TARGET, the directory of the module github.com/traefik/traefik/v3 and a new one.
package main

import (
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"log"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

const module = "github.com/traefik/traefik/v3/"

var packages = []string{
	"pkg/config/dynamic", "pkg/config/static", "pkg/observability/types", "pkg/ping", "pkg/provider/file", "pkg/tls", "pkg/types",
}

// What paerser calls.
var methods = map[string]bool{"SetDefaults": true, "UnmarshalText": true, "UnmarshalJSON": true, "MarshalText": true}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: extract SOURCE TARGET")
	}
	for _, name := range packages {
		files, err := filepath.Glob(filepath.Join(os.Args[1], name, "*.go"))
		if err != nil || len(files) == 0 {
			log.Fatalf("there is no package %s", name)
		}
		positions, parsed, variables := token.NewFileSet(), map[string]*ast.File{}, map[string]bool{}
		for _, file := range files {
			base := filepath.Base(file)
			if strings.HasSuffix(base, "_test.go") || strings.HasPrefix(base, "zz_") {
				continue
			}
			// Without comments: those of what is left out would land elsewhere.
			if parsed[base], err = parser.ParseFile(positions, file, nil, parser.SkipObjectResolution); err != nil {
				log.Fatal(err)
			}
			addVariables(parsed[base], variables)
		}
		for base, file := range parsed {
			extract(file, variables)
			write(filepath.Join(os.Args[2], name, base), positions, file)
		}
	}
}

func addVariables(file *ast.File, variables map[string]bool) {
	for _, declaration := range file.Decls {
		if declared, ok := declaration.(*ast.GenDecl); ok && declared.Tok == token.VAR {
			for _, spec := range declared.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					variables[name.Name] = true
				}
			}
		}
	}
}

// Variables are left out, and so is whatever needs one.
func extract(file *ast.File, variables map[string]bool) {
	imports := map[string]*ast.ImportSpec{}
	unknown := maps.Clone(variables)
	for _, spec := range file.Imports {
		from, _ := strconv.Unquote(spec.Path.Value)
		name := localName(spec, from)
		imports[name] = spec
		unknown[name] = !known(from)
	}
	var kept []ast.Decl
	for _, declaration := range file.Decls {
		if keep(declaration, unknown) {
			kept = append(kept, declaration)
		}
	}
	used := map[string]bool{}
	for _, declaration := range kept {
		names(declaration, used)
	}
	var specs []ast.Spec
	for name, spec := range imports {
		if used[name] {
			specs = append(specs, spec)
		}
	}
	file.Decls = kept
	if len(specs) > 0 {
		file.Decls = append([]ast.Decl{&ast.GenDecl{Tok: token.IMPORT, Lparen: 1, Specs: specs, Rparen: 1}}, kept...)
	}
}

func keep(declaration ast.Decl, unknown map[string]bool) bool {
	switch declared := declaration.(type) {
	case *ast.FuncDecl:
		return declared.Recv != nil && methods[declared.Name.Name] && !mentions(declared, unknown)
	case *ast.GenDecl:
		if declared.Tok != token.TYPE {
			return declared.Tok == token.CONST
		}
		for _, spec := range declared.Specs {
			ast.Inspect(spec, func(node ast.Node) bool {
				if fields, ok := node.(*ast.StructType); ok {
					known := fields.Fields.List[:0]
					for _, field := range fields.Fields.List {
						if !mentions(field.Type, unknown) {
							known = append(known, field)
						}
					}
					fields.Fields.List = known
				}
				return true
			})
			if mentions(spec, unknown) {
				return false
			}
		}
		return true
	}
	return false
}

// The standard library, paerser's types and what is extracted itself.
func known(from string) bool {
	for _, name := range packages {
		if from == module+name {
			return true
		}
	}
	return from == "github.com/traefik/paerser/types" || !strings.Contains(strings.SplitN(from, "/", 2)[0], ".")
}

func localName(spec *ast.ImportSpec, from string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	name := path.Base(from)
	if strings.HasPrefix(name, "v") && strings.Trim(name[1:], "0123456789") == "" {
		name = path.Base(path.Dir(from))
	}
	return strings.TrimPrefix(name, "go-")
}

// Names that stand for something by themselves: of fields and after a dot they are others'.
func names(node ast.Node, found map[string]bool) {
	ast.Inspect(node, func(node ast.Node) bool {
		switch part := node.(type) {
		case *ast.SelectorExpr:
			names(part.X, found)
			return false
		case *ast.Field:
			names(part.Type, found)
			return false
		case *ast.KeyValueExpr:
			names(part.Value, found)
			return false
		case *ast.Ident:
			found[part.Name] = true
		}
		return true
	})
}

func mentions(node ast.Node, of map[string]bool) bool {
	found := map[string]bool{}
	names(node, found)
	for name := range found {
		if of[name] {
			return true
		}
	}
	return false
}

func write(target string, files *token.FileSet, file *ast.File) {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		log.Fatal(err)
	}
	out, err := os.Create(target)
	if err != nil {
		log.Fatal(err)
	}
	defer out.Close()
	if err := format.Node(out, files, file); err != nil {
		log.Fatal(err)
	}
}
