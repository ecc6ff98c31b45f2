# SPDX-License-Identifier: Apache-2.0
"""Keys of others, and JWTs by them: by a library that knows nothing of hsmint."""
import base64
import json
import os
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

EC = {"ES256": (ec.SECP256R1, hashes.SHA256, 32, "P-256"), "ES384": (ec.SECP384R1, hashes.SHA384, 48, "P-384")}


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, length):
    return base64url(value.to_bytes(length, "big"))


def part(value):
    return base64url(value if isinstance(value, bytes) else json.dumps(value).encode())


class Signer:
    """One key, and what its JWTs say unless they are told otherwise."""
    def __init__(self, algorithm="ES256", kid="one", **claims):
        self.algorithm, self.kid, self.claims = algorithm, kid, claims
        if algorithm in EC:
            self.key = ec.generate_private_key(EC[algorithm][0]())
        elif algorithm == "EdDSA":
            self.key = ed25519.Ed25519PrivateKey.generate()
        else:
            self.key = rsa.generate_private_key(65537, 2048)

    def jwk(self):
        key = self.key.public_key()
        named = {"kid": self.kid, "alg": self.algorithm, "use": "sig"}
        if self.algorithm in EC:
            _, _, length, curve = EC[self.algorithm]
            point = key.public_numbers()
            return {"kty": "EC", "crv": curve, "x": number(point.x, length), "y": number(point.y, length), **named}
        if self.algorithm == "EdDSA":
            from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
            return {"kty": "OKP", "crv": "Ed25519", "x": base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw)),
                    **named}
        modulus = key.public_numbers()
        return {"kty": "RSA", "n": number(modulus.n, 256), "e": number(modulus.e, 3), **named}

    def private_jwk(self):
        """As programs of others want it, of an EC key."""
        return {**self.jwk(), "d": number(self.key.private_numbers().private_value, EC[self.algorithm][2])}

    def signature(self, text):
        if self.algorithm in EC:
            _, digest, length, _ = EC[self.algorithm]
            r, s = utils.decode_dss_signature(self.key.sign(text, ec.ECDSA(digest())))
            return r.to_bytes(length, "big") + s.to_bytes(length, "big")
        if self.algorithm == "EdDSA":
            return self.key.sign(text)
        if self.algorithm == "PS256":
            return self.key.sign(text, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        return self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())

    def sign(self, header=None, **claims):
        """None as a claim's value leaves it out."""
        now = int(time.time())
        said = {"iat": now, "exp": now + 60, "jti": base64url(os.urandom(12)), **self.claims, **claims}
        text = "%s.%s" % (part({name: value for name, value in {"alg": self.algorithm, "kid": self.kid, **(header or {})}.items()
                                if value is not None}),
                          part({name: value for name, value in said.items() if value is not None}))
        return "%s.%s" % (text, base64url(self.signature(text.encode())))


def jwks(*signers):
    return json.dumps({"keys": [signer.jwk() for signer in signers]})
