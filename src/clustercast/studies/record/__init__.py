"""The published record: rows of measured runs as questions to the model, and what it answers."""
