"""A persona agent that answers a help desk and lets genomed learn from how that went. Uses the client library alone.

Run by `demo.py` as a process of its own: `python agent.py --socket S --base-model M --lessons lessons.jsonl`.
Each lesson is a ticket, what the agent answered, and what the desk's staff corrected that to.
"""

import argparse
import json
from pathlib import Path

import anyio

from genomed.client import Client
from genomed.commands import trigger_set
from genomed.entities.configuration import (
    LoRAConfiguration,
    LRSchedulerConfig,
    MethodSection,
    OptimizerSection,
    ScheduleSection,
)
from genomed.entities.trigger_rule import TrainingTemplate, TriggerRule
from genomed.entities.types import FeedbackKind, LRSchedulerType, TrainingMethod

PERSONA, DOMAIN = "helpdesk-agent", "ticket-routing"
AT_A_TIME = 8

TEMPLATE = TrainingTemplate(
    method=MethodSection(type=TrainingMethod.LORA, lora_config=LoRAConfiguration(rank=8, alpha=16)),
    schedule=ScheduleSection(epochs=6, batch_size=4, sequence_length=512, checkpoints=2, evaluations=2),
    optimizer=OptimizerSection(
        learning_rate=2e-3, scheduler=LRSchedulerConfig(type=LRSchedulerType.COSINE, warmup_ratio=0.1)
    ),
    metadata={"seed": 1, "judgeSamples": 12},
)
"""How the bucket's jobs are trained: a tiny model takes a larger rate than the usual 2e-4."""


async def main(socket: str, base_model: str, lessons: list[dict[str, str]]) -> None:
    rule = TriggerRule(min_examples=2 * len(lessons), high_quality_examples=len(lessons), template=TEMPLATE)
    async with Client(socket) as genome:
        wish = trigger_set.Params(persona_id=PERSONA, domain=DOMAIN, base_model=base_model, rule=rule)
        await genome.call(trigger_set, wish)
        for start in range(0, len(lessons), AT_A_TIME):
            for lesson in lessons[start : start + AT_A_TIME]:
                kept = await genome.capture(
                    PERSONA, DOMAIN, base_model=base_model, input=lesson["prompt"], output=lesson["answer"]
                )
                await genome.feedback(
                    kept.interaction_id,
                    FeedbackKind.CORRECTION,
                    content="too wordy: write a record",
                    corrected_output=lesson["wanted"],
                    given_by="desk staff",
                )
            (bucket,) = await genome.bucket_status(persona_id=PERSONA, domain=DOMAIN)
            print(f"agent: {start + AT_A_TIME} tickets answered and corrected; bucket: {bucket.reason}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--base-model", required=True)
    parser.add_argument("--lessons", required=True, type=Path)
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.lessons.read_text(encoding="utf-8").splitlines()]
    anyio.run(main, given.socket, given.base_model, rows)
