"""What a log holds, and what it must not."""

import structlog

from app import logs


def test_a_trace_is_logged_without_the_values_of_variables(capsys):
    logs.configure()
    row = "a user's row " * 3
    try:
        raise ValueError(len(row))
    except ValueError as error:
        structlog.get_logger().error("request.failed", exc_info=error)
    structlog.reset_defaults()
    told = capsys.readouterr().err
    assert "request.failed" in told and "ValueError: 39" in told
    assert row not in told
