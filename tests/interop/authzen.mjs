// SPDX-License-Identifier: Apache-2.0
// An AuthZEN 1.0 decision point on a Unix socket whose decisions Cedar makes: node authzen.mjs SOCKET POLICIES
import cedar from "@cedar-policy/cedar-wasm/nodejs";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const [socket, file] = process.argv.slice(2);

// Cedar knows longs, strings, booleans, sets and records; what is null is left out.
function attributes(value) {
  if (Array.isArray(value)) return value.map(attributes);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== null).map(([k, v]) => [k, attributes(v)]));
}

function decide({ subject, action, resource, context }) {
  const answer = cedar.isAuthorized({
    principal: { type: "Agent", id: subject.id },
    action: { type: "Action", id: action.name },
    resource: { type: "Credential", id: resource.id },
    context: attributes(context),
    policies: { staticPolicies: readFileSync(file, "utf8") },
    entities: [
      { uid: { type: "Agent", id: subject.id }, attrs: attributes(subject.properties), parents: [] },
      { uid: { type: "Credential", id: resource.id },
        attrs: attributes({ ...resource.properties, scope: (resource.properties.scope ?? "").split(" ") }), parents: [] },
    ],
  });
  if (answer.type !== "success") throw new Error(JSON.stringify(answer));
  const id = "cedar-" + answer.response.diagnostics.reason.join("-");
  return { decision: answer.response.decision === "allow", context: { id } };
}

createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    if (request.method !== "POST" || request.url !== "/access/v1/evaluation" ||
        request.headers["content-type"] !== "application/json") {
      response.writeHead(404).end();
      return;
    }
    try {
      const answer = decide(JSON.parse(Buffer.concat(chunks)));
      response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(answer));
    } catch (error) {
      console.error(error);
      response.writeHead(500).end();
    }
  });
}).listen(socket, () => console.log("ready"));
