"""Secrets that stand in files: FASTMTL_SECRET_FILE names the file that holds what FASTMTL_SECRET would, and so on.

That is how container engines and systemd hand secrets over; a variable of the environment is shown by `docker inspect`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

SUFFIX = "_FILE"


class SecretFiles(PydanticBaseSettingsSource):
    """A source of settings: every secret whose variable, with _FILE behind it, names a file."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        """Return what the setting's file holds; None where no file is named. Raises ValueError."""
        variable = f"{self.config['env_prefix']}{field_name}".upper()
        named = os.environ.get(variable + SUFFIX)
        if not named or SecretStr not in get_args(field.annotation):
            return None, field_name, False
        if variable in os.environ:
            raise ValueError(f"{variable} and {variable}{SUFFIX} are both set: give one of them")
        return _read(Path(named), variable + SUFFIX), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return all that stand in files."""
        read = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in read.items() if value is not None}


def _read(path: Path, variable: str) -> str:
    """Return a file's text without the line's end that editors and `echo` leave behind it."""
    try:
        text = path.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ValueError(
            f"{variable} names {path}, which cannot be read ({reason}): it must be a file that this user may read"
        ) from error
    if not text:
        raise ValueError(f"{variable} names {path}, which is empty: write the secret into it")
    return text
