"""This file holds every sentence of the pages, in French and English."""

from __future__ import annotations

LANGUAGES = ("fr", "en")
NBSP, THIN = "\u00a0", "\u202f"

_WORDS: dict[str, tuple[str, str]] = {
    "title": ("Vue d’ensemble", "Overview"),
    "skip": ("Aller au contenu", "Skip to content"),
    "demo": ("Démonstration : organisation simulée, aucune mesure réelle.", "Demonstration: simulated organisation, nothing measured."),
    "energy": ("Énergie", "Energy"),
    "co2e": ("CO₂e, selon le lieu", "CO₂e, location-based"),
    "requests": ("Requêtes", "Requests"),
    "per_thousand": ("Pour 1 000 requêtes", "Per 1,000 requests"),
    "counted": ("compté par les passerelles", "counted by the gateways"),
    "quality_A": ("A mesuré", "A measured"),
    "quality_B": ("B en partie modélisé", "B partly modelled"),
    "quality_C": ("C estimé ou supposé", "C estimated or assumed"),
    "quality_D": ("D déclaré par le fournisseur", "D supplier’s word"),
    "trend": ("L’énergie au fil du temps", "Energy over time"),
    "trend_sub": ("{unit} par {step}, intervalle à 95 %", "{unit} per {step}, 95% interval"),
    "hour": ("heure", "hour"), "day": ("jour", "day"),
    "by_service": ("Par service", "By service"),
    "by_use_case": ("Par usage", "By use case"),
    "bars_sub": ("Énergie du bâtiment, intervalle à 95 %", "Facility energy, 95% interval"),
    "coverage": ("Ce que nous avons vu", "What was seen"),
    "covered": ("{share} du temps attendu des capteurs a été lu.", "{share} of the expected sensor time was read."),
    "not_covered": ("On ne sait pas quelle part du temps a été lue.", "How much of the time was read is not known."),
    "provisional": ("Provisoire : la journée n’est pas close.", "Provisional: the day is not closed."),
    "final": ("Journées closes.", "Closed days."),
    "assumed-pue": ("Le PUE du site n’est pas déclaré : 1,5 [1,2 ; 1,8] est supposé.", "The site’s PUE is not declared: 1.5 [1.2, 1.8] is assumed."),
    "assumed-uplift": ("Le rapport entre prise et capteurs n’est pas déclaré : 1,20 [1,05 ; 1,35] est supposé.", "Wall power over sensors is not declared: 1.20 [1.05, 1.35] is assumed."),
    "assumed-wue": ("Le WUE du site n’est pas déclaré : 0,43 L/kWh [0 ; 1,8] est supposé.", "The site’s WUE is not declared: 0.43 L/kWh [0, 1.8] is assumed."),
    "embodied-life-over": ("Un serveur a dépassé sa durée de vie déclarée : sa fabrication n’est plus comptée.", "A host is past its declared life: making it is no longer counted."),
    "undeclared-host": ("Un serveur n’est pas déclaré dans la configuration.", "A host is not declared in the configuration."),
    "undeclared-service": ("Un service n’est pas déclaré dans la configuration.", "A service is not declared in the configuration."),
    "undeclared-use-case": ("Un usage n’a pas de statut dans la charte.", "A use case has no status in the charter."),
    "idle-not-learnt": ("La puissance à vide n’est pas encore apprise : tout est compté actif.", "Idle power is not learnt yet: all is counted active."),
    "split-suspect": ("La répartition entre usages repose sur un journal douteux ; l’intervalle en tient compte.", "The split over use cases rests on a doubtful log; the interval allows for it."),
    "split-by-declared-weights": ("La répartition entre usages suit des poids déclarés par jeton, faute d’un ajustement fiable.", "The split over use cases follows declared weights per token, for lack of a fit that stands."),
    "(idle)": ("(à vide)", "(idle)"), "(unattributed)": ("(non attribué)", "(unattributed)"),
    "source": ("Source : Footprint, méthode {method}, facteurs {factors}", "Source: Footprint, method {method}, factors {factors}"),
    "data": ("Données", "Data"), "table": ("Tableau", "Table"),
    "name": ("Nom", "Name"), "interval": ("Intervalle", "Interval"), "quality": ("Qualité", "Quality"), "period": ("Période", "Period"),
    "empty_title": ("Aucune mesure pour l’instant", "No reading yet"),
    "empty": (
        ("Les premières lectures arrivent en une vingtaine de secondes quand un agent tourne ; cette page se met à jour seule. "
        "Sinon, importez des fichiers : footprint import energy FICHIER."),
        ("First readings come within about twenty seconds once an agent runs; this page updates by itself. "
        "Otherwise import files: footprint import energy FILE."),
    ),
    "away_title": ("La base ne répond pas", "The store does not answer"),
    "away": (
        "Les chiffres ne peuvent pas être lus maintenant. Rien n’est perdu : les agents gardent leurs lectures. Nouvel essai dans 10 secondes.",
        "Figures cannot be read now. Nothing is lost: agents keep their readings. Trying again in 10 seconds.",
    ),
    "today": ("aujourd’hui", "today"), "7d": ("7 jours", "7 days"), "30d": ("30 jours", "30 days"),
    "quarter": ("ce trimestre", "this quarter"), "all": ("tout", "all"),
    "periods": ("Période", "Period"), "views": ("Énergie à vide", "Idle energy"),
    "active": ("à part", "apart"), "full": ("répartie", "spread over use cases"),
    "unknown": ("inconnu", "unknown"),
    "headline": ("{energy} pour {requests} requêtes", "{energy} for {requests} requests"),
    "headline_alone": ("{energy} mesurés ou estimés", "{energy} measured or estimated"),
    "lead": ("Du {start} au {end}, {zone}.", "From {start} to {end}, {zone}."),
}  # fmt: skip


def say(language: str, key: str, **values: str) -> str:
    """A sentence in a language; French gets its no-break spaces."""
    text = _WORDS[key][LANGUAGES.index(language)] if key in _WORDS else key
    if language == "fr":
        for mark in (" :", " ;", " !", " ?", " %"):
            text = text.replace(mark, NBSP + mark[1] if mark == " :" else THIN + mark[1])
        text = text.replace("1 000", f"1{THIN}000")
    return text.format(**values) if values else text
