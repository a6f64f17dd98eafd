"""How long the core waits for what. Seconds, all of them; tests take smaller ones."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Every wait of the core.

    Attributes:
        lease_seconds: How long a follower may be silent before another process takes its task.
        renew_seconds: How often a follower renews its lease.
        sweep_seconds: How often an engine looks for unfinished tasks that nobody follows.
        stall_seconds: Silence on a stream (pings do not count) after which Lightcone is asked how the task is.
        first_retry_seconds, last_retry_seconds: The first and the longest pause between attempts to get back to a task.
        grace_seconds: Time beyond a task's `max_duration_seconds` before this server tries to stop it.
        settle_seconds: How long a task whose steps are used up may still be reported as running before it counts as ended.
        repeat_seconds: How long an equal start, without a key of the caller, counts as a repeat of an unfinished task.
        naming_seconds: How long a call waits for Lightcone's id of a task that was just started.
        stopping_seconds: How long a stop waits for the task's end to be confirmed.
    """

    lease_seconds: float = 8.0
    renew_seconds: float = 2.5
    sweep_seconds: float = 4.0
    stall_seconds: float = 90.0
    first_retry_seconds: float = 1.0
    last_retry_seconds: float = 15.0
    grace_seconds: float = 60.0
    settle_seconds: float = 30.0
    repeat_seconds: float = 600.0
    naming_seconds: float = 5.0
    stopping_seconds: float = 10.0
