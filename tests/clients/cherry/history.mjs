// A topic as Cherry Studio 1.9 keeps it, and what of it goes into a request (docs/clients.md, Cherry Studio).
// An answer is one message whatever happened in its turn: its visible texts and its thoughts, never its tools.

export class Topic {
  constructor(contextCount) {
    this.contextCount = contextCount;
    this.messages = [];
  }

  ask(text) {
    this.messages.push({ role: "user", texts: [text] });
  }

  dropAnswer() {
    if (this.messages.at(-1)?.role !== "assistant") throw new Error("There is no answer to drop.");
    this.messages.pop();
  }

  record(answer) {
    this.messages.push({ role: "assistant", ...answer });
  }

  // The window counts messages, the new one too, and begins with a user.
  toSend() {
    const spoken = this.messages.filter((message, index) => !failed(message) && !failed(this.messages[index + 1]));
    const limit = this.contextCount === null ? spoken.length : this.contextCount + 2;
    const window = spoken.slice(-limit);
    return window.slice(window.findIndex((message) => message.role === "user")).map(asParts);
  }

  // What the request for a topic's name holds: the last five messages as JSON.
  toName() {
    return JSON.stringify(this.messages.slice(-5).map(({ role, texts }) => ({ role, mainText: mainText(texts) })));
  }
}

export function mainText(texts) {
  return texts.join("\n\n").trim();
}

// An answer that was only an error takes its question with it.
function failed(message) {
  return message?.status === "error" && message.texts.length === 0;
}

function asParts({ role, texts, thoughts = [] }) {
  const reasoning = thoughts.map((text) => ({ type: "reasoning", text }));
  return { role, content: [...reasoning, { type: "text", text: role === "user" ? texts[0] : mainText(texts) }] };
}
