"""The one question: how long a model trains and how fast it serves on a cluster of one chip."""
