"""What an announced end of a provider, or of a model there, means for a job that is asked for today. Pure."""

from genomed.entities.capabilities import ProviderCapabilities, Sunset, ValidationResult
from genomed.entities.errors import Problem

ELSEWHERE = "train on another provider: genome/job-migrate takes a job there with its dataset and configuration"


def sunset_of(able: ProviderCapabilities, base_model: str, *, today: str) -> ValidationResult:
    """An error once the last day for new jobs is over, warnings before; the end of a model is a warning.

    today: the ISO day, in UTC.
    """
    sunset = able.sunset
    if sunset is None:
        return ValidationResult()
    warnings = model_end(sunset, base_model, today=today)
    if sunset.last_new_job is None:
        return ValidationResult(warnings=(Problem(field="provider", message=_said(sunset)), *warnings))
    if today > sunset.last_new_job:
        message = f"{able.provider} took its last new job on {sunset.last_new_job}: {_said(sunset)}"
        return ValidationResult(
            errors=(Problem(field="provider", message=message, remedy=ELSEWHERE),), warnings=warnings
        )
    message = f"{able.provider} takes new jobs until {sunset.last_new_job}: {_said(sunset)}"
    return ValidationResult(warnings=(Problem(field="provider", message=message, remedy=ELSEWHERE), *warnings))


def model_end(sunset: Sunset, base_model: str, *, today: str) -> tuple[Problem, ...]:
    """What the longest prefix of the model's name says of its end."""
    named = max((prefix for prefix in sunset.models if base_model.startswith(prefix)), key=len, default=None)
    if named is None:
        return ()
    last = sunset.models[named]
    when = "ended" if today > last else "end"
    message = f"results trained from {base_model} {when} to be served after {last} ({sunset.source})"
    return (Problem(field="configuration.model.baseModel", message=message, remedy=ELSEWHERE),)


def _said(sunset: Sunset) -> str:
    return f"{sunset.message} ({sunset.source})"
