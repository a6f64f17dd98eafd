"""The live view as a person meets it: in a browser, in a host, beside a task that moves."""

import pytest

from tests.live_view.conftest import Stage

pytestmark = pytest.mark.hosts
LONG = "[steps=100] [step_seconds=0.2]"
NUMBER_OF_STEPS = "() => Number(document.getElementById('steps').textContent)"
HAS_PICTURE = "() => !document.getElementById('screen').hidden"
A_WHILE = "() => new Promise((resolve) => setTimeout(resolve, 800))"  # in which a view that follows would look again
A_MOMENT = A_WHILE.replace("800", "100")
CONTRASTS = """() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => channels(color).slice(0, 3).map((each) => each / 255)
    .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
    .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor;
      if (channels(color)[3] !== 0) return color;
    }
  };
  const words = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  return [...document.querySelectorAll('main *')].filter((each) => words(each) && each.checkVisibility()).map((each) => {
    const [over, under] = [light(getComputedStyle(each).color), light(behind(each))].sort((a, b) => b - a);
    return [(over + 0.05) / (under + 0.05), each.textContent.trim().slice(0, 40)];
  }).filter(([ratio]) => ratio < 4.5);
}"""


def test_it_appears_and_moves_with_its_task(stage: Stage) -> None:
    stage.start(f"Find the opening hours of the library {LONG}", arguments={"max_steps": 250})
    stage.until_state("Running")
    stage.until(HAS_PICTURE)
    before = stage.read("() => [document.getElementById('steps').textContent, document.getElementById('screen').src]")
    stage.until(
        "([steps, src]) => document.getElementById('steps').textContent !== steps && document.getElementById('screen').src !== src",
        before,
    )

    assert stage.do("text", id="title").startswith("Find the opening hours of the library")
    assert stage.do("text", id="max-steps") == "at most 250"
    assert stage.do("text", id="max-time") == "30:00"
    assert stage.read("() => document.getElementById('screen').naturalWidth") > 600
    assert stage.read("() => document.querySelectorAll('#events li').length") >= 4
    assert stage.do("host", work="() => window.sizes.at(-1)") == stage.read(
        "() => document.documentElement.scrollHeight"
    )


def test_the_end_is_shown_and_the_view_asks_no_more(stage: Stage) -> None:
    stage.start("Read the news [result=Three headlines, all of them good.] [steps=3]")
    stage.until_state("Completed")

    assert stage.do("text", id="outcome-head") == "Northstar reports this as done"
    assert stage.do("text", id="result") == "Three headlines, all of them good."
    assert "Northstar's words" in stage.do("text", id="outcome-whose")
    assert not stage.read("() => document.getElementById('controls').checkVisibility()")
    stage.until(HAS_PICTURE)
    looks = len(stage.looks())
    stage.read(A_WHILE)
    assert len(stage.looks()) == looks


def test_a_failure_is_shown_with_its_reason(stage: Stage) -> None:
    stage.start("Buy the tickets [fail at 2]")
    stage.until_state("Failed")

    assert "exec_failed" in stage.do("text", id="outcome-note")
    assert "could not be carried out" in stage.do("text", id="events")


def test_pause_resume_and_stop_act(stage: Stage) -> None:
    stage.start(f"Sort the mail {LONG}")
    stage.until(f"() => ({NUMBER_OF_STEPS})() > 0")

    stage.click("Pause")
    stage.until_state("Paused")
    assert stage.status()["state"] == "paused"

    stage.click("Resume")
    stage.until_state("Running")
    assert stage.status()["state"] == "running"

    stage.click("Stop…")
    assert stage.status()["state"] == "running", "one press stopped it"
    stage.click("Stop the task")
    stage.until_state("Stopped")
    assert stage.status()["state"] == "stopped"
    assert stage.upstream()["over"]
    assert stage.steering()[:2] == ["POST pause", "POST resume"]


def test_a_stop_can_be_thought_better_of(stage: Stage) -> None:
    stage.start(f"Tidy the desktop {LONG}")
    stage.until(f"() => ({NUMBER_OF_STEPS})() > 0")
    stage.click("Stop…")
    stage.click("Don't stop")

    stage.do("hidden", id="sure")
    assert stage.steering() == []


def test_a_message_arrives_and_its_receipt_is_told(stage: Stage) -> None:
    stage.start(f"Book a table {LONG}")
    stage.until(f"() => ({NUMBER_OF_STEPS})() > 0")
    stage.do("focus", id="message")
    stage.do("type", text="For four <b>people</b>, not two")
    stage.press("Enter")
    stage.until_told("picked up")

    assert stage.upstream()["messages_picked_up"] == ["For four <b>people</b>, not two"]
    line = stage.do("text", id="receipts")
    assert "For four <b>people</b>, not two" in line
    assert "picked up" in line
    assert stage.read("() => document.getElementById('message').value") == ""


