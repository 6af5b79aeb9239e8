"""Maps and single calls: elements grouped in batches, batches sent to workers, results in order."""
