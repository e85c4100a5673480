"""Examples of accounts and live events."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from internal.adapters.http.accounts import Session, SessionAnswer, UserAnswer
from internal.adapters.http.cookies import CLIENT_HEADER
from internal.adapters.http.examples.declaring import Examples, OneOf
from internal.adapters.http.examples.story import USER
from internal.adapters.http.live import Ticket, TicketAnswer

REFRESH: Final = "wlr_..."
CREDENTIALS: Final = {"email": "ada@example.com", "password": "correct horse"}
SESSION: Final = Session(USER, "eyJ...", REFRESH, "bearer", 900)
# In a browser the refresh token is in the cookie, and no body is needed.
IN_COOKIE: Final = replace(SESSION, refresh_token=None)

SENT: Final = OneOf({"with tokens": CREDENTIALS, "in a browser": {**CREDENTIALS, "cookie": True}})
LOGGED_IN: Final = OneOf(
    {"with tokens": SessionAnswer(SESSION), "in a browser": SessionAnswer(IN_COOKIE)}
)
FROM_BROWSER: Final = {CLIENT_HEADER: "dashboard"}

EXAMPLES: Final = {
    "signup": Examples(body=SENT, answers={201: LOGGED_IN}),
    "login": Examples(body=SENT, answers={200: LOGGED_IN}),
    "refresh": Examples(
        parameters=FROM_BROWSER, body={"refresh_token": REFRESH}, answers={200: LOGGED_IN}
    ),
    "logout": Examples(parameters=FROM_BROWSER, body={"refresh_token": REFRESH}),
    "me": Examples(answers={200: UserAnswer(USER)}),
    "ticket": Examples(answers={201: TicketAnswer(Ticket("Zk3...", 30))}),
}
