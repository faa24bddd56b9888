"""What can be typed, one module a group of verbs. Each verb imports what it needs when it runs, so that help is quick."""
