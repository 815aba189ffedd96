"""Settings that all tests share."""

import os

from hypothesis import HealthCheck, settings

# Laws are tried on 2,000 examples, the same ones every time: a failure in CI fails at home.
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=2000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("quick", settings.get_profile("ci"), max_examples=100)
# For a hunt: HYPOTHESIS_PROFILE=search draws new examples at every run.
settings.register_profile("search", settings.get_profile("ci"), derandomize=False, max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
