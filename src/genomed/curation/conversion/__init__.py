"""From what agents did to rows: five methods, each with an account of what it left out. Pure.

`convert` is the door: interactions with their words go in, lessons come out, and a tally counts the rest. The methods
are in modules of their own and know nothing of each other.
"""

from collections.abc import Iterable, Iterator

from genomed.curation.conversion.labelled import labelled
from genomed.curation.conversion.material import Material
from genomed.curation.conversion.options import (
    LabelledOptions,
    Method,
    Options,
    PreferenceOptions,
    SessionsOptions,
    SftOptions,
    TripletsOptions,
)
from genomed.curation.conversion.preference import preference
from genomed.curation.conversion.sessions import sessions
from genomed.curation.conversion.sft import sft
from genomed.curation.conversion.tally import Tally
from genomed.curation.conversion.triplets import triplets
from genomed.entities.dataset_port import Lesson
from genomed.entities.types import RowKind

ROW_KINDS: dict[Method, RowKind] = {
    Method.SFT: RowKind.CHAT,
    Method.SESSIONS: RowKind.CHAT,
    Method.PREFERENCE: RowKind.PREFERENCE,
    Method.LABELLED: RowKind.LABELLED,
    Method.TRIPLETS: RowKind.TRIPLET,
}


def convert(materials: Iterable[Material], options: Options, tally: Tally) -> Iterator[Lesson]:
    """Lessons by the method that the options belong to. `sessions` wants whole sessions: all turns of one at once."""
    match options:
        case SftOptions():
            return sft(materials, options, tally)
        case SessionsOptions():
            return sessions(materials, options, tally)
        case PreferenceOptions():
            return preference(materials, options, tally)
        case LabelledOptions():
            return labelled(materials, options, tally)
        case TripletsOptions():
            return triplets(materials, options, tally)
