"""How a map is carried out: elements in batches, batches on workers, results in order."""
