"""Launch files of the tools that train and serve: read as questions, written for a chosen plan."""