def test_a_message_to_a_paused_task_waits(stage: Stage) -> None:
    stage.start(f"Compare two phones {LONG}")
    stage.until(f"() => ({NUMBER_OF_STEPS})() > 0")
    stage.click("Pause")
    stage.until_state("Paused")
    stage.do("focus", id="message")
    stage.do("type", text="Look at the battery")
    stage.click("Send")

    stage.until_told("waits until you resume")
    stage.click("Resume")
    stage.until_told("picked up")


def test_a_person_who_is_needed_gets_the_way_in(stage: Stage) -> None:
    stage.start("Pay the bill [login at 3]")
    stage.until_state("Needs a person")
    stage.until("() => document.getElementById('person-why').textContent.includes('sign in')")
    stage.click("Open its computer")
    stage.until("() => document.getElementById('resume').className === 'first'")

    assert stage.do("host", work="() => window.links") == [stage.status()["live_view_url"]]
    stage.click("Resume")
    stage.until_state("Completed")


def test_a_host_that_opens_no_links_shows_the_address(stage: Stage) -> None:
    stage.start("Pay another bill [login at 2]", capabilities={"serverTools": {}})
    stage.until_state("Needs a person")
    stage.click("Open its computer")
    stage.do("shown", id="address")

    assert stage.status()["live_view_url"] in stage.do("text", id="address")


HOSTILE = "<script>hacked=1</script><img src=x onerror=hacked=1>"


def test_what_stands_on_a_screen_is_inert(stage: Stage) -> None:
    report = '<iframe srcdoc="<script>parent.hacked=1</script>"></iframe><a href="https://evil.example">here</a>'
    stage.start(f"Open example.com, then type “{HOSTILE}” in the search box [error at 2] [result={report}]")
    stage.until_state("Completed")

    assert HOSTILE in stage.do("text", id="events")
    assert stage.do("text", id="result") == report
    strange = "() => document.querySelectorAll('main :is(a, iframe, script, img:not(#screen))').length"
    assert stage.read(strange) == 0
    assert stage.read("() => 'hacked' in window") is False


def test_a_host_that_hands_over_text_only_is_followed_too(stage: Stage) -> None:
    stage.start("Count the stars [steps=3]", bare=True)

    stage.until_state("Completed")


def test_a_task_that_was_not_started_is_told(stage: Stage) -> None:
    stage.start("Do nothing", arguments={"max_steps": 0})
    stage.do("shown", id="lost")

    assert "max_steps must be at least 1" in stage.do("text", id="lost-why")


def test_a_cancelled_call_is_told(stage: Stage) -> None:
    stage.start("Never mind", call=False)
    stage.do("host", work="() => { bridge.sendToolCancelled({ reason: 'user action' }); }")
    stage.do("shown", id="lost")

    assert "cancelled" in stage.do("text", id="lost-why")


def test_a_status_call_shows_one_line_until_somebody_wants_to_watch(stage: Stage) -> None:
    stage.start("Water the plants [steps=3]")
    stage.until_state("Completed")
    task_id = stage.task_id
    stage.do("open", tool="task_status", given={"task_id": task_id})
    stage.until_state("Completed")
    assert stage.looks() == []
    assert not stage.read("() => document.getElementById('whole').checkVisibility()")

    stage.click("Watch")
    stage.until(HAS_PICTURE)
    assert stage.do("text", id="title").startswith("Water the plants")


def test_an_id_that_is_nobodys_is_told(stage: Stage) -> None:
    stage.do("open", tool="task_status", given={"task_id": "task_aaaaaaaaaaaaaaaaaaaaaaaa"})
    stage.do("shown", id="lost")

    assert "There is no task" in stage.do("text", id="lost-why")


def test_a_lost_connection_is_said_and_recovered_from(stage: Stage) -> None:
    stage.start(f"Watch the tides {LONG}")
    stage.until(f"() => ({NUMBER_OF_STEPS})() > 0")
    stage.do("cut", on=True)
    stage.do("shown", id="lost")
    stage.until_told("The connection is lost")

    stage.do("cut", on=False)
    stage.click("Try now")
    stage.until_told("Connected again")
    stage.do("hidden", id="lost")
    steps = stage.read(NUMBER_OF_STEPS)
    stage.until(f"(steps) => ({NUMBER_OF_STEPS})() > steps", steps)


