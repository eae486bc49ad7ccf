"""What carries intents out to providers and brings facts back."""
