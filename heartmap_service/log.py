"""One JSON object a line on standard output. Every line of a call or a job carries its ``request_id``."""

import logging

import structlog


def configure(process: str, level: str) -> None:
    """Sets structlog and the standard library's logging up.

    Args:
        process: ``api``, ``worker`` or ``forward-auth``.
        level: the least that this service's own lines must be, ``INFO`` or ``DEBUG``.
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Not dict_tracebacks, which would write the local variables, keys among them.
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # A line in one write: the threads that decide who calls write lines of their own to the same pipe.
        logger_factory=structlog.WriteLoggerFactory(),
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=structlog.processors.JSONRenderer())
    )
    # Not at the level above: below WARNING the libraries write headers and bodies of requests to AWS, credentials among them.
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    structlog.contextvars.bind_contextvars(process=process)
