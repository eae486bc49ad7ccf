"""What happened to a recipe's run, in a sentence each. Pure; never a word of a prompt or an answer."""

from genomed.entities import recipe_events as r


def recipe_line(event: object) -> str | None:
    """None for what is no event of a recipe."""
    match event:
        case r.RecipeStarted():
            return f"recipe {event.recipe} started for {event.wanted} rows, {event.items} work items planned"
        case r.RecipeCancelRequested():
            return f"cancel requested: {event.reason}"
        case r.RecipeEnded():
            why = f": {event.reason}" if event.reason else ""
            return f"recipe {event.state} with {event.rows} rows after {event.requests} requests{why}"
        case r.ItemFinished():
            refused = f", {event.refused} refused" if event.refused else ""
            return f"work item {event.key} gave {event.rows} rows{refused}"
        case r.ItemFailed():
            return f"work item {event.key} failed: {event.error.message}"
        case _:
            return None
