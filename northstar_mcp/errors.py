"""Every error this project raises on purpose, in one tree, by who can act on it.

    NorthstarError
    ├── Rejected                the caller: change the request
    │   ├── InvalidRequest          400, 422, and everything refused before it was sent
    │   ├── NotFound                404, an unknown task, computer or screenshot
    │   ├── Conflict                409, an idempotency key used again for other work
    │   ├── WrongState              the task's state does not allow it
    │   └── PolicyRefused           the operator's rules forbid it
    │       └── Unconfirmed             they demand the user's word, and it was not given
    ├── NeedsOperator           whoever runs this server: key, credits, plan, configuration
    │   ├── KeyMissing
    │   ├── KeyRejected             401
    │   ├── OutOfCredits            402
    │   ├── PlanLapsed              402 with the lapsed-subscription body
    │   ├── NotAllowed              403
    │   └── SettingsInvalid         a configuration that cannot be used
    ├── Unreachable             nobody: later it may work
    │   ├── ConcurrentLimit         429
    │   ├── Unavailable             5xx, 408
    │   ├── TimedOut                no answer in time
    │   ├── Disconnected            refused, reset, or cut off
    │   └── LedgerUnavailable       the record cannot be written or read just now
    └── Broken                  Lightcone, or this server: report it
        ├── UnreadableReply         a reply that is not what it says it is
        └── NoReattach              Lightcone offers no way back into this stream

Each carries what a model needs to go on: the fact (`message`), whether asking again can help (`retryable`), and what to do (`remedy`).
Text that came from a screen or a web page never enters an error: it stands inside the fence (server/answers).
"""

from typing import ClassVar


class NorthstarError(Exception):
    """Base of the tree.

    Args:
        message: What happened, in one or two sentences.
        remedy: What to do about it, as an instruction. Empty only where nothing can be done.
        retry_after_seconds: When the far side said how long to wait.
        sent: False where it is certain that the request did not reach Lightcone, so that nothing can have been started by it.

    Attributes:
        unclear: True where an earlier attempt of the same request may have been carried out: a refusal of this one (for want of room,
            which the first may have taken) does not say that nothing was done.
    """

    category: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    default_remedy: ClassVar[str] = ""
    is_refusal: ClassVar[bool] = False

    def __init__(
        self, message: str, *, remedy: str | None = None, retry_after_seconds: float | None = None, sent: bool = True
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = self.default_remedy if remedy is None else remedy
        self.retry_after_seconds = retry_after_seconds
        self.sent = sent
        self.unclear = False

    @property
    def nothing_done(self) -> bool:
        """True where it is certain that the request had no effect: it did not arrive, or it was refused."""
        return not self.unclear and (self.is_refusal or not self.sent)


class Rejected(NorthstarError):
    """The caller asked for something that cannot be; the same request will be refused again."""

    category = "rejected"
    is_refusal = True
    default_remedy = "Change the request; sending it again unchanged will fail the same way."


class InvalidRequest(Rejected):
    """An argument is missing, unknown, of the wrong type or out of range."""

    category = "invalid_request"


class NotFound(Rejected):
    """No such thing, or it belongs to someone else: the two read alike on purpose."""

    category = "not_found"
    default_remedy = "Check the id; list_tasks shows the tasks that exist."


class Conflict(Rejected):
    """The same idempotency key was used for different work."""

    category = "conflict"
    default_remedy = "Use a new idempotency_key for different work, or repeat the first call's arguments exactly."


class WrongState(Rejected):
    """The task's state does not allow this."""

    category = "wrong_state"
    default_remedy = "Call task_status to see the task's state."


class PolicyRefused(Rejected):
    """The operator of this server forbids it; no argument can change that."""

    category = "policy"
    default_remedy = "Tell the user: only the operator of this server can change its policy."


class Unconfirmed(PolicyRefused):
    """The operator demands that the user confirms this, and no such word has come. Nothing was started."""

    category = "unconfirmed"
    default_remedy = "Tell the user. Only they can confirm it, when their host asks them; you cannot."


class NeedsOperator(NorthstarError):
    """Whoever runs this server must do something first."""

    category = "operator"
    is_refusal = True


class KeyMissing(NeedsOperator):
    """No Lightcone API key is configured."""

    category = "key_missing"
    default_remedy = (
        "Ask the user to create an API key in the Lightcone dashboard (https://lightcone.ai) and to set it as TZAFON_API_KEY "
        "in this MCP server's environment (the `env` block of the host's configuration), then restart the server."
    )


class KeyRejected(NeedsOperator):
    """Lightcone does not accept the key (401)."""

    category = "key_rejected"
    default_remedy = (
        "Do not call again with this key: ten failed attempts block the address. Ask the user to check TZAFON_API_KEY "
        "(keys start with sk_) and to restart the server."
    )


class OutOfCredits(NeedsOperator):
    """The account has no credits left (402)."""

    category = "out_of_credits"
    default_remedy = "Ask the user to add credits in the Lightcone dashboard, then call again with the same arguments."


class PlanLapsed(NeedsOperator):
    """The account's subscription has lapsed and it is read-only (402)."""

    category = "plan_lapsed"
    default_remedy = (
        "Ask the user to renew the subscription in the Lightcone dashboard, then call again with the same arguments."
    )


class NotAllowed(NeedsOperator):
    """The key's scope or plan does not cover this (403)."""

    category = "not_allowed"
    default_remedy = "Ask the user whether the key's scope and plan cover this; another call will not."


class SettingsInvalid(NeedsOperator):
    """The configuration cannot be used."""

    category = "settings"


class Unreachable(NorthstarError):
    """It did not work now and may work later."""

    category = "unreachable"
    retryable = True
    default_remedy = "Try again in a few seconds with the same arguments."


class ConcurrentLimit(Unreachable):
    """Too many computers or tasks at once (429)."""

    category = "concurrent_limit"
    is_refusal = True
    default_remedy = "Wait for a running task to end (wait_for_tasks), then try again with the same arguments."


class Unavailable(Unreachable):
    """Lightcone answered that it cannot serve just now (408, 5xx)."""

    category = "unavailable"


class TimedOut(Unreachable):
    """Lightcone did not answer in time."""

    category = "timed_out"


class Disconnected(Unreachable):
    """The connection was refused, reset or cut off."""

    category = "disconnected"


class LedgerUnavailable(Unreachable):
    """The record of tasks cannot be read or written just now."""

    category = "ledger"
    default_remedy = "Try again shortly; if it stays so, ask the user to check the disk that holds the data directory."


class Broken(NorthstarError):
    """The far side, or this server, is at fault; the caller can do nothing about it."""

    category = "broken"
    default_remedy = (
        "This is a fault of the service, not of the request. Tell the user; task_status shows what is known."
    )


class UnreadableReply(Broken):
    """A reply that is not what it claims to be: a 200 without JSON, an unparseable body."""

    category = "unreadable_reply"


class NoReattach(Broken):
    """Lightcone offers no way back into this task's stream.

    Attributes:
        second_task_id: Where the attempt made Lightcone start another task: its id. Somebody must stop that one.
    """

    category = "no_reattach"
    second_task_id: str | None = None
