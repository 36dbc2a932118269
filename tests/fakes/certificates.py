"""Certificates for localhost, signed by themselves."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate's files; `serial` tells one from another."""

    chain: Path
    key: Path
    serial: int

    def trusting(self) -> ssl.SSLContext:
        """What a client trusts this one with."""
        return ssl.create_default_context(cafile=str(self.chain))


DAY = datetime.timedelta(days=1)


def write_pair(folder: Path, lasts: datetime.timedelta = DAY) -> Pair:
    """A new one in `folder`, in the place of the one before."""
    folder.mkdir(exist_ok=True)
    key, serial = ec.generate_private_key(ec.SECP256R1()), x509.random_serial_number()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - 30 * DAY)
        .not_valid_after(now + lasts)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    for file, data in (
        (folder / "cert.pem", certificate.public_bytes(serialization.Encoding.PEM)),
        (folder / "key.pem", pem),
    ):
        file.with_suffix(".new").write_bytes(data)
        file.with_suffix(".new").replace(file)
    return Pair(folder / "cert.pem", folder / "key.pem", serial)
