module heartmap/traefik_check/extract

go 1.24
