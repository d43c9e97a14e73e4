"""Ground floor: validation, files that are written whole, memory, blocks of rows and their products."""
