"""Files or a hub id → checked rows in Arrow: source, format, cells, columns, and the rows that are wrong."""
