// SPDX-License-Identifier: Apache-2.0
// An agent's OAuth client, by libraries that know nothing of hsmint: discovery, client credentials by mutual TLS or a key
// of the client's (private_key_jwt), the token exchanged if that is wanted, judged as a resource server would, and its
// state before and after its end. With "dpop", an algorithm: with DPoP proofs by a key of its own.
// Standard input: {"library", "issuer", "ca", "cert", "key", "parameters", "jwk"?, "exchange"?, "dpop"?}; prints what
// came of it.
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import * as dpop from "dpop";
import {
  calculateJwkThumbprint, createRemoteJWKSet, customFetch as joseFetch, exportJWK, importJWK, jwtVerify,
} from "jose";
import * as oauth from "oauth4webapi";
import * as client from "openid-client";
import { Agent, fetch as undiciFetch } from "undici";

const question = JSON.parse(await text(process.stdin));
const read = (path) => (path ? readFileSync(path) : undefined);
const dispatcher = new Agent({ connect: { ca: read(question.ca), cert: read(question.cert), key: read(question.key) } });
const fetch = (url, options) => undiciFetch(url, { ...options, dispatcher });
const parameters = new URLSearchParams(question.parameters);
const issuer = new URL(question.issuer);
const pair = question.dpop && (await dpop.generateKeyPair(question.dpop));
const { jwk } = question;
const key = jwk && { key: await importJWK(jwk, jwk.alg), kid: jwk.kid };
const HINT = { token_type_hint: "access_token" };
const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const exchanged = (token) => new URLSearchParams({
  ...question.exchange, subject_token: token, subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
});

async function byOauth4webapi() {
  const options = { [oauth.customFetch]: fetch };
  const hinted = { ...options, additionalParameters: HINT };
  const found = await oauth.discoveryRequest(issuer, { ...options, algorithm: "oauth2" });
  const server = await oauth.processDiscoveryResponse(issuer, found);
  const self = { client_id: question.client_id };
  const authentication = key ? oauth.PrivateKeyJwt(key) : oauth.TlsClientAuth();
  if (pair) options.DPoP = oauth.DPoP(self, pair);
  const ask = async () => oauth.processClientCredentialsResponse(server, self,
    await oauth.clientCredentialsGrantRequest(server, self, authentication, parameters, options));
  let token = await ask().catch((error) => {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return ask(); // the handle has the nonce now
  });
  if (question.exchange)
    token = await oauth.processGenericTokenEndpointResponse(server, self, await oauth.genericTokenEndpointRequest(
      server, self, authentication, EXCHANGE, exchanged(token.access_token), options));
  const introspect = async (text) => oauth.processIntrospectionResponse(server, self,
    await oauth.introspectionRequest(server, self, oauth.TlsClientAuth(), text, hinted));
  const revoke = async (text) => oauth.processRevocationResponse(
    await oauth.revocationRequest(server, self, oauth.TlsClientAuth(), text, hinted));
  return { server, token, ...(key ? {} : { introspect, revoke }) };
}

async function byOpenidClient() {
  const authentication = key ? client.PrivateKeyJwt(key) : client.TlsClientAuth();
  const configuration = await client.discovery(issuer, question.client_id, undefined, authentication, {
    [client.customFetch]: fetch,
  });
  const options = pair && { DPoP: client.getDPoPHandle(configuration, pair) };
  let token = await client.clientCredentialsGrant(configuration, parameters, options);
  if (question.exchange)
    token = await client.genericGrantRequest(configuration, EXCHANGE, exchanged(token.access_token), options);
  const introspect = (text) => client.tokenIntrospection(configuration, text, HINT);
  const revoke = (text) => client.tokenRevocation(configuration, text, HINT);
  return { server: configuration.serverMetadata(), token, ...(key ? {} : { introspect, revoke }) };
}

// By hand, but for the proofs.
async function byDpop() {
  const server = await (await fetch(`${question.issuer}/.well-known/openid-configuration`)).json();
  const ask = async (nonce) => fetch(server.token_endpoint, {
    method: "POST", body: new URLSearchParams({ grant_type: "client_credentials", ...question.parameters }),
    headers: { DPoP: await dpop.generateProof(pair, server.token_endpoint, "POST", nonce) },
  });
  const first = await ask();
  const { error } = await first.json();
  if (first.status !== 400 || error !== "use_dpop_nonce") throw new Error(error);
  const second = await ask(first.headers.get("DPoP-Nonce"));
  const token = await second.json();
  if (second.status !== 200 || !second.headers.get("DPoP-Nonce")) throw new Error(token.error);
  return { server, token };
}

const ways = { oauth4webapi: byOauth4webapi, "openid-client": byOpenidClient, dpop: byDpop };

async function verify(server, token) {
  const keys = createRemoteJWKSet(new URL(server.jwks_uri), { [joseFetch]: fetch });
  const { payload } = await jwtVerify(token, keys, {
    issuer: server.issuer, audience: question.audience, typ: "at+jwt", requiredClaims: ["client_id", "jti", "iat", "sub"],
  });
  return payload;
}

let answer;
try {
  const { server, token, introspect, revoke } = await ways[question.library]();
  answer = { token, payload: await verify(server, token.access_token) };
  if (pair) answer.jkt = await calculateJwkThumbprint(await exportJWK(pair.publicKey));
  if (introspect) {
    answer.before = await introspect(token.access_token);
    await revoke(token.access_token);
    answer.after = await introspect(token.access_token);
  }
} catch (error) {
  answer = { error: error.error ?? error.code ?? error.message, description: error.error_description, status: error.status };
}
console.log(JSON.stringify(answer));
await dispatcher.close();
