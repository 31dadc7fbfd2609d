"""The request that loadgen sends; PER_USER is the rate of each user, absent for one after another."""

import os

from locust import FastHttpUser, constant, constant_throughput, task  # type: ignore[import-not-found]

PER_USER = os.environ.get("PER_USER")


class Caller(FastHttpUser):  # type: ignore[misc]
    """One user."""

    wait_time = constant_throughput(float(PER_USER)) if PER_USER else constant(0)

    @task  # type: ignore[untyped-decorator]
    def invoke(self) -> None:
        """One call."""
        self.client.post(
            os.environ["CALL_PATH"],
            data='{"k":"v"}',
            headers={"Content-Type": "application/json", "X-CFF-Request-Version": "v0"},
        )
