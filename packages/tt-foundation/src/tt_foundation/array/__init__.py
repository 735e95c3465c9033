"""The rest of the array library, a file per family; names follow the Python array API standard."""
