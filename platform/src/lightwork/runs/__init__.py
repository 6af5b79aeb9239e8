"""One run of a pipeline: its session, the tasks that run in it, its record and its report."""
