"""Retention rules: content, retention period and personal data of every table; and erasure of sealed requests.

The record of processing activities (GDPR, article 30) is generated from these rules. A test compares the list with the tables
of the store, so it is complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY
from footprint.ledger.archive_writer import SealError, canonical_json, chain_row
from footprint.ledger.object_store import ObjectStore, link_name
from footprint.ledger.verifier import sha256_of
from footprint.storage import schema
from footprint.storage.database import Store, table

FOREVER = ("tant que le service existe", "as long as the service exists")
ERASED_UNTIL = "erased_until"  # key of Meta: a UTC day number; requests of earlier days were erased


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """Rule of one or several tables; texts are (French, English). ``retention`` may use {keep_days} and {log_days}."""

    tables: tuple[str, ...]
    holds: tuple[str, str]
    retention: tuple[str, str]
    persons: tuple[str, str]


_NONE = ("aucune donnée personnelle", "no personal data")
_SEALED = (
    "{keep_days} jours en base, puis fichiers scellés, sans limite",
    "{keep_days} days in the database, then sealed files, without limit",
)
RULES: tuple[RetentionRule, ...] = (
    RetentionRule(
        ("reading", "readingclaim", "withdrawnreading", "streamday", "stream", "alias"),
        ("relevés d’énergie et de temps de calcul des machines", "readings of energy and computing time of machines"),
        _SEALED,
        _NONE,
    ),
    RetentionRule(
        ("request", "requestclaim", "withdrawnrequest", "attempt", "serviceday"),
        (
            "requêtes : instants, service, usage, modèle, serveur, nombres de jetons ; ni texte, ni nom, ni adresse de personne",
            "requests: instants, service, use case, model, host, numbers of tokens; no text, no name or address of a person",
        ),
        (
            "{keep_days} jours en base, puis fichiers scellés, jusqu’à leur effacement (footprint ledger erase)",
            "{keep_days} days in the database, then sealed files, until they are erased (footprint ledger erase)",
        ),
        (
            "aucun identifiant ; un service d’une seule personne peut révéler son activité, d’où le secret statistique",
            "no identifier; a service of one person may reveal their activity, hence disclosure control",
        ),
    ),
    RetentionRule(
        ("users", "usersclaim", "withdrawnusers"),
        ("nombres d’utilisateurs distincts par cellule de publication", "numbers of distinct users per publication cell"),
        FOREVER,
        ("des nombres ; les identifiants ne quittent pas la passerelle", "numbers; identifiers never leave the gateway"),
    ),
    RetentionRule(
        ("figure_block", "figure_part", "footprint_split", "shard", "basis", "statistics", "published_edition"),
        (
            "figures calculées, par heure, service et usage ; aussi dans le miroir ([store] mirror), s’il y en a un",
            "computed figures, by hour, service and use case; also in the mirror ([store] mirror), if there is one",
        ),
        FOREVER,
        ("comme les requêtes, agrégé", "as requests, aggregated"),
    ),
    RetentionRule(
        ("intensity", "stored_factor"), ("facteurs et séries d’intensité", "factors and series of intensity"), FOREVER, _NONE
    ),
    RetentionRule(
        ("access",),
        (
            "accès aux cellules non protégées : instant, rôle, ce qui fut demandé",
            "accesses to unprotected cells: instant, role, what was asked",
        ),
        ("{log_days} jours", "{log_days} days"),
        (
            "ni nom ni adresse ; un rôle que tient une seule personne la désigne",
            "no name and no address; a role that one person holds points to them",
        ),
    ),
    RetentionRule(
        ("session",),
        (
            "sessions ouvertes : empreinte d’un nombre aléatoire, rôle, début et fin",
            "open sessions: digest of a random number, role, start and end",
        ),
        ("jusqu’à la déconnexion, au plus 24 heures", "until sign-out, 24 hours at most"),
        _NONE,
    ),
    RetentionRule(("token",), ("empreintes des jetons des agents", "digests of agents’ tokens"), FOREVER, _NONE),
    RetentionRule(
        ("batch", "event", "sealed", "job", "meta", "name", "dirty_day", "compared_host", "refusal"),
        (
            "ce qui arriva au registre lui-même : lots, retraits, réglages",
            "what happened to the ledger itself: batches, withdrawals, settings",
        ),
        FOREVER,
        _NONE,
    ),
)
COLUMNS = ("tables", "holds", "kept", "persons")


def retention_rows(config: Config, language: str) -> list[dict[str, Any]]:
    """The rules as rows in one language (fr, en)."""
    chosen = 0 if language == "fr" else 1
    return [
        {
            "tables": ", ".join(rule.tables),
            "holds": rule.holds[chosen],
            "kept": rule.retention[chosen].format(keep_days=config.keep_days, log_days=config.access.log_days),
            "persons": rule.persons[chosen],
        }
        for rule in RULES
    ]


def processing_register(config: Config, language: str) -> str:
    """The record of processing, as Markdown in one language (fr, en)."""
    french = language == "fr"
    header = [
        "# Registre des traitements : footprint" if french else "# Record of processing: footprint",
        "",
        f"- **{'Responsable' if french else 'Controller'}**: {config.organisation or '…'}",
        "- **Finalité** : mesurer et publier l’énergie et les émissions des services d’IA ; jamais évaluer personne."
        if french
        else "- **Purpose**: measure and publish energy and emissions of AI services; never to assess persons.",
        "- **Jamais enregistré** : texte des requêtes et des réponses, noms, adresses, identifiants d’utilisateurs."
        if french
        else "- **Never stored**: texts of requests and answers, names, addresses, identifiers of users.",
        "- **Destinataires** : le comité de suivi et le public, après secret statistique (5 utilisateurs au moins)."
        if french
        else "- **Recipients**: the follow-up body and the public, after disclosure control (5 users at least).",
        f"- **{'Effacement' if french else 'Erasure'}**: `footprint ledger erase --before DATE`",
        "",
        "| tables | contient | conservé | personnes |" if french else "| tables | holds | kept | persons |",
        "|---|---|---|---|",
    ]
    return (
        "\n".join(header + [f"| {' | '.join(str(row[name]) for name in COLUMNS)} |" for row in retention_rows(config, language)])
        + "\n"
    )


def erase_requests(store: Store, archive: ObjectStore, before_day: int, reason: str, now_us: int) -> int:
    """Erase the sealed requests before a day and return the number of files. Their figures stay and are never recomputed.

    Raises
    ------
    SealError
        If requests of these days are still in SQL, or the figures of a day are not computed yet.
    """
    target, request, shard = table(schema.Sealed), table(schema.RequestRow), table(schema.Shard)
    with store.begin() as connection:
        remaining = connection.execute(select(request.c.key).where(request.c.start_us < before_day * US_PER_DAY).limit(1)).first()
        if remaining is not None:
            raise SealError("requests of these days are still in SQL; seal and retire them first ([store] keep_days)")
        to_erase = target.c.source.startswith("service ") & (target.c.day < before_day) & (target.c.file != "")
        parts = connection.execute(select(target).where(to_erase).order_by(target.c.source, target.c.seq)).all()
        computed = {(row.members, row.day) for row in connection.execute(select(shard.c.members, shard.c.day))}
        missing = [part for part in parts if (part.source, part.day) not in computed]
        if missing:
            raise SealError(f"{missing[0].source} of {format_instant(missing[0].day * US_PER_DAY)[:10]} is not computed yet")
        store.upsert(connection, schema.Meta, [{"key": ERASED_UNTIL, "value": str(before_day)}])
        for part in parts:
            last = connection.execute(
                select(target).where(target.c.source == part.source).order_by(target.c.seq.desc()).limit(1)
            ).one()
            link = {
                "source": part.source,
                "day": part.day,
                "part": part.part,
                "erased": part.file,
                "sha256": part.sha256,
                "reason": reason,
                "sealed_us": now_us,
                "state": part.state,
                "seq": last.seq + 1,
                "previous": last.link,
            }
            raw = canonical_json(link)
            archive.write(link_name(part.source, last.seq + 1), raw)
            store.insert_new(connection, schema.Sealed, [chain_row(link, last.seq + 1, sha256_of(raw))])
            is_part = (target.c.source == part.source) & (target.c.seq == part.seq)
            connection.execute(update(target).where(is_part).values(file=""))
        store.record_event(
            connection, now_us, "erase", f"requests of {len(parts)} sealed parts before day {before_day}: {reason}"
        )
    for part in parts:
        archive.erase(part.file)
    return len(parts)
