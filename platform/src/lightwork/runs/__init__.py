"""One run of a pipeline: its session, its tasks' public face, its record and its report."""
