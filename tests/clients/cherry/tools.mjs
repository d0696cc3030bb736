// An MCP server's tools as tools of the AI SDK, the way Cherry Studio 1.9 hands them over.
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { jsonSchema, tool } from "ai";

const SERVER = fileURLToPath(new URL("mcp_server.mjs", import.meta.url));

export async function connect() {
  const client = new Client({ name: "Cherry Studio", version: "1.9.7" });
  const packages = new URL("packages.mjs", import.meta.url).href;
  await client.connect(
    new StdioClientTransport({ command: process.execPath, args: ["--import", packages, SERVER], env: process.env }),
  );
  return client;
}

export async function toolsOf(client) {
  const { tools } = await client.listTools();
  return Object.fromEntries(tools.map((listed) => [`mcp__weather__${listed.name}`, asTool(client, listed)]));
}

function asTool(client, { name, description, inputSchema }) {
  return tool({
    description,
    inputSchema: jsonSchema(inputSchema),
    execute: async (input) => {
      const result = await client.callTool({ name, arguments: input });
      if (result.isError) throw result; // Cherry Studio rejects with the result itself, not with an Error
      return result;
    },
    toModelOutput: ({ output }) => ({ type: "text", value: output.content.map((part) => part.text).join("\n") }),
  });
}
