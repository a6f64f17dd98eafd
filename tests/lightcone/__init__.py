"""Tests of the Lightcone room. A package, so that mypy can tell its conftest from the others."""
