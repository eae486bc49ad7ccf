"""A small client library for agents: capture what a persona did, judge it, call any command, follow the log.

from genomed.client import Client

async with Client() as genome:
    kept = await genome.capture("ada", "support", input="Where is my order?", output="On its way.")
    await genome.feedback(kept.interaction_id, FeedbackKind.APPROVAL)
    async for told in genome.events(patterns=["job.*"]):
        print(told.position, told.text)
"""

from genomed.client.client import Client
from genomed.client.command import Command
from genomed.client.connection import Unreachable
from genomed.entities.wire import ToldEvent

__all__ = ["Client", "Command", "ToldEvent", "Unreachable"]
