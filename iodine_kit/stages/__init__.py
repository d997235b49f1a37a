"""Stages: each turns typed configuration and artifacts into one new artifact."""