SHOW = """(state) => {
  Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


def test_a_page_that_nobody_sees_asks_nothing_and_catches_up(stage: Stage) -> None:
    stage.start(f"Watch the clouds {LONG}")
    stage.until(f"() => ({NUMBER_OF_STEPS})() > 0")
    stage.read(SHOW, "hidden")
    stage.read(A_MOMENT)  # what was asked before may be on its way still
    looks = len(stage.looks())
    stage.read(A_WHILE)
    assert len(stage.looks()) == looks

    steps = stage.status()["steps"]
    stage.read(SHOW, "visible")
    stage.until(f"(steps) => ({NUMBER_OF_STEPS})() >= steps", steps)


def test_a_view_that_is_taken_down_asks_no_more(stage: Stage) -> None:
    stage.start(f"Watch the birds {LONG}")
    stage.until(f"() => ({NUMBER_OF_STEPS})() > 0")
    assert stage.do("host", work="() => bridge.teardownResource({})") == {}
    stage.read(A_MOMENT)
    looks = len(stage.looks())
    stage.read(A_WHILE)
    assert len(stage.looks()) == looks


def test_it_is_worked_by_keyboard_alone(stage: Stage) -> None:
    stage.start(f"Write a postcard {LONG}")
    stage.until(f"() => ({NUMBER_OF_STEPS})() > 0")
    stage.press("Tab")
    assert stage.focused() == "pause"
    assert stage.read("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"
    stage.press("Enter")
    stage.until("() => document.activeElement.id === 'resume'")
    stage.press("Enter")
    stage.until("() => document.activeElement.id === 'pause'")

    stage.press("Tab", "Tab")
    assert stage.focused() == "events", "the log can be scrolled"
    stage.press("Tab")
    stage.do("type", text="Sign it")
    stage.press("Shift+Enter", "Enter")
    stage.until_told("Your message")
    assert stage.focused() == "message"

    stage.press("Shift+Tab", "Shift+Tab", "Enter")
    assert stage.focused() == "keep", "the harmless one has the focus first"
    stage.press("Escape")
    assert stage.focused() == "stop"
    stage.press("Enter", "Tab", "Enter")
    stage.until_state("Stopped")
    stage.until("() => document.activeElement.id === 'outcome'")
    assert stage.status()["state"] == "stopped"


def test_everything_has_a_role_and_a_name(stage: Stage) -> None:
    stage.start("Draw a map [steps=40] [step_seconds=0.25] [login at 3]", arguments={"max_steps": 40})
    stage.until_state("Needs a person")
    stage.until(HAS_PICTURE)
    roles = stage.do("roles")

    for line in (
        '- main "Draw a map',
        "- status: Northstar needs a person.",
        '- heading "Draw a map',
        '- group "Steer the task"',
        '- button "Resume"',
        '- button "Stop…"',
        '- region "A person is needed"',
        '- button "Open its computer"',
        '- meter "Steps used"',
        '- meter "Time used"',
        "- 'img \"Northstar''s screen at ",
        '- region "What happened"',
        '- list "What happened"',
        '- textbox "Message to Northstar"',
        '- button "Send"',
    ):
        assert line in roles, roles
    assert '- button "Pause"' not in roles
    assert stage.read("() => document.getElementById('steps-bar').ariaValueText") == "2 of at most 40 steps"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_readable_in_the_hosts_theme(stage: Stage, theme: str) -> None:
    other = {"light": "dark", "dark": "light"}[theme]
    stage.start(f"Look in the {theme} [login at 3]", scheme=other, context={"theme": theme})
    stage.until_state("Needs a person")
    stage.until(HAS_PICTURE)

    assert _is_dark(stage) is (theme == "dark")
    assert stage.read(CONTRASTS) == []
    stage.do("host", work=f"() => {{ bridge.sendHostContextChange({{ theme: '{other}' }}); }}")
    stage.until("(theme) => document.documentElement.dataset.theme === theme", other)
    assert _is_dark(stage) is (other == "dark")


def test_without_a_word_from_the_host_it_follows_the_system(stage: Stage) -> None:
    stage.start("Follow the system [steps=2]", scheme="dark")
    stage.until_state("Completed")
    assert _is_dark(stage)
    assert stage.read(CONTRASTS) == []

    stage.do("theme", scheme="light")
    assert not _is_dark(stage)
    assert stage.read(CONTRASTS) == []


def test_it_wears_the_hosts_colours(stage: Stage) -> None:
    variables = {"--color-background-primary": "rgb(1, 2, 3)", "--color-text-primary": "rgb(250, 250, 250)"}
    stage.start("Dress up [steps=2]", context={"styles": {"variables": variables}})
    stage.until_state("Completed")

    assert _colour(stage) == "rgb(1, 2, 3)"


def test_whoever_wants_less_motion_gets_none(stage: Stage) -> None:
    moves = "() => getComputedStyle(document.getElementById('state'), '::before').animationName"
    stage.start(f"Stand still {LONG}", motion="reduce")
    stage.until_state("Running")
    assert stage.read(moves) == "none"

    stage.start(f"Do not stand still {LONG}")
    stage.until_state("Running")
    assert stage.read(moves) == "breathe"


def test_it_fits_a_narrow_host(stage: Stage) -> None:
    stage.start(f"Read the sign {'over the door of the shop ' * 8} [login at 3]", width=320)
    stage.until_state("Needs a person")
    stage.until(HAS_PICTURE)

    assert stage.read("() => document.documentElement.scrollWidth") == 320


def test_it_can_fill_the_screen_where_the_host_can(stage: Stage) -> None:
    stage.start(f"Grow {LONG}", context={"displayMode": "inline", "availableDisplayModes": ["inline", "fullscreen"]})
    stage.until_state("Running")
    stage.click("Full screen")
    stage.click("Back")
    stage.do("shown", role="button", name="Full screen")


def _colour(stage: Stage) -> str:
    return str(stage.read("() => getComputedStyle(document.body).backgroundColor"))


def _is_dark(stage: Stage) -> bool:
    channels: list[int] = stage.read("() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    return sum(channels) < 200
