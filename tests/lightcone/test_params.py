"""What a start is made of: refused in sentences, or sent as it was meant."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from northstar_mcp.errors import InvalidRequest
from northstar_mcp.lightcone.params import ComputerParams, MessageParams, StartParams
from northstar_mcp.tasks.model import TaskRequest


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"instruction": None}, "instruction must be text, not null."),
        ({"instruction": ""}, "instruction must not be empty."),
        ({"instruction": " \n"}, "instruction must say something; it holds only white space."),
        ({"instruction": "x" * 123_456}, "instruction may have at most 100,000 characters; it has 123,456."),
        ({"kind": "vm"}, "kind must be 'desktop' or 'browser', not \"vm\"."),
        ({"max_steps": 0}, "max_steps must be at least 1, not 0."),
        ({"max_steps": True}, "max_steps must be a whole number, not true."),
        ({"max_steps": "5"}, 'max_steps must be a whole number, not "5".'),
        ({"max_steps": 1.5}, "max_steps must be a whole number, not 1.5."),
        ({"max_steps": 10**50}, "max_steps must be at most 10000, not a huge number."),
        ({"max_duration_seconds": -1}, "max_duration_seconds must be at least 1, not -1."),
        ({"temperature": 2.5}, "temperature must be at most 2, not 2.5."),
        ({"temperature": float("nan")}, "temperature must be a finite number, not nan."),
        ({"temperature": "hot"}, 'temperature must be a number, not "hot".'),
        ({"viewport_width": 3}, "viewport_width must be at least 100, not 3."),
        ({"persistent": "yes"}, 'persistent must be true or false, not "yes".'),
        ({"start_url": "file:///etc/passwd"}, "start_url must be an http or https address"),
        ({"start_url": "example.com"}, "start_url must be an http or https address"),
        ({"start_url": "https://"}, "start_url must be an http or https address"),
        ({"start_url": "https://a b"}, "start_url must be an http or https address"),
        ({"start_url": "https://a:b"}, "start_url must be an http or https address"),
        ({"start_url": "https://[a"}, "start_url must be an http or https address"),
        ({"start_url": "https://a", "kind": "desktop"}, "start_url needs a browser"),
        ({"persistent": True, "save_session": False}, "save_session is another name for persistent"),
        ({"keep_alive": True, "terminate_on_completion": True}, "keep_alive is the opposite of"),
        ({"metadata": {"a": 1}}, "metadata.a must be text, not 1."),
        ({"metadata": ["a"]}, "metadata must be an object, not a list."),
        (
            {"context": [{"role": "system", "content": "x"}]},
            "context.0.role must be 'user' or 'assistant', not \"system\".",
        ),
        ({"context": [{"role": "user"}]}, "context.0.content is required."),
        ({"context": "hi"}, 'context must be a list, not "hi".'),
        ({"idempotency_key": ""}, "idempotency_key must not be empty."),
        ({"zzz": 1}, "zzz is not a parameter of this call."),
        ({"extra": {"kind": "vm"}}, "extra may not carry kind: it is a parameter of its own."),
        ({"extra": 5}, "extra must be an object, not 5."),
    ],
)
def test_a_fault_is_told_in_one_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        StartParams.model_validate({"instruction": "x", **fields})
    assert sentence in caught.value.message
    assert len(caught.value.message) < 400
    assert not caught.value.sent


def test_the_constructor_tells_faults_in_the_same_words() -> None:
    with pytest.raises(InvalidRequest, match=r"^instruction is required\.$"):
        StartParams()  # type: ignore[call-arg]


def test_several_faults_are_told_together_and_many_are_counted() -> None:
    with pytest.raises(InvalidRequest) as caught:
        StartParams.model_validate({f"zz{n}": n for n in range(20)})
    assert caught.value.message.startswith("instruction is required. zz0 is not")
    assert caught.value.message.endswith("16 more faults are not listed.")


def test_a_huge_value_is_never_echoed() -> None:
    with pytest.raises(InvalidRequest) as caught:
        StartParams.model_validate({"instruction": "x", "kind": "v" * 10**6, "z" * 10**6: 1})
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("fields", [{"instruction": "\ud800"}, {"extra": {"a": float("inf")}}])
def test_what_json_cannot_hold_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        StartParams.model_validate({"instruction": "x", **fields}).encoded()


def test_unset_keys_are_left_out_and_extra_is_merged() -> None:
    params = StartParams(instruction="é", kind=None, persistent=False, extra={"enable_login_handoff": True})
    assert params.encoded() == '{"instruction":"é","persistent":false,"enable_login_handoff":true}'.encode()


def test_a_request_of_the_core_becomes_the_same_fields_and_its_key() -> None:
    request = TaskRequest(instruction="x", max_steps=3, max_duration_seconds=9, temperature=1, keep_alive=True)
    body = StartParams.of(request, idempotency_key="k").body()
    assert body == {**request.set_fields(), "idempotency_key": "k"}


def test_the_other_bodies_are_checked_alike() -> None:
    with pytest.raises(InvalidRequest, match=r"display\.width must be at least 100"):
        ComputerParams.model_validate({"display": {"width": 1}})
    with pytest.raises(InvalidRequest, match="message must not be empty"):
        MessageParams(message="")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(list(StartParams.model_fields)) | st.text(max_size=10), _JSON, max_size=6))
def test_arguments_of_any_shape_are_sent_or_refused_in_a_sentence(fields: dict[str, Any]) -> None:
    try:
        body = StartParams.model_validate(fields).encoded()
    except InvalidRequest as error:
        assert 0 < len(error.message) < 2000  # noqa: PT017 - either outcome is right, and each is checked
    else:
        assert b'"instruction"' in body
