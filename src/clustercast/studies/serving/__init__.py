"""Serving under load: simulation of the scheduler, search, frontier."""
