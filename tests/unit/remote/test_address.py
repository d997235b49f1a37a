from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iodine_kit.errors import ConfigError
from iodine_kit.remote.address import SCHEMES, parse_address


@pytest.mark.parametrize(
    ("text", "scheme", "location"),
    [
        ("s3://bucket/a/b/", "s3", "s3://bucket/a/b"),
        ("S3://bucket", "s3", "s3://bucket"),
        ("file:///a%20b", "file", "/a b"),
        ("/a/[b]*", "file", "/a/[b]*"),
        ("/a/b:c", "file", "/a/b:c"),
        ("sftp://user@host:22/a", "sftp", "sftp://user@host:22/a"),
    ],
)
def test_a_path_and_every_known_scheme_is_an_address(text: str, scheme: str, location: str) -> None:
    address = parse_address(text)
    assert (address.scheme, address.location) == (scheme, location)


def test_the_home_folder_and_the_working_folder_are_where_paths_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert parse_address("~/a").location == parse_address("a").location == str(tmp_path / "a")
    assert parse_address("./a:b").location == str(tmp_path / "a:b")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("simplecache::s3://bucket/a", "'::' chains file systems"),
        ("zip://a.zip::/etc", "'::' chains file systems"),
        ("github://owner/repository", "cannot be at github://"),
        ("reference://a", "cannot be at reference://"),
        ("local://etc", "cannot be at local://"),
        ("s3:bucket/a", "write s3:// with two slashes"),
        ("file://host/a", "three slashes"),
        ("s3://", "no bucket"),
        ("s3:///a", "no bucket"),
        ("foo:bar", "foo:… looks like HOST:PATH"),
        ("me@server:/data/x", "me@server:… looks like HOST:PATH: write sftp://HOST/PATH for a server, or ./"),
        ("s4:/bucket", "looks like HOST:PATH"),
        ("https:///", "no host"),
        ("https://host/a?signature=b", "no '?'"),
        ("", "is empty"),
    ],
)
def test_another_address_is_refused_with_what_to_write(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(reason)):
        parse_address(text)


secrets = st.text("abcxyzABC0189!$&*+=;._~-", min_size=6)


@given(secrets, st.sampled_from(sorted(SCHEMES)), st.sampled_from(["", "?q=1", "#f", "::x"]))
def test_a_password_is_never_shown(secret: str, scheme: str, end: str) -> None:
    secret = f"Q{secret}Q"
    try:
        address = parse_address(f"{scheme}://somebody:{secret}@host/place{end}")
    except ConfigError as error:
        assert secret not in str(error)
        return
    shown = address.redacted(f"cannot read {address.location}/x: no {secret}") if scheme != "file" else ""
    assert secret not in address.shown + repr(address) + shown


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs the extra 's3': pip install 'iodine-kit\[s3\]'"):
        parse_address("s3://bucket").open()
    with pytest.raises(ConfigError, match="needs the package gcsfs: pip install gcsfs"):
        parse_address("gs://bucket").open()
