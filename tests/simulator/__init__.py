"""Tests of the simulator: mostly from outside, over a real socket."""
