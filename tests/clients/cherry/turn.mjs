// One request of Cherry Studio 1.9, run by the code that it runs: ai-core with the AI SDK below it.
import { createExecutor, definePlugin } from "@cherrystudio/ai-core";
import { createPromptToolUsePlugin } from "@cherrystudio/ai-core/built-in/plugins";
import { simulateStreamingMiddleware, stepCountIs } from "ai";

const NAMING = "You are an assistant skilled in conversation. Summarise the conversation into a title of ten words.";

// Answers the messages; `tell` is told what a person would see happen.
export async function answer(settings, wire, { messages, tools, signal, tell }) {
  const plugins = settings.mode === "prompt" ? [createPromptToolUsePlugin()] : [];
  const system = settings.system?.replaceAll("{{datetime}}", new Date().toLocaleString());
  return await run(settings, wire, plugins, { messages, system, tools, abortSignal: signal }, tell);
}

// Names a topic, unasked, as after the first answer: without streaming on the wire.
export async function nameTopic(settings, wire, entries) {
  const simulate = definePlugin({
    name: "simulate-streaming",
    configureContext: (context) => void context.middlewares.push(simulateStreamingMiddleware()),
  });
  const asked = [{ role: "user", content: entries }];
  return await run(settings, wire, [simulate], { messages: asked, system: NAMING }, () => {});
}

async function run({ baseURL, model, apiKey }, wire, plugins, params, tell) {
  const executor = await createExecutor(
    "openai-compatible",
    {
      name: "qwen-thread",
      baseURL,
      apiKey,
      headers: { "HTTP-Referer": "https://cherry-ai.com", "X-Title": "Cherry Studio" },
      includeUsage: true,
      fetch: wire.fetch,
    },
    plugins,
  );
  const seen = { texts: [], thoughts: [], calls: [], error: null, status: "success", usage: null };
  try {
    const quiet = () => {}; // errors arrive in the stream as well
    const given = { ...params, model, stopWhen: stepCountIs(40), maxRetries: 0, onError: quiet };
    const { fullStream } = await executor.streamText(given);
    for await (const part of fullStream) take(part, seen, tell);
  } catch (problem) {
    fail(problem, seen);
  }
  return { ...seen, texts: seen.texts.filter((text) => text.trim()), requests: wire.take() };
}

function take(part, seen, tell) {
  switch (part.type) {
    case "text-start":
      seen.texts.push("");
      break;
    case "text-delta":
      seen.texts[seen.texts.length - 1] += part.text;
      tell({ event: "text", text: part.text });
      break;
    case "reasoning-start":
      seen.thoughts.push("");
      break;
    case "reasoning-delta":
      seen.thoughts[seen.thoughts.length - 1] += part.text;
      break;
    case "tool-call":
      seen.calls.push({ name: part.toolName, arguments: part.input, id: part.toolCallId });
      break;
    case "finish":
      seen.usage = part.totalUsage;
      break;
    case "abort":
      seen.status = "paused";
      break;
    case "error":
      fail(part.error, seen);
      break;
  }
}

// What Cherry Studio shows of an error.
function fail(problem, seen) {
  const aborted = problem?.name === "AbortError";
  seen.status = aborted ? "paused" : "error";
  if (aborted) return;
  const { name, message, statusCode, responseBody } = problem;
  seen.error = { name, message: message ?? String(problem), status: statusCode ?? null, body: responseBody ?? null };
}
