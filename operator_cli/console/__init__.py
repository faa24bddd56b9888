"""The console: what `heartmapctl console` serves on this machine."""
