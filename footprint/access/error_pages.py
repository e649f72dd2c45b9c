"""Error pages without the dashboard, in French and English: the reason, and a way on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from fastapi.responses import HTMLResponse

from footprint.access.security_headers import source_hash
from footprint.charts.palette import css_declarations

_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# The style is inline, so that the page does not depend on the dashboard's style sheets.
_STYLE = (
    f"""
:root {{ color-scheme: light dark; {css_declarations()} }}
@media (prefers-color-scheme: dark) {{ :root {{ {css_declarations("dark")} }} }}
"""
    """
body { margin: 0; background: var(--paper); color: var(--ink); font: 18px/1.5 "Source Sans 3", Arial, sans-serif; }
main { max-width: 40rem; margin: 0 auto; padding: 4rem 1.5rem; }
.brand { font-weight: 700; } h1, h2 { font-family: "Source Serif 4 Display", Georgia, serif; font-weight: 600; line-height: 1.2; }
h1 { font-size: 2.5rem; margin: 3rem 0 1rem; } h2 { font-size: 1.25rem; margin: 0 0 .5rem; }
p { margin: 0 0 1rem; } a { color: var(--link); }
section { border-top: 1px solid var(--rule); margin-top: 3rem; padding-top: 1.5rem; color: var(--ink-2); }
"""
)


@dataclass(frozen=True, slots=True)
class PageMessage:
    """Message in one language: title, explanation, and (label, path) of its links."""

    title: str
    text: str
    links: tuple[tuple[str, str], ...] = ()


Messages = Mapping[str, PageMessage]
_RETRY, _PUBLIC = "/auth/login", "/"
SIGN_IN_FAILED: Messages = {
    "fr": PageMessage(
        "Connexion refusée",
        "La réponse du fournisseur d’identité ne correspond à aucune demande d’ici, ou n’est plus valable. Rien n’est retenu.",
        (("Se connecter de nouveau", _RETRY), ("Lire ce qui est public", _PUBLIC)),
    ),
    "en": PageMessage(
        "Sign-in failed",
        "The provider’s answer is not to a question of ours, or no longer valid. Nothing is kept.",
        (("Sign in again", _RETRY), ("Read what is public", _PUBLIC)),
    ),
}
PROVIDER_UNAVAILABLE: Messages = {
    "fr": PageMessage(
        "Connexion impossible pour l’instant",
        "Le fournisseur d’identité ne répond pas. Ce qui est public se lit sans se connecter.",
        (("Réessayer", _RETRY), ("Lire ce qui est public", _PUBLIC)),
    ),
    "en": PageMessage(
        "Sign-in is not possible now",
        "The provider does not answer. What is public can be read without signing in.",
        (("Try again", _RETRY), ("Read what is public", _PUBLIC)),
    ),
}
SIGN_OUT_REFUSED: Messages = {
    "fr": PageMessage(
        "Déconnexion refusée",
        "La demande vient d’un autre site. Le bouton « Se déconnecter » des pages d’ici met fin à la session.",
        (("Retour", _PUBLIC),),
    ),
    "en": PageMessage(
        "Sign-out refused",
        "The request comes from another site. The button “Sign out” on the pages here ends the session.",
        (("Back", _PUBLIC),),
    ),
}
FOREIGN_HOST: Messages = {
    "fr": PageMessage(
        "Adresse refusée",
        "Sans section [access], ce service ne répond que sous localhost, 127.0.0.1 ou [::1]. "
        "Pour le servir sous un autre nom, déclarez [access] mode dans footprint.toml.",
    ),
    "en": PageMessage(
        "Address refused",
        "Without an [access] section this service answers as localhost, 127.0.0.1 or [::1] only. "
        "To serve it under another name, declare [access] mode in footprint.toml.",
    ),
}
CROSS_SITE: Messages = {
    "fr": PageMessage(
        "Demande d’un autre site refusée",
        "Une page d’un autre site a provoqué cette demande. Ouvrez l’adresse vous-même, dans la barre d’adresse du navigateur.",
    ),
    "en": PageMessage(
        "Request of another site refused",
        "A page of another site caused this request. Open the address yourself, in the address bar of the browser.",
    ),
}
WRONG_LINK: Messages = {
    "fr": PageMessage(
        "Lien non valable",
        "Le jeton de ce lien n’est pas celui de ce service. La commande « footprint access link » donne le bon.",
        (("Lire ce qui est public", _PUBLIC),),
    ),
    "en": PageMessage(
        "Link not valid",
        "The token of this link is not that of this service. The command `footprint access link` prints the right one.",
        (("Read what is public", _PUBLIC),),
    ),
}


def error_page(messages: Messages, accept_language: str, status: int, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """Page in both languages, starting with the browser's preferred one (``Accept-Language``), by default French."""
    languages = [part.split(";")[0].strip().lower()[:2] for part in accept_language.split(",")]
    primary = next((language for language in languages if language in messages), "fr")
    secondary = "en" if primary == "fr" else "fr"
    message, translation = messages[primary], messages[secondary]
    body = (
        f'<main><p class="brand">Footprint</p><h1>{escape(message.title)}</h1>{_content(message)}'
        f'<section lang="{secondary}"><h2>{escape(translation.title)}</h2>{_content(translation)}</section></main>'
    )
    text = (
        f'<!DOCTYPE html><html lang="{primary}"><head><meta charset="utf-8"><title>{escape(message.title)} - Footprint</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style>'
        f"</head><body>{body}</body></html>"
    )
    policy = {"Content-Security-Policy": f"{_POLICY}; style-src {source_hash(_STYLE)}"}
    return HTMLResponse(text, status, headers=policy | dict(headers or {}))


def _content(message: PageMessage) -> str:
    links = " · ".join(f'<a href="{path}">{escape(label)}</a>' for label, path in message.links)
    return f"<p>{escape(message.text)}</p>" + (f"<p>{links}</p>" if links else "")
