"""Predictions beside the imagery, for people who scroll."""
