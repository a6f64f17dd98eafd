"""Measurements. Nothing here is a test: timings on a busy machine prove nothing, so each compares two things in the same run."""
