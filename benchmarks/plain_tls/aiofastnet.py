"""On an agent's PYTHONPATH this hides the aiofastnet that is installed, as if the ``speed`` extra were not."""

raise ImportError("hidden")
