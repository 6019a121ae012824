"""Every policy that ours is compared with, in the order in which tables show them."""

from __future__ import annotations

from addrcast.simulation.policies.aws import AWS_PREFIX, AWS_WARM_ENI, AWS_WARM_IP
from addrcast.simulation.policies.azure import AZURE_V1, AZURE_V2
from addrcast.simulation.policies.cilium import CILIUM, CILIUM_MULTIPOOL
from addrcast.simulation.policies.fixed import PROPORTIONAL, STATIC
from addrcast.simulation.policies.oracle import ORACLE
from addrcast.simulation.policies.past_increases import LAST_VALUE, MEAN_SIGMA, OWN_QUANTILE
from addrcast.simulation.policies.preservation import PRESERVATION
from addrcast.simulation.policies.reorder_point import REORDER_POINT
from addrcast.simulation.policies.seasonal import SEASONAL_NAIVE

PEERS = (
    AWS_WARM_ENI,
    AWS_WARM_IP,
    AWS_PREFIX,
    AZURE_V1,
    AZURE_V2,
    CILIUM,
    CILIUM_MULTIPOOL,
    REORDER_POINT,
    MEAN_SIGMA,
    OWN_QUANTILE,
    PRESERVATION,
    SEASONAL_NAIVE,
    LAST_VALUE,
    PROPORTIONAL,
    STATIC,
    ORACLE,
)
