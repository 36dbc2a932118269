"""Makes a certificate for signing on this machine: a private authority, which others do not trust, and one signer."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engines.files import PRIVATE_FOLDER, write_bytes
from streamer.avatar.catalogue import home_folder
from streamer.core.errors import ConfigError

CERTIFICATES, KEY = "certificates.pem", "key.pem"
FOLDER = "signing"  # in the user's data folder
VALID = datetime.timedelta(days=3650)


def own_certificate() -> Path:
    """Return the folder of this user's own certificate; create it if missing. Raises ConfigError."""
    folder = home_folder() / FOLDER
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        made = Path(tempfile.mkdtemp(prefix=f".{FOLDER}-", dir=folder.parent))  # readable by this user only
        try:
            certificates, key = make_certificate()
            write_bytes(made / CERTIFICATES, certificates)
            write_bytes(made / KEY, key, private=True)
            with contextlib.suppress(OSError):  # another process has just made one: use that
                made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror})") from None
    return folder


def make_certificate() -> tuple[bytes, bytes]:
    """Make a chain of two ECDSA P-256 certificates, the signer's first, and the signer's key; both PEM."""
    authority, signer = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    chain = (
        _certificate("avatar-streamer signer", signer.public_key(), authority, is_authority=False),
        _certificate(_AUTHORITY, authority.public_key(), authority, is_authority=True),
    )
    key = signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain), key


_AUTHORITY = "avatar-streamer authority of one user"


def _certificate(
    name: str, public: ec.EllipticCurvePublicKey, authority: ec.EllipticCurvePrivateKey, is_authority: bool
) -> x509.Certificate:
    """Sign one certificate (RFC 5280; C2PA 2.2, 14.5.1: key usage, and e-mail protection for the signer)."""
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)  # tolerates clock differences
    usage = x509.KeyUsage(not is_authority, False, False, False, False, is_authority, is_authority, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(_AUTHORITY))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + VALID)
        .add_extension(x509.BasicConstraints(is_authority, 0 if is_authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
    )
    if not is_authority:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=True)
    return builder.sign(authority, hashes.SHA256())


def _name(common: str) -> x509.Name:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "avatar-streamer")  # viewers display it as the issuer
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common), organisation])
