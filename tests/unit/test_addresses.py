"""Addresses are shown and recorded without their secrets, and otherwise as they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iodine_kit.addresses import SCHEMES, is_ambiguous, redacted, without_secrets


@pytest.mark.parametrize(
    ("address", "recorded"),
    [
        ("http://user:sesame@host:80/a@b.h5", "http://host:80/a@b.h5"),
        ("https://TOKEN@host/a.h5", "https://host/a.h5"),
        ("sftp://user:pa/ss@host/a.h5", "sftp://user@host/a.h5"),
        ("sftp://user:p#w@host/a.h5", "sftp://user@host/a.h5"),
        ("s3://id:key@bucket/a.h5", "s3://bucket/a.h5"),
        ("https://h/a.h5?X-Amz-Date=1&X-Amz-Signature=ab%2Fc&X-Amz-Expires=9", "https://h/a.h5"),
        ("https://h/a.h5?id=3&Expires=7&Signature=x&Key-Pair-Id=K", "https://h/a.h5?id=3"),
        ("https://h/a.h5?sv=1&se=2&sr=b&sp=r&sig=x", "https://h/a.h5"),
        ("https://h/f?alt=media&key=AIzaSy", "https://h/f?alt=media"),
        ("http://[::1]:80/a?access_token=x#f", "http://[::1]:80/a#f"),
    ],
)
def test_secrets_are_removed(address: str, recorded: str) -> None:
    assert without_secrets(address) == without_secrets(recorded) == recorded
    text = redacted(f"cannot open '{address}', {address}: no access")
    assert not any(secret in text for secret in ("sesame", "TOKEN", "ss@", "w@", "key@", "ab%2F", "=x", "AIza"))


@pytest.mark.parametrize(
    "address",
    [
        "https://storage.googleapis.com/multi-object-datasets/tetrominoes/tetrominoes_train.tfrecords",
        "https://host:8080/a@b/c(1).h5?download=1&id=a@b#part",
        "https://drive.example/uc?key=folder/file.h5&se=1&expires=2",
        "s3://arn:aws:s3:eu-1:12:accesspoint/name/a@b",
        "sftp://user@host:22/a",
        "abfs://container@account.dfs.core.windows.net/a.h5",
        "hf://datasets/owner/name@main/a.h5",
        "memory://a/b*.h5",
        "a/user:pw@host",
    ],
)
def test_an_address_without_secrets_stays_as_it_is(address: str) -> None:
    assert without_secrets(address) == redacted(address) == address and not is_ambiguous(address)


secrets = st.text("abcxyzABC0189!$&*+=;._~-/?#@%:", min_size=3).map(lambda text: f"Q{text}Q")
possible = secrets.filter(lambda text: "/" not in text.partition("@")[2])
"""What is before an '@' and a '/' cannot be told from a host."""


@given(possible, st.sampled_from(sorted(SCHEMES)), st.sampled_from(["", "--source=", '["s3://b/k","']))
def test_no_password_is_left_in_a_command(secret: str, scheme: str, before: str) -> None:
    address = f"{scheme}://somebody:{secret}@host/place.h5"
    assert secret not in redacted(before + address) + without_secrets(address)
    assert secret not in redacted(f"no {secret} at host", address)
    assert is_ambiguous(address) == bool(set(secret) & set("/?#@"))
