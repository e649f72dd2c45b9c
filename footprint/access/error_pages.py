"""Error pages of the sign-in, in French and English: the reason, and a link to the public pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi.responses import HTMLResponse

from footprint.charts.palette import css_declarations

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
class SignInMessage:
    """Message in one language: title, explanation, and labels of the two links."""

    title: str
    text: str
    retry_label: str
    public_label: str


Messages = Mapping[str, SignInMessage]
SIGN_IN_FAILED: Messages = {
    "fr": SignInMessage(
        "Connexion refusée",
        "La réponse du fournisseur d’identité ne correspond à aucune demande d’ici, ou n’est plus valable. Rien n’est retenu.",
        "Se connecter de nouveau",
        "Lire ce qui est public",
    ),
    "en": SignInMessage(
        "Sign-in failed",
        "The provider’s answer is not to a question of ours, or no longer valid. Nothing is kept.",
        "Sign in again",
        "Read what is public",
    ),
}
PROVIDER_UNAVAILABLE: Messages = {
    "fr": SignInMessage(
        "Connexion impossible pour l’instant",
        "Le fournisseur d’identité ne répond pas. Ce qui est public se lit sans se connecter.",
        "Réessayer",
        "Lire ce qui est public",
    ),
    "en": SignInMessage(
        "Sign-in is not possible now",
        "The provider does not answer. What is public can be read without signing in.",
        "Try again",
        "Read what is public",
    ),
}


def error_page(messages: Messages, accept_language: str, status: int, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """Page in both languages, starting with the browser's preferred one (``Accept-Language``), by default French."""
    languages = [part.split(";")[0].strip().lower()[:2] for part in accept_language.split(",")]
    primary = next((language for language in languages if language in messages), "fr")
    secondary = "en" if primary == "fr" else "fr"
    message, translation = messages[primary], messages[secondary]
    body = (
        f'<main><p class="brand">Footprint</p><h1>{message.title}</h1><p>{message.text}</p>{_links(message)}'
        f'<section lang="{secondary}"><h2>{translation.title}</h2><p>{translation.text}</p>{_links(translation)}</section></main>'
    )
    text = (
        f'<!DOCTYPE html><html lang="{primary}"><head><meta charset="utf-8"><title>{message.title} - Footprint</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style>'
        f"</head><body>{body}</body></html>"
    )
    return HTMLResponse(text, status, headers=dict(headers or {}))


def _links(message: SignInMessage) -> str:
    return f'<p><a href="/auth/login">{message.retry_label}</a> · <a href="/">{message.public_label}</a></p>'
