"""What the benchmarks share: taking turns, tables, photos, and packages of other people."""
