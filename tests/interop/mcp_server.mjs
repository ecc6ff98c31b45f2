// SPDX-License-Identifier: Apache-2.0
// An MCP server by MCP's own SDK, with one tool, for tokens of an issuer of hsmint's.
// Arguments: a JSON object {"issuer", "ca", "cert", "key", "by"}, by "jose" or "introspection"; prints {"resource"},
// its URL, when it listens, and ends with its standard input.
import { readFileSync } from "node:fs";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { createMcpExpressApp } from "@modelcontextprotocol/sdk/server/express.js";
import { InvalidTokenError } from "@modelcontextprotocol/sdk/server/auth/errors.js";
import { requireBearerAuth } from "@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js";
import { getOAuthProtectedResourceMetadataUrl } from "@modelcontextprotocol/sdk/server/auth/router.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { createRemoteJWKSet, customFetch as joseFetch, jwtVerify } from "jose";
import * as oauth from "oauth4webapi";
import { Agent, fetch as undiciFetch } from "undici";

const { issuer, by, ...tls } = JSON.parse(process.argv[2]);
const dispatcher = new Agent({
  connect: { ca: readFileSync(tls.ca), cert: readFileSync(tls.cert), key: readFileSync(tls.key) },
});
const fetch = (url, options) => undiciFetch(url, { ...options, dispatcher });
const options = { [oauth.customFetch]: fetch };
let resource;

async function discover() {
  const found = await oauth.discoveryRequest(new URL(issuer), { ...options, algorithm: "oauth2" });
  return oauth.processDiscoveryResponse(new URL(issuer), found);
}

const judges = {
  async jose(token) {
    const keys = createRemoteJWKSet(new URL((await discover()).jwks_uri), { [joseFetch]: fetch });
    return (await jwtVerify(token, keys, { issuer, audience: resource, typ: "at+jwt" })).payload;
  },
  async introspection(token) {
    const server = await discover(), self = { client_id: "demo" };
    const response = await oauth.introspectionRequest(server, self, oauth.TlsClientAuth(), token, options);
    const claims = await oauth.processIntrospectionResponse(server, self, response);
    if (!claims.active || ![claims.aud].flat().includes(resource))
      throw new Error("not in force, or not for this server");
    return claims;
  },
};

async function verifyAccessToken(token) {
  try {
    const claims = await judges[by](token);
    return {
      token, clientId: claims.client_id, scopes: (claims.scope ?? "").split(" "), expiresAt: claims.exp,
      extra: { sub: claims.sub }, resource: new URL(resource),
    };
  } catch (error) {
    throw new InvalidTokenError(error.code ?? error.message);
  }
}

function makeServer() {
  const server = new McpServer({ name: "of-the-test", version: "1.0.0" });
  server.registerTool("whoami", { description: "Who calls" }, ({ authInfo }) => ({
    content: [{
      type: "text",
      text: JSON.stringify({ sub: authInfo.extra.sub, client: authInfo.clientId, scopes: authInfo.scopes }),
    }],
  }));
  return server;
}

const app = createMcpExpressApp();
const listener = app.listen(0, "127.0.0.1", () => {
  resource = `http://127.0.0.1:${listener.address().port}/mcp`;
  const resourceMetadataUrl = getOAuthProtectedResourceMetadataUrl(new URL(resource));
  app.get(new URL(resourceMetadataUrl).pathname, (_request, response) =>
    response.json({
      resource, authorization_servers: [issuer], scopes_supported: ["read"], bearer_methods_supported: ["header"],
    }));
  const guard = requireBearerAuth({ verifier: { verifyAccessToken }, requiredScopes: ["read"], resourceMetadataUrl });
  app.post("/mcp", guard, async (request, response) => {
    const server = makeServer(), transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    response.on("close", () => server.close());
    await server.connect(transport);
    await transport.handleRequest(request, response, request.body);
  });
  console.log(JSON.stringify({ resource }));
});
process.stdin.on("end", () => process.exit(0)).resume();
