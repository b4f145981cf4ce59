// Labels and files on their way to the server and back, as they are.

async function answered(path, init) {
  const response = await fetch(path, init).catch(() => {
    throw new Error("The server does not answer; what was painted is kept in this browser.");
  });
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  throw new Error(error || `the server answered ${response.status}`);
}

/** The bytes at an address. */
export async function receive(path) {
  return new Uint8Array(await (await answered(path)).arrayBuffer());
}

/** Sends bytes, or a file; returns the JSON that comes back. */
export async function send(path, data, method) {
  const headers = { "content-type": "application/octet-stream" };
  return (await answered(path, { method, headers, body: data })).json();
}
