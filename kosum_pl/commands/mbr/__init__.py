"""Command `mbr`: of several candidates of a row the one that the others agree with most."""
