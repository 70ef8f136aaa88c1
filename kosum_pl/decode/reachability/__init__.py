"""Whether references can be generated at all: under a preset's rules, its limits and the constraint."""
