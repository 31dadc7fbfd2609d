"""The management side of FunctionGraph: reading limits, changing settings, and always putting them back."""
