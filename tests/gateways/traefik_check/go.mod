module heartmap/traefik_check

go 1.26.0

require github.com/traefik/paerser v0.2.2

require github.com/traefik/traefik/v3 v3.7.13

require (
	github.com/BurntSushi/toml v1.4.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)

replace github.com/traefik/traefik/v3 => ./traefik
