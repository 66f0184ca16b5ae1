"""What the service says while it works: to standard error, for people or as JSON lines, never with secrets."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from kaozheng_service.redaction import STRUCK, redacted

# Fields whose very name says that their value is nobody's business.
_SECRET_FIELDS = ("password", "passwd", "secret", "token", "authorization", "credential_value")


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


def configure_logs(form: LogFormat = LogFormat.CONSOLE, level: int = logging.INFO) -> None:
    """For the whole process, what other libraries log included.

    Parameters
    ----------
    level : of our own; of others, warnings only
    """
    # Exceptions become text before anything is struck; tracebacks that show values of variables are never made.
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        strike_secrets,
    ]
    renderer: Processor
    if form is LogFormat.JSON:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,
            timestamp_key="time",
        )
    structlog.configure(
        processors=[*shared, renderer],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.WARNING)


def strike_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A processor: every text of the event, at any depth, without secrets."""
    return {name: _struck(name, value) for name, value in event.items()}


def _struck(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if any(secret in name.lower() for secret in _SECRET_FIELDS):
        return STRUCK
    if isinstance(value, Mapping):
        return {str(key): _struck(str(key), one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_struck(name, one) for one in value]
    if name.startswith("_"):  # of the formatter's own
        return value
    return redacted(value if isinstance(value, str) else str(value))
