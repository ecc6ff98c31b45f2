// SPDX-License-Identifier: Apache-2.0
// Verify a token as a resource server would, with the `jose` package, from the issuer's JWKS alone.
// Standard input: {"token", "jwks", "issuer", "audience", "typ", "algorithm"}. Prints what the package says of it.
import { webcrypto } from "node:crypto";
import { text } from "node:stream/consumers";

globalThis.crypto ??= webcrypto; // Node 18 has it under this name only, and the package looks for it when it is loaded
const { calculateJwkThumbprint, createLocalJWKSet, jwtVerify } = await import("jose");

const { token, jwks, issuer, audience, typ, algorithm } = JSON.parse(await text(process.stdin));
let answer;
try {
  const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(jwks), {
    issuer, audience, typ, algorithms: [algorithm ?? "ES256"],
  });
  const thumbprints = await Promise.all(jwks.keys.map((key) => calculateJwkThumbprint(key, "sha256")));
  answer = { payload, header: protectedHeader, thumbprints };
} catch (error) {
  answer = { error: error.code ?? error.message };
}
console.log(JSON.stringify(answer));
