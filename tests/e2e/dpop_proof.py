# SPDX-License-Identifier: Apache-2.0
"""DPoP proofs as RFC 9449 has them, made without anything of ours."""
import hashlib
import json

from made_jwt import Signer, base64url


def thumbprint(jwk):
    """RFC 7638, section 3.2."""
    names = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}[jwk["kty"]]
    text = json.dumps({name: jwk[name] for name in names}, sort_keys=True, separators=(",", ":"))
    return base64url(hashlib.sha256(text.encode()).digest())


class Prover:
    """A key, and DPoP proofs by it."""

    def __init__(self, service, algorithm="ES256"):
        self.service, self.signer, self.nonce = service, Signer(algorithm), None
        self.jwk = {name: value for name, value in self.signer.jwk().items() if name not in ("kid", "alg", "use")}
        self.jkt = thumbprint(self.jwk)
        self.htu = service.ask("GET", "/demo/.well-known/openid-configuration").json["token_endpoint"]

    def proof(self, header=None, **claims):
        return self.signer.sign({"typ": "dpop+jwt", "jwk": self.jwk, "kid": None, **(header or {})},
                                **{"htm": "POST", "htu": self.htu, "nonce": self.nonce, "exp": None, **claims})
