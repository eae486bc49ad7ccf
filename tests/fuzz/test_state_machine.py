"""A daemon over its socket against a model of what it acknowledged: captures, jobs, repeats, gibberish, kills."""

import shutil
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from tests.daemon.daemon_process import DaemonProcess, Json
from tests.daemon.daemon_rig import chat, write_rows
from tests.fault_record import record_fault
from tests.faults.crowd import caller

ENDINGS = ("succeeded", "failed", "cancelled")


class Conversation(RuleBasedStateMachine):
    """Each rule is what one client does; the model is what it was told."""

    interactions = Bundle("interactions")
    jobs = Bundle("jobs")
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="gn", dir="/tmp"))
        self.daemon = DaemonProcess(self.folder)
        self.keys = 0
        self.captured: set[str] = set()
        self.created: set[str] = set()
        self.position = 0
        self.dataset = ""

    @initialize()
    def begin(self) -> None:
        self.daemon.start()
        rows = self.folder / "rows.jsonl"
        write_rows(rows, [chat(f"q{n}", f"a{n}") for n in range(12)])
        self.dataset = self.daemon.call("dataset-import", {"personaId": "ada", "path": str(rows)})["datasetId"]

    def key(self) -> str:
        self.keys += 1
        return f"key-{self.keys}"

    @rule(target=interactions, text=st.text(min_size=1, max_size=40))
    def capture(self, text: str) -> str:
        said = {"personaId": "ada", "domain": "sums", "baseModel": "tiny", "input": text, "output": "yes"}
        found = str(self.daemon.call("capture-interaction", said, key=self.key())["interactionId"])
        self.captured.add(found)
        return found

    @rule(interaction=interactions, score=st.floats(min_value=0, max_value=1))
    def judge(self, interaction: str, score: float) -> None:
        params = {"interactionId": interaction, "kind": "score", "score": score}
        self.daemon.call("capture-feedback", params, key=self.key())

    @rule(target=jobs, steps=st.integers(min_value=1, max_value=4), lost_reply=st.booleans())
    def create(self, steps: int, lost_reply: bool) -> str:
        metadata = {"steps": steps, "lostReply": lost_reply, "forgetsKeys": False}
        configuration = {"model": {"baseModel": "tiny"}, "datasets": {"trainingFileId": self.dataset},
                         "method": {"type": "lora"}, "metadata": metadata}  # fmt: skip
        wish = {"personaId": "ada", "provider": "simulated", "domain": "sums", "configuration": configuration}
        found = str(self.daemon.call("job-create", wish, key=self.key())["jobId"])
        self.created.add(found)
        return found

    @rule(job=jobs, wish=st.sampled_from(["job-cancel", "job-pause", "job-resume", "job-retry"]))
    def control(self, job: str, wish: str) -> None:
        answer = self.daemon.answer(wish, {"jobId": job}, key=self.key())
        assert "result" in answer or answer["error"]["kind"] in ("conflict", "unsupported"), answer

    @rule(target=calls, n=st.integers(min_value=0, max_value=5))
    def call_with_a_key(self, n: int) -> tuple[str, int, Json]:
        key = f"repeat-{self.key()}"
        answer = self.daemon.answer("capture-interaction", self.said(n), key=key)
        self.captured.add(answer["result"]["interactionId"])
        return key, n, answer["result"]

    @rule(call=calls)
    def repeat(self, call: tuple[str, int, Json]) -> None:
        key, n, first = call
        again = self.daemon.answer("capture-interaction", self.said(n), key=key)
        assert (again["result"], again["replayed"]) == (first, True)

    @rule(call=calls)
    def repeat_with_another_body(self, call: tuple[str, int, Json]) -> None:
        key, n, _ = call
        assert self.daemon.answer("capture-interaction", self.said(n + 1), key=key)["error"]["kind"] == "conflict"

    def said(self, n: int) -> Json:
        return {"personaId": "ada", "domain": "sums", "baseModel": "tiny", "input": f"{n}", "output": "yes"}

    @rule(rude=st.binary(max_size=300))
    def speak_gibberish(self, rude: bytes) -> None:
        """Any bytes in; at most one answer out, and that one is HTTP."""
        with caller(self.daemon.socket, rude + b"\r\n\r\n") as line:
            line.setblocking(True)
            line.settimeout(0.2)
            try:
                heard = line.recv(1 << 16)
            except TimeoutError:
                heard = b""
        assert not heard or heard.startswith(b"HTTP/1.")

    @rule(
        body=st.binary(max_size=200),
        command=st.sampled_from(["job-create", "capture-feedback", "budget-set", "nothing"]),
    )
    def post_gibberish(self, body: bytes, command: str) -> None:
        status, answer = self.daemon.request("POST", f"/genome/{command}", body)
        found = msgspec.json.decode(answer)
        assert (status == 200) == ("result" in found)
        assert status != 500, found

    @rule()
    def kill(self) -> None:
        self.daemon.kill()
        self.daemon.start()

    @rule()
    def restart(self) -> None:
        assert self.daemon.stop() == 0
        self.daemon.start()

    @rule(job=consumes(jobs))
    def wait(self, job: str) -> None:
        """A paused job does not end by itself."""
        if self.daemon.call("job-status", {"jobId": job})["job"]["status"] != "paused":
            self.daemon.answer("job-cancel", {"jobId": job})
            assert self.daemon.wait_for_end(job)["status"] in ENDINGS

    @invariant()
    def the_log_only_grows(self) -> None:
        if self.daemon.process is not None:
            position = self.daemon.position()
            assert position >= self.position
            self.position = position

    def teardown(self) -> None:
        try:
            if self.daemon.process is not None:
                self.reckon()
        finally:
            self.daemon.kill()
            shutil.rmtree(self.folder)

    def reckon(self) -> None:
        """What was acknowledged is there, once, and nothing else; the log agrees with itself."""
        told = self.daemon.events()
        assert [one["position"] for one in told] == list(range(1, len(told) + 1))
        captured = [one["stream"].partition("/")[2] for one in told if one["type"] == "interaction.captured"]
        assert sorted(captured) == sorted(self.captured)
        created = [one["stream"].partition("/")[2] for one in told if one["type"] == "job.created"]
        assert sorted(created) == sorted(self.created)
        report = self.daemon.call("log-verify")
        assert report["ok"] is True, report
        record_fault("kill -9", "random conversations with kills and restarts", "as acknowledged")


class Conversations(Conversation):
    """The same, more often."""


def settled(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )


TestConversation = Conversation.TestCase
TestConversation.settings = settled(1, 15)
TestConversations = Conversations.TestCase
TestConversations.settings = settled(40, 40)
TestConversations = pytest.mark.long(pytest.mark.timeout(3600)(TestConversations))
