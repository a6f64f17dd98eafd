"""The simulator's settings: plain values, given by whoever creates it. This file reads no environment and no file.

Two clocks: `step_seconds` is the real time one step of the agent takes. Everything that Lightcone measures in its own
seconds (pings, `max_duration_seconds`, signatures, how long streams are kept) is divided by `speed`.
"""

from dataclasses import dataclass, field

from northstar_mcp.simulator.dialect import Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """How fast, how large and in which dialect the simulator runs."""

    dialect: Dialect = field(default_factory=Dialect)
    step_seconds: float = 1.5
    speed: float = 1.0

    accepted_keys: frozenset[str] | None = None
    """None accepts every key that starts with `sk_`; an empty set accepts none."""

    max_computers: int = 100
    """Live computers at once; one more is 429 "Concurrent limit reached"."""

    ping_seconds: float = 20.0
    stream_kept_seconds: float = 600.0
    screenshot_url_seconds: float = 600.0

    kept_tasks: int = 2_000
    kept_frames: int = 2_000
    kept_frame_bytes: int = 16_000_000
    """Per task. Older frames are evicted, which a client that comes back sees as `replay_gap`."""

    kept_screens: int = 5_000
    kept_computers: int = 500
    """Saved (persistent) computers."""

    kept_journal_entries: int = 5_000

    def __post_init__(self) -> None:
        """Refuse clocks that stand still and stores that hold nothing."""
        if self.step_seconds < 0 or self.speed <= 0:
            raise ValueError("step_seconds must not be negative, and speed must be above 0")
        if min(self.kept_tasks, self.kept_frames, self.kept_screens, self.kept_computers, self.max_computers) < 1:
            raise ValueError("every kept_* and max_computers must be at least 1")

    def scaled(self, seconds: float) -> float:
        """How long Lightcone's `seconds` take here."""
        return seconds / self.speed
