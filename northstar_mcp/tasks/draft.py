"""What a fact does to a task: the one place where a task's next value is decided.

A `Draft` is made from the task as it stands, is told what happened, and gives one `Change` to record whole. It reads no clock and does
no I/O. What cannot happen to the task any more (a frame behind the last one) is left out: an ended task never changes again.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from northstar_mcp.tasks.model import (
    Change,
    Event,
    EventType,
    Json,
    Lease,
    Observation,
    Receipt,
    ReceiptState,
    Screen,
    Task,
    TaskError,
)
from northstar_mcp.tasks.states import Happening, State, after

_HELD = frozenset({State.PAUSED, State.NEEDS_INPUT})
_OPEN_RECEIPTS = frozenset({ReceiptState.ACCEPTED, ReceiptState.QUEUED})


class Draft:
    """One change in the making.

    Args:
        task: The task as it was read from the ledger.
        at: The moment that the change carries.
        receipts: The task's receipts that are still open, so that a new step can close them.
        lease: Whoever follows the task names its lease, so that a lost one is noticed.
    """

    def __init__(
        self, task: Task, *, at: datetime, receipts: tuple[Receipt, ...] = (), lease: Lease | None = None
    ) -> None:
        self.task = task
        self.at = at
        self._before = task
        self._lease = lease
        self._events: list[Event] = []
        self._screens: dict[int, Screen] = {}
        self._open = {receipt.message_id: receipt for receipt in receipts if receipt.state in _OPEN_RECEIPTS}
        self._receipts: dict[str, Receipt] = {}

    @property
    def changed(self) -> bool:
        """Whether there is anything to record."""
        return bool(self._events or self._receipts) or self.task != self._before

    def change(self) -> Change:
        """All of it, as one change on the revision that the task was read at."""
        task = replace(self.task, revision=self._before.revision + 1, updated_at=self.at)
        return Change(
            task=task,
            events=tuple(self._events),
            receipts=tuple(self._receipts.values()),
            screens=dict(self._screens),
            lease=self._lease,
        )

    def learn(
        self,
        *,
        northstar_task_id: str | None = None,
        computer_id: str | None = None,
        model: str | None = None,
        upstream_status: str | None = None,
        exit_code: int | None = None,
        start_sent_at: datetime | None = None,
        second_task_id: str | None = None,
    ) -> None:
        """Keep facts about the task. A name once learnt is not replaced; Lightcone's last word on the state is."""
        self.task = replace(
            self.task,
            northstar_task_id=self.task.northstar_task_id or northstar_task_id,
            computer_id=self.task.computer_id or computer_id,
            model=self.task.model or model,
            upstream_status=upstream_status or self.task.upstream_status,
            exit_code=exit_code if exit_code is not None else self.task.exit_code,
            start_sent_at=self.task.start_sent_at or start_sent_at,
            second_task_id=self.task.second_task_id or second_task_id,
        )

    def begin_stopping(self, end: Happening) -> None:
        """What is done now makes an end of the task, however Lightcone calls it."""
        if not self.task.state.ended:
            self.task = replace(self.task, stopping=self.task.stopping or end)

    def give_up_stopping(self) -> None:
        """It was not done after all: an end that comes is the task's own."""
        self.task = replace(self.task, stopping=None)

    def ask_name(self) -> None:
        """Lightcone is asked for the task's id now, by repeating its start."""
        self.task = replace(self.task, name_asked_at=self.at)

    def forget_asking(self) -> None:
        """Lightcone did nothing when it was asked: it may be asked again."""
        self.task = replace(self.task, name_asked_at=None)

    def confirm_pause(self) -> None:
        """It is paused in spite of the steps that came since: they were taken before."""
        if self.task.state in _HELD:
            self.task = replace(self.task, paused_at=self.at)

    def observe(self, seen: Observation) -> None:
        """Take in what arrived from Lightcone."""
        if self.task.state.ended:
            return
        self.learn(northstar_task_id=seen.northstar_task_id, computer_id=seen.computer_id, model=seen.model)
        # Its computer was taken away: that it then failed is how stopping looks from there.
        is_stopped = seen.happening is Happening.FAILED and self.task.stopping is not None
        event = self._add(
            EventType.STOPPED if is_stopped else seen.type,
            f"It ended, as it was told to. ({seen.text})" if is_stopped else seen.text,
            upstream_id=seen.upstream_id,
            upstream_type=seen.upstream_type,
            step=seen.step,
            screen=seen.screen,
            payload=seen.payload,
        )
        self._count(seen)
        if seen.happening is not None:
            self._move(seen.happening, result=seen.result, error=seen.error)
        if seen.happening is Happening.PERSON_NEEDED:
            # The first reason: that its computer was parked as well says less.
            self.task = replace(self.task, waits_for=self.task.waits_for or seen.text)
        if seen.type is EventType.THINKING:
            self._close_receipts(ReceiptState.PICKED_UP)
        if seen.upstream_id is not None:
            self.task = replace(self.task, last_upstream_id=event.upstream_id)

    def tell(
        self,
        type: EventType,  # noqa: A002 - the event's own word for it
        text: str,
        *,
        happening: Happening | None = None,
        result: str | None = None,
        error: TaskError | None = None,
        payload: Mapping[str, Json] | None = None,
    ) -> int:
        """Write down what this server did or found out itself; answers the event's number (0 where the task has ended)."""
        if self.task.state.ended:
            return 0
        event = self._add(type, text, payload=payload or {})
        if happening is not None:
            self._move(happening, result=result, error=error)
        if happening is Happening.PERSON_NEEDED:
            self.task = replace(self.task, waits_for=text)
        return event.seq

    def keep(self, receipt: Receipt) -> None:
        """Write a receipt, new or changed."""
        self._receipts[receipt.message_id] = receipt

    def _move(self, happening: Happening, *, result: str | None, error: TaskError | None) -> None:
        if happening is Happening.FAILED and self.task.stopping is not None:
            # Its computer was taken away: that it then failed is how stopping looks from there.
            happening, error = self.task.stopping, None
        state = after(self.task.state, happening)
        was_queued = self.task.state in _HELD and state is State.RUNNING
        self.task = replace(
            self.task,
            state=state,
            paused_at=(self.task.paused_at or self.at) if state in _HELD else None,
            waits_for=self.task.waits_for if state is State.NEEDS_INPUT else None,
            result=result if result is not None else self.task.result,
            error=error if error is not None else self.task.error,
            # Nothing was done under it: the same call may be made again.
            caller_key=None if happening is Happening.START_REFUSED else self.task.caller_key,
            started_at=self.task.started_at or (None if state.ended or state is State.STARTING else self.at),
            ended_at=self.at if state.ended else None,
        )
        if was_queued:
            self._accept_queued()
        if state.ended:
            self._close_receipts(ReceiptState.TOO_LATE)

    def _count(self, seen: Observation) -> None:
        if seen.step is not None:
            self.task = replace(self.task, steps=max(self.task.steps, seen.step))
        elif seen.type is EventType.ACTION:
            self.task = replace(self.task, steps=self.task.steps + 1)

    def _accept_queued(self) -> None:
        for receipt in list(self._open.values()):
            if receipt.state is ReceiptState.QUEUED:
                self._turn(receipt, ReceiptState.ACCEPTED)

    def _close_receipts(self, state: ReceiptState) -> None:
        for receipt in list(self._open.values()):
            # A step that was under way before a pause does not read what waits for the resume.
            if state is ReceiptState.TOO_LATE or receipt.state is ReceiptState.ACCEPTED:
                self._turn(receipt, state)

    def _turn(self, receipt: Receipt, state: ReceiptState) -> None:
        turned = replace(receipt, state=state, at=self.at)
        self._receipts[receipt.message_id] = turned
        if state in _OPEN_RECEIPTS:
            self._open[receipt.message_id] = turned
        else:
            del self._open[receipt.message_id]

    def _add(
        self,
        type: EventType,  # noqa: A002 - the event's own word for it
        text: str,
        *,
        upstream_id: str | None = None,
        upstream_type: str | None = None,
        step: int | None = None,
        screen: Screen | None = None,
        payload: Mapping[str, Json],
    ) -> Event:
        seq = self.task.seq + 1
        event = Event(
            task_id=self.task.task_id,
            seq=seq,
            type=type,
            text=text,
            at=self.at,
            upstream_id=upstream_id,
            upstream_type=upstream_type,
            step=step,
            screen_url=screen.url if screen is not None else None,
            payload=payload,
        )
        self._events.append(event)
        if screen is not None:
            self._screens[seq] = screen
        self.task = replace(self.task, seq=seq)
        return event
