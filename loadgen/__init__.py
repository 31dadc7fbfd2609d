"""A load tester for FunctionGraph's synchronous-invocation API."""

__version__ = "0.1.0"
