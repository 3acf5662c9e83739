"""One server with the shop's telemetry for all tests that look between services and within traces."""

from __future__ import annotations

import pytest
from metered import open_metered
from served import Served
from shop import open_shop

from group_servers import GroupServer


@pytest.fixture(scope="session")
def shops(tmp_path_factory: pytest.TempPathFactory) -> GroupServer:
    return GroupServer(tmp_path_factory, "shop", open_shop)


@pytest.fixture
def shop(shops: GroupServer) -> Served:
    return shops.served()


@pytest.fixture(scope="session")
def metered_servers(tmp_path_factory: pytest.TempPathFactory) -> GroupServer:
    return GroupServer(tmp_path_factory, "metered", open_metered)


@pytest.fixture
def metered(metered_servers: GroupServer) -> Served:
    return metered_servers.served()
