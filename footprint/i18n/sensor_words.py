"""Words for verdicts on sensors, their witnesses, states and reasons, in French and English, by the codes of the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from footprint.core.sensor_verdicts import Reason, SensorState, Verdict, Witness
from footprint.i18n.catalogue import add_french_spaces

Pair = tuple[str, str]  # French, English

VERDICTS: Mapping[Verdict, Pair] = {
    Verdict.AGREES: ("confirmé", "agrees"),
    Verdict.DISAGREES: ("contredit", "disagrees"),
    Verdict.STANDS_STILL: ("immobile", "stands still"),
    Verdict.NO_WITNESS: ("sans témoin", "no witness"),
}
WITNESSES: Mapping[Witness, Pair] = {
    Witness.NONE: ("", ""),
    Witness.OWN_POWER: ("puissance et compteur du même appareil", "power and counter of the device itself"),
    Witness.OTHER_SOURCE: ("un second capteur", "a second sensor"),
    Witness.UTILISATION: ("activité de l’appareil", "activity of the device"),
    Witness.HOST_LOAD: ("charge des processeurs", "load of the processors"),
    Witness.WHOLE_HOST: ("mesure du serveur entier", "meter of the whole server"),
    Witness.PARTS: ("somme des parties", "sum of the parts"),
    Witness.SIBLING: ("un appareil de même modèle", "another device of the model"),
    Witness.BOUNDS: ("limites physiques", "physical limits"),
}
STATES: Mapping[SensorState, Pair] = {
    SensorState.READS: ("lit", "reads"),
    SensorState.SILENT: ("muet", "silent"),
    SensorState.UNREADABLE: ("illisible", "unreadable"),
    SensorState.GONE: ("disparu", "gone"),
    SensorState.NOT_PERMITTED: ("non autorisé", "not permitted"),
    SensorState.SET_ASIDE: ("écarté", "set aside"),
    SensorState.DOUBTED: ("en doute", "in doubt"),
}
REASONS: Mapping[Reason, Pair] = {
    Reason.NONE: ("", ""),
    Reason.ABOVE_CEILING: ("plus que l’appareil ne peut consommer", "more than the device can draw"),
    Reason.BELOW_FLOOR: ("moins que l’appareil sous tension ne consomme", "less than the device draws while powered"),
    Reason.COUNTER_STANDS: ("le compteur n’avance pas", "the counter stands still"),
    Reason.POWER_STANDS: ("la puissance ne bouge pas", "the power does not move"),
    Reason.COUNTER_AGAINST_POWER: ("compteur et puissance se contredisent", "counter and power contradict each other"),
    Reason.SOURCES_DIFFER: ("deux capteurs se contredisent", "two sensors contradict each other"),
    Reason.BUSY_WITHOUT_POWER: ("actif sans consommer", "busy and draws nothing"),
    Reason.POWER_WITHOUT_LOAD: ("consomme sans charge", "draws without load"),
    Reason.PARTS_ABOVE_WHOLE: ("les parties dépassent le serveur entier", "the parts exceed the whole server"),
    Reason.WHOLE_ABOVE_PARTS: ("le serveur entier dépasse de loin ses parties", "the whole server far exceeds its parts"),
    Reason.MIRRORS_SIBLING: ("répète un autre appareil", "repeats another device"),
    Reason.DECREASED: ("le compteur a reculé", "the counter decreased"),
    Reason.NOT_SUPPORTED: ("le pilote ne donne pas cette grandeur", "the driver does not give this quantity"),
    Reason.NOT_READY: ("le pilote n’est pas prêt", "the driver is not ready"),
    Reason.DRIVER_ERROR: ("erreur du pilote", "error of the driver"),
    Reason.ROOT_ONLY: ("lisible par root seulement", "readable by root alone"),
    Reason.CANNOT_OPEN: ("l’appareil ne s’ouvre pas", "the device cannot be opened"),
    Reason.NO_SAMPLE: ("aucune valeur", "no value"),
    Reason.WAS_SEEN: ("présent auparavant, absent de la liste", "listed before, and not now"),
    Reason.RANGE_UNKNOWN: ("étendue du registre inconnue", "range of the register unknown"),
    Reason.OVERLAPS: ("un autre capteur compte la même énergie", "another sensor counts the same energy"),
    Reason.SAME_IDENTITY: ("confondu avec un autre appareil", "not told apart from another device"),
    Reason.AUTHENTICATION: ("identification refusée", "authentication refused"),
    Reason.TIMEOUT: ("pas de réponse à temps", "no answer in time"),
    Reason.NOT_UNDERSTOOD: ("réponse incomprise", "answer not understood"),
    Reason.SWAPPED: ("échangé avec un autre appareil", "swapped with another device"),
}
_WORDS: tuple[Mapping[IntEnum, Pair], ...] = (VERDICTS, WITNESSES, STATES, REASONS)  # type: ignore[assignment]


def sensor_word(code: IntEnum, language: str = "en") -> str:
    """Word of a verdict, witness, state or reason; the name of the code where a newer agent has one that has no word here."""
    pair = next((words[code] for words in _WORDS if code in words and type(next(iter(words))) is type(code)), None)
    if pair is None:
        return code.name.lower().replace("_", " ")
    return add_french_spaces(pair[0]) if language == "fr" else pair[1]
