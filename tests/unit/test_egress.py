"""The address rules of `http` jobs."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.adapters.handlers.egress import is_permitted

CLOSED_V4 = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
]
CLOSED_V6 = [
    "::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/32",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
]
METADATA = ["169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"]
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "2a00:1450::8a"]


def v4_in(networks: list[str]) -> st.SearchStrategy[IPv4Address]:
    return st.sampled_from([IPv4Network(each) for each in networks]).flatmap(
        lambda network: st.integers(int(network[0]), int(network[-1])).map(IPv4Address)
    )


def v6_in(networks: list[str]) -> st.SearchStrategy[IPv6Address]:
    return st.sampled_from([IPv6Network(each) for each in networks]).flatmap(
        lambda network: st.integers(int(network[0]), int(network[-1])).map(IPv6Address)
    )


def embeddings(address: IPv4Address) -> list[IPv6Address]:
    number = int(address)
    return [
        IPv6Address(number),  # "compatible", long deprecated
        IPv6Address((0xFFFF << 32) | number),  # mapped
        IPv6Address((0xFFFF << 48) | number),  # translated
        IPv6Address((0x64FF9B << 96) | number),  # NAT64
        IPv6Address((0x64FF9B0001 << 80) | number),  # NAT64, local use
        IPv6Address((0x2002 << 112) | (number << 80)),  # 6to4
        IPv6Address((0x20010000 << 96) | (number << 64)),  # Teredo, as its server
        IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF)),  # Teredo, as its client
    ]


@given(v4_in(CLOSED_V4))
def test_every_reserved_ipv4_address_is_refused_in_every_embedding(address: IPv4Address) -> None:
    assert not is_permitted(address, ())
    assert not any(is_permitted(each, ()) for each in embeddings(address))


@given(v6_in(CLOSED_V6))
def test_every_reserved_ipv6_address_is_refused(address: IPv6Address) -> None:
    assert not is_permitted(address, ())


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6, network="2000::/3"))
def test_what_is_permitted_is_global_to_python_too(address: IPv4Address | IPv6Address) -> None:
    assert address.is_global or not is_permitted(address, ())


@pytest.mark.parametrize("text", METADATA)
def test_cloud_metadata_is_refused(text: str) -> None:
    assert not is_permitted(ip_address(text), ())


@pytest.mark.parametrize("text", [*PUBLIC, "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_public_addresses_are_permitted(text: str) -> None:
    assert is_permitted(ip_address(text), ())


@given(v4_in(CLOSED_V4))
def test_an_allowed_network_opens_itself_also_mapped_and_nothing_else(address: IPv4Address) -> None:
    allow = (IPv4Network("10.1.0.0/16"), IPv6Network("fd00:1::/32"))
    mapped = IPv6Address((0xFFFF << 32) | int(address))
    inside = address in allow[0]
    assert is_permitted(address, allow) == is_permitted(mapped, allow) == inside
    assert is_permitted(ip_address("10.1.2.3"), allow)
    assert is_permitted(ip_address("fd00:1::7"), allow)


def test_allowing_all_of_ipv6_does_not_open_ipv4_inside_it() -> None:
    for text in ("::ffff:10.0.0.1", "64:ff9b::127.0.0.1"):
        assert not is_permitted(ip_address(text), (ip_network("::/0"),))
