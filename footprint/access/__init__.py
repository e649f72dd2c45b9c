"""Access: who asks, what their role may see, and what is noted of it.

roles.py      roles, the table of permissions, and the one function that decides
seeing.py     an answer as a role may see it: suppressed rows keep their names and lose their figures
guarding.py   the ASGI layer before everything: who asks, whether they may, what is noted, security headers
knowing.py    the role of a request: open, by a trusted proxy's header, or by session
saying.py     why nobody was signed in, as a page
signin.py     OpenID Connect: sign in, come back, sign out
secrets.py    keys and secrets in files that only their owner reads
noting.py     the access log: role and what was asked, never who
"""

from footprint.access.authorization import AccessRefused, authorize_answer
from footprint.access.roles import Role, allows

__all__ = ["AccessRefused", "Role", "allows", "authorize_answer"]
