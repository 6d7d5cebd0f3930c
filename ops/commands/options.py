"""Options that many commands have."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path | None, typer.Option("--data", help="The folder of a platform that `up` runs.")]
PublicKeysFile = Annotated[Path | None, typer.Option("--public-keys", help="A JWK set; the platform's own without.")]
