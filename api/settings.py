"""What an operator may set: by flag, by environment (``SOFTSTORE_…``), or in a TOML file, in this order.

    root = "s3://speech/stores"
    host = "0.0.0.0"
    tokens = "/etc/softstore/tokens.json"

    [stores]
    demo = "runs/demo/store"

    [limits]
    cache_bytes = 1_000_000_000

In the environment these are SOFTSTORE_ROOT, SOFTSTORE_STORES="demo=runs/demo/store", and
SOFTSTORE_LIMITS__CACHE_BYTES; SOFTSTORE_CONFIG names the file. To what one place sets, later places do not
add; only limits come one by one.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from api.limits import Limits
from api.logs import LogFormat
from api.names import named_stores
from softstore.errors import InvalidInputError, NotFoundError


class ServiceSettings(BaseSettings):
    """Attributes:
    config: the TOML file that the other settings may be in.
    stores: paths or URLs by name; as text, ``NAME=URL`` with spaces between.
    root: a directory or ``s3://`` URL; every store below it is served, also those that come later.
    host: address to listen on.
    port: to listen on; 0 takes a free one.
    workers: processes that answer, each with all stores.
    tokens: the file of tokens (see `api.tokens`); None: none are asked for.
    no_auth: an address that others can reach is served without tokens.
    tls_certificate: PEM file of the certificate and its chain; None: plain HTTP.
    tls_key: PEM file of its private key; None: it is in the certificate's file.
    cors_origins: of pages elsewhere that may ask, such as ``https://lab.example``; ``*``: all; as text, with
        spaces between.
    access_log: whether requests are logged.
    log_format: of requests and of everything else.
    tracing: whether requests become OpenTelemetry spans.
    limits: see `api.limits`.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: the file is no TOML, or settings contradict each other.
        pydantic.ValidationError: a value does not fit; `load_settings` makes it a sentence.
    """

    model_config = SettingsConfigDict(
        env_prefix="SOFTSTORE_", env_nested_delimiter="__", env_ignore_empty=True, extra="forbid"
    )

    config: Path | None = None
    stores: Annotated[dict[str, str], NoDecode] = {}
    root: str | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    workers: Annotated[int, Field(ge=1)] = 1
    tokens: Path | None = None
    no_auth: bool = False
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    cors_origins: Annotated[list[str], NoDecode] = []
    access_log: bool = False
    log_format: LogFormat = "text"
    tracing: bool = False
    limits: Limits = Limits()

    @field_validator("stores", mode="before")
    @classmethod
    def _name_stores(cls, given: Any) -> Any:
        given = given.split() if isinstance(given, str) else given
        return named_stores(given) if isinstance(given, list) else given

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, given: Any) -> Any:
        return given.split() if isinstance(given, str) else given

    @model_validator(mode="after")
    def _fit_together(self) -> ServiceSettings:
        if self.no_auth and self.tokens:
            raise InvalidInputError(f"Either tokens from {self.tokens} are asked for, or none: not both.")
        if self.tls_key and not self.tls_certificate:
            raise InvalidInputError(
                f"The key {self.tls_key} is of no use without its certificate: name both."
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        config = init_settings().get("config") or env_settings().get("config")
        in_file = _read_toml(config) if config else {}
        return init_settings, env_settings, InitSettingsSource(settings_cls, in_file)


def load_settings(**flags: Any) -> ServiceSettings:
    """The settings with those flags that are not None.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: a setting that does not exist or does not fit.
    """
    try:
        return ServiceSettings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise InvalidInputError(f"The service's settings: {_reasons(error)}.") from error


def _read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file of settings {path}.") from error
    except OSError as error:
        raise InvalidInputError(f"The settings in {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InvalidInputError(f"The settings in {path} are no TOML: {error}.") from error


def _reasons(error: ValidationError) -> str:
    reasons = []
    for found in error.errors():
        name = ".".join(map(str, found["loc"]))
        unknown = found["type"] == "extra_forbidden"
        reasons.append(
            f"there is no {name}" if unknown else f"{name}: {found['msg']}, not {found['input']!r}"
        )
    return "; ".join(reasons)
