"""Networks as files: their records, graphs, weights and int8 ranges; those that are shipped."""
