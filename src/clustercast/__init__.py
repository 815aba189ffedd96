"""How long any LLM trains and how fast it serves on a cluster of any chip."""
