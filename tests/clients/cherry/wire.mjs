// What was on the wire. One for the whole process: ai-core caches the provider that it made with the first `fetch`.

export class Wire {
  #requests = [];

  // Sends as usual, and remembers.
  fetch = async (url, init) => {
    const request = { body: JSON.parse(init.body), status: null, match: null, session: null };
    this.#requests.push(request);
    const response = await fetch(url, init);
    request.status = response.status;
    request.match = response.headers.get("x-session-match");
    request.session = response.headers.get("x-session-id");
    return response;
  };

  // The requests since it was asked last.
  take() {
    return this.#requests.splice(0);
  }
}
