"""Detection of a login to Weights & Biases, without a prompt and without the network."""

import netrc
import os
from typing import Any, Literal
from urllib.parse import urlsplit

from zstar.config.paths import place

Mode = Literal["auto", "online", "offline", "disabled"]

PUBLIC = ("api.wandb.ai", "api.forge.coreweave.com")  # two names of W&B's own server; a login for one holds for both


def choose_mode(mode: Mode) -> tuple[Literal["online", "offline", "disabled"], bool]:
    """The mode to run in, and whether it was chosen explicitly."""
    import wandb

    settings = wandb.setup().settings
    own = os.environ.get("WANDB_MODE") or (settings.mode if settings.mode != "online" else "auto")
    chosen = {"dryrun": "offline", "run": "online"}.get(own, own) if mode == "auto" else mode
    if chosen == "auto":
        return ("online", False) if logged_in(settings) else ("offline", False)
    if chosen == "online" and not logged_in(settings):
        raise ValueError(
            "logger.mode: W&B can't go online without a login; run `wandb login` or choose logger.mode=offline"
        )
    return chosen, True


def logged_in(settings: Any) -> bool:
    """Whether W&B would find credentials by itself: a key or token in environment or ``wandb.Settings``, or a netrc
    entry."""
    names = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")
    if settings.api_key or settings.identity_token_file or any(os.environ.get(name) for name in names):
        return True
    homes = (os.environ.get("NETRC"), "~/.netrc", "~/_netrc")
    file = next((file for home in homes if home and (file := place(home)).is_file()), None)
    host = urlsplit(settings.base_url).netloc
    try:
        logins = netrc.netrc(file) if file else None
        return (
            any(logins.authenticators(name) for name in {host, *(PUBLIC if host in PUBLIC else ())})
            if logins
            else False
        )
    except (netrc.NetrcParseError, OSError):
        return False
