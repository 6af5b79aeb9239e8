"""What runs inside the pods of a run, each module the command of one container or hook of it."""
