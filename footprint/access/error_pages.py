"""This file says on a page of its own, in French and English, why nobody was signed in, and what can be read all the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi.responses import HTMLResponse

from footprint.charts.palette import css_declarations

# It stands alone: the pages' own style sheets are not asked for where the sign-in is away.
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
    """A title, what happened and what to do, and the words of its two links, in one language."""

    title: str
    text: str
    again: str
    public: str


Words = Mapping[str, SignInMessage]
REFUSED: Words = {
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
AWAY: Words = {
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


def error_page(words: Words, accepted: str, status: int, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """The page, first in the language that a browser's ``Accept-Language`` names first, else in French; then in the other."""
    named = [part.split(";")[0].strip().lower()[:2] for part in accepted.split(",")]
    first = next((language for language in named if language in words), "fr")
    other = "en" if first == "fr" else "fr"
    said, twin = words[first], words[other]
    body = (
        f'<main><p class="brand">Footprint</p><h1>{said.title}</h1><p>{said.text}</p>{_links(said)}'
        f'<section lang="{other}"><h2>{twin.title}</h2><p>{twin.text}</p>{_links(twin)}</section></main>'
    )
    text = (
        f'<!DOCTYPE html><html lang="{first}"><head><meta charset="utf-8"><title>{said.title} - Footprint</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style>'
        f"</head><body>{body}</body></html>"
    )
    return HTMLResponse(text, status, headers=dict(headers or {}))


def _links(said: SignInMessage) -> str:
    return f'<p><a href="/auth/login">{said.again}</a> · <a href="/">{said.public}</a></p>'
