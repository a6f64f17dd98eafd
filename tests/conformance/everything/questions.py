"""Tools, and a prompt, that ask by their answer (SEP-2322, 2026-07-28): each round's state is sealed by the product."""

import json
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Elicit, ElicitationResult, Resolve
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)

from tests.conformance.everything.conversation import Reply

Ctx = Context[Any, Any]


def add_to(server: MCPServer[Any]) -> None:
    """Register them."""
    for tool in (
        test_streaming_elicitation,
        test_input_required_result_elicitation,
        test_input_required_result_sampling,
        test_input_required_result_list_roots,
        test_input_required_result_request_state,
        test_input_required_result_multiple_inputs,
        test_input_required_result_multi_round,
        test_input_required_result_tampered_state,
        test_input_required_result_capabilities,
    ):
        server.add_tool(tool)
    server.prompt()(test_input_required_result_prompt)


def form(message: str, **properties: str) -> ElicitRequest:
    """A question with a form; each property has this type."""
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": list(properties),
    }
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def filled_in(ctx: Ctx, key: str, name: str) -> str:
    """What the user wrote into a field of the form."""
    answer = (ctx.input_responses or {}).get(key)
    return str((answer.content or {}).get(name, "?")) if isinstance(answer, ElicitResult) else "?"


def _asked(ctx: Ctx, *keys: str) -> bool:
    return {*keys} <= (ctx.input_responses or {}).keys()


def _message(text: str) -> CreateMessageRequest:
    messages = [SamplingMessage(role="user", content=TextContent(text=text))]
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=messages, max_tokens=50))


def _word() -> Elicit[Reply]:
    return Elicit("The stateless streaming probe asks for a word", Reply)


async def test_streaming_elicitation(answer: Annotated[ElicitationResult[Reply], Resolve(_word)]) -> str:
    """Asks by the SDK's own way."""
    return f"elicitation {answer.action}"


async def test_input_required_result_elicitation(ctx: Ctx) -> str | InputRequiredResult:
    """Asks for a name."""
    if _asked(ctx, "user_name"):
        return f"Hello, {filled_in(ctx, 'user_name', 'name')}!"
    return InputRequiredResult(input_requests={"user_name": form("What is your name?", name="string")})


async def test_input_required_result_sampling(ctx: Ctx) -> str | InputRequiredResult:
    """Asks the client's model."""
    answer = (ctx.input_responses or {}).get("capital_question")
    if isinstance(answer, CreateMessageResult):
        return f"Model said: {answer.content.text if isinstance(answer.content, TextContent) else '?'}"
    return InputRequiredResult(input_requests={"capital_question": _message("What is the capital of France?")})


async def test_input_required_result_list_roots(ctx: Ctx) -> str | InputRequiredResult:
    """Asks for the client's roots."""
    answer = (ctx.input_responses or {}).get("client_roots")
    if isinstance(answer, ListRootsResult):
        return f"Client exposed {len(answer.roots)} root(s)."
    return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})


async def test_input_required_result_request_state(ctx: Ctx) -> str | InputRequiredResult:
    """Gets its state back."""
    if _asked(ctx, "confirm") and ctx.request_state == "request-state-nonce":
        return "state-ok: confirmation received"
    return InputRequiredResult(
        input_requests={"confirm": form("Please confirm", ok="boolean")}, request_state="request-state-nonce"
    )


async def test_input_required_result_multiple_inputs(ctx: Ctx) -> str | InputRequiredResult:
    """Asks three things at once."""
    asks: dict[str, InputRequest] = {
        "user_name": form("What is your name?", name="string"),
        "greeting": _message("Generate a greeting"),
        "client_roots": ListRootsRequest(),
    }
    if _asked(ctx, *asks):
        return "All inputs received."
    return InputRequiredResult(input_requests=asks, request_state="multiple-inputs")


async def test_input_required_result_multi_round(ctx: Ctx) -> str | InputRequiredResult:
    """Asks twice, one thing after the other."""
    state = json.loads(ctx.request_state or "{}")
    if state.get("round") == 1 and _asked(ctx, "step1"):
        return InputRequiredResult(
            input_requests={"step2": form("Step 2: What is your favorite color?", color="string")},
            request_state=json.dumps({"round": 2, "name": filled_in(ctx, "step1", "name")}),
        )
    if state.get("round") == 2 and _asked(ctx, "step2"):
        return f"{state['name']} likes {filled_in(ctx, 'step2', 'color')}."
    return InputRequiredResult(
        input_requests={"step1": form("Step 1: What is your name?", name="string")},
        request_state=json.dumps({"round": 1}),
    )


async def test_input_required_result_tampered_state(ctx: Ctx) -> str | InputRequiredResult:
    """Its state is plain here: that it was changed on its way is for the product to notice."""
    if ctx.request_state is not None:
        return f"state-ok: {ctx.request_state}"
    return InputRequiredResult(
        input_requests={"confirm": form("Please confirm", ok="boolean")}, request_state="round-1"
    )


async def test_input_required_result_capabilities(ctx: Ctx) -> InputRequiredResult:
    """Asks only what the client can answer."""
    capabilities = ctx.client_capabilities
    asks: dict[str, InputRequest] = {}
    if capabilities is None or capabilities.sampling is not None:
        asks["sample"] = _message("Say hello")
    if capabilities is None or capabilities.elicitation is not None:
        asks["ask"] = form("What is your name?", name="string")
    return InputRequiredResult(input_requests=asks, request_state="capability-gated")


async def test_input_required_result_prompt(ctx: Context) -> list[UserMessage] | InputRequiredResult:
    """A prompt that asks."""
    if _asked(ctx, "user_context"):
        return [
            UserMessage(TextContent(text=f"Use the following context: {filled_in(ctx, 'user_context', 'context')}"))
        ]
    return InputRequiredResult(
        input_requests={"user_context": form("What context should the prompt use?", context="string")}
    )
