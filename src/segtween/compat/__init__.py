"""Other systems' command lines, on this package's parts: edges, which nothing in the library imports."""
