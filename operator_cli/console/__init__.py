"""The console: a web app for one person, served on this machine's loopback by `heartmapctl console` (docs/console.md)."""
