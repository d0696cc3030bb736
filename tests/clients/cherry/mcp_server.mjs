// A small MCP server over stdio, as a person would add one to Cherry Studio.
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { z } from "zod";

const DEGREES = { Paris: 22, Rome: 31, 北京: 18 };

const server = new McpServer({ name: "weather", version: "1.0.0" });

server.registerTool(
  "getTemperature",
  { description: "Tell how warm it is in a city, in degrees Celsius.", inputSchema: { city: z.string() } },
  async ({ city }) =>
    city in DEGREES
      ? { content: [{ type: "text", text: `${city}: ${DEGREES[city]} degrees` }] }
      : { content: [{ type: "text", text: `There is no city called ${city}.` }], isError: true },
);

server.registerTool(
  "toFahrenheit",
  { description: "Convert degrees Celsius to Fahrenheit.", inputSchema: { celsius: z.number() } },
  async ({ celsius }) => ({ content: [{ type: "text", text: `${(celsius * 9) / 5 + 32} °F` }] }),
);

await server.connect(new StdioServerTransport());
