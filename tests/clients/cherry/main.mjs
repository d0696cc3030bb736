// A Cherry Studio without a window. Commands come in as lines of JSON, what happens goes out as lines of JSON:
//   {"do": "say", "text": ...}   ask, and answer with its tools; then {"event": "answer", ...}
//   {"do": "regenerate"}         the same for the last question again
//   {"do": "stop"}               the stop button
//   {"do": "name"}               the request for the topic's name
// The settings are the only argument, as JSON: baseURL, apiKey, model, mode ("prompt", "function" or null for no
// tools), system, contextCount (null for unlimited). It ends with its input.
import { createInterface } from "node:readline";
import { Topic, mainText } from "./history.mjs";
import { connect, toolsOf } from "./tools.mjs";
import { answer, nameTopic } from "./turn.mjs";
import { Wire } from "./wire.mjs";

const settings = JSON.parse(process.argv[2]);
const topic = new Topic(settings.contextCount);
const wire = new Wire();
const mcp = settings.mode ? await connect() : null;
const tools = mcp ? await toolsOf(mcp) : undefined;
let stopping = null;

function tell(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

function tellAnswer({ texts, thoughts, ...rest }) {
  tell({ event: "answer", text: mainText(texts), reasoning: thoughts.join(""), ...rest });
}

async function converse() {
  stopping = new AbortController();
  const { signal } = stopping;
  const answered = await answer(settings, wire, { messages: topic.toSend(), tools, signal, tell });
  topic.record(answered);
  tellAnswer(answered);
}

const commands = {
  say: async ({ text }) => {
    topic.ask(text);
    await converse();
  },
  regenerate: async () => {
    topic.dropAnswer();
    await converse();
  },
  stop: async () => stopping.abort(),
  name: async () => tellAnswer(await nameTopic(settings, wire, topic.toName())),
};

tell({ event: "ready", tools: Object.keys(tools ?? {}) });
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  // Not awaited: the stop button works while an answer comes.
  commands[command.do](command).catch((problem) => tell({ event: "broken", text: String(problem.stack) }));
}
await mcp?.close();
