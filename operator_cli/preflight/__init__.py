"""What `heartmapctl preflight` looks at before `pulumi up`: one function a thing, each of which only reads."""
