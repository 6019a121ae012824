"""What the core needs of a learner: fit the pooled model of the need, and apply it."""

from __future__ import annotations

from addrcast.core.forecast.need import NeedFitter, NeedModel, NeedSample

__all__ = ["NeedFitter", "NeedModel", "NeedSample"]
