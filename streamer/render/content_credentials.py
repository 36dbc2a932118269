"""Sign video files with Content Credentials: a C2PA manifest which states that the file is AI-generated.

C2PA specification 2.2: a claim with the action c2pa.created and its digital source type, bound to the file by a hash
and signed with an X.509 certificate (section 14.5.1 lists the allowed ones; a self-signed one is not allowed, hence a
private certificate authority). Requires the package c2pa-python, the reference implementation.
"""

from __future__ import annotations

import importlib
import io
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import cv2
import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from engines.errors import first_line
from streamer.core.disclosure import DIGITAL_SOURCE_TYPE
from streamer.core.errors import ConfigError, MediaError
from streamer.render.own_certificate import CERTIFICATES, KEY, own_certificate

INSTALL = "pip install 'avatar-streamer[c2pa]'"
SIGNED = {".mp4": "video/mp4", ".mov": "video/quicktime"}  # file types that can hold a manifest
_CURVES = {"secp256r1": b"es256", "secp384r1": b"es384", "secp521r1": b"es512"}


@dataclass(frozen=True)
class Signer:
    """A certificate chain and its key, PEM, with the C2PA name of the signature algorithm."""

    certificates: bytes
    key: bytes
    algorithm: bytes

    @classmethod
    def open(cls, folder: Path | None) -> Signer:
        """Read certificates.pem (the signer's first) and key.pem; None: this user's own, created if missing.

        Raises:
            ConfigError: c2pa-python is not installed; a file is missing or unusable.
        """
        _c2pa()
        folder = folder or own_certificate()
        try:
            certificates, key = (folder / CERTIFICATES).read_bytes(), (folder / KEY).read_bytes()
        except OSError as error:
            raise ConfigError(
                f"{error.filename}: cannot be read ({error.strerror}); expected {CERTIFICATES}, the signer's first, "
                f"and {KEY} in the folder of --sign"
            ) from None
        signer = cls(certificates, key, _algorithm(folder / KEY, key))
        try:  # signing checks the certificates: do it now, not after an hour of rendering
            dot = cv2.imencode(".png", np.zeros((1, 1), np.uint8))[1].tobytes()
            signer._sign("dot", "image/png", io.BytesIO(dot), io.BytesIO())
        except Exception as error:  # the library's errors have no common base class
            raise ConfigError(f"{folder / CERTIFICATES}: cannot sign with it ({first_line(error)})") from None
        return signer

    def sign(self, source: Path, signed: Path, title: str) -> None:
        """Write `source` with a manifest to `signed`; the suffix of both is one of SIGNED. Raises MediaError."""
        try:
            with source.open("rb") as plain, signed.open("w+b") as made:
                self._sign(title, SIGNED[source.suffix.lower()], plain, made)
        except Exception as error:  # the library's errors have no common base class
            raise MediaError(f"{title}: cannot be signed ({first_line(error)})") from None

    def _sign(self, title: str, kind: str, source: BinaryIO, signed: BinaryIO) -> None:
        c2pa = _c2pa()
        action = {"action": "c2pa.created", "digitalSourceType": DIGITAL_SOURCE_TYPE}
        manifest = {
            "claim_generator_info": [{"name": "avatar-streamer"}],
            "title": title,
            "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}],
        }
        info = c2pa.C2paSignerInfo(self.algorithm, self.certificates, self.key, None)
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder(manifest) as builder:
            builder.sign(signer, kind, source, signed)


def check_kind(path: Path) -> None:
    """Check that this type of file can be signed. Raises ConfigError."""
    if path.suffix.lower() not in SIGNED:
        raise ConfigError(f"{path}: such a file cannot be signed; expected it to end in {' or '.join(SIGNED)}")


def _algorithm(path: Path, key: bytes) -> bytes:
    """Return the C2PA name of the key's algorithm. Raises ConfigError."""
    try:
        found = load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:  # TypeError: the key has a password
        raise ConfigError(f"{path}: not an unencrypted private key in PEM ({first_line(error)})") from None
    if isinstance(found, ec.EllipticCurvePrivateKey) and found.curve.name in _CURVES:
        return _CURVES[found.curve.name]
    if isinstance(found, ed25519.Ed25519PrivateKey):
        return b"ed25519"
    if isinstance(found, rsa.RSAPrivateKey):
        return b"ps256"
    raise ConfigError(f"{path}: a key of another kind; expected EC (P-256, P-384, P-521), Ed25519 or RSA")


def _c2pa() -> ModuleType:
    try:
        return importlib.import_module("c2pa")
    except (ImportError, OSError) as error:  # OSError: its library does not load here
        raise ConfigError(f"signing needs c2pa-python ({first_line(error)}): {INSTALL}") from None
