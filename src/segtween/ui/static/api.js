// What the server is asked for. Every error is an Error whose message is one line for a person.

const LOST = "The server does not answer; it may have ended. Start segtween ui again.";

async function answered(response) {
  const type = response.headers.get("content-type") || "";
  const values = type.includes("json") ? await response.json() : { error: (await response.text()).trim() };
  if (!response.ok) throw new Error(values.error || `the server answered ${response.status}`);
  return values;
}

/** GET without `values`, else POST of them as JSON; `method` for another. */
export async function request(path, values, method) {
  const init = { method: method || (values === undefined ? "GET" : "POST") };
  if (values !== undefined) {
    init.headers = { "content-type": "application/json" };
    init.body = JSON.stringify(values);
  }
  let response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new Error(LOST);
  }
  return answered(response);
}

/** Sends a file; `progress(share)` while it is under way. Returns the video; null once `signal` has ended it. */
export async function upload(file, progress, signal) {
  const announced = await request("/api/videos", { name: file.name, size: file.size });
  if (signal.aborted) return null;
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    signal.addEventListener("abort", () => { sending.abort(); resolve(null); });
    sending.open("PUT", `/api/videos/${announced.id}`);
    sending.setRequestHeader("content-type", "application/octet-stream");
    sending.responseType = "text";
    sending.upload.onprogress = (event) => { if (event.lengthComputable) progress(event.loaded / event.total); };
    sending.onerror = () => reject(new Error(`${file.name} could not be sent: the connection was cut.`));
    sending.onload = () => {
      let values = {};
      try { values = JSON.parse(sending.responseText); } catch { /* an answer that is no JSON has no message */ }
      if (sending.status === 200) resolve(values);
      else reject(new Error(values.error || `the server answered ${sending.status}`));
    };
    sending.send(file);
  });
}

const ENDED = ["done", "failed", "cancelled"];
const POLL_MS = 400;

/** Whether the job waits or runs. */
export const isAtWork = (job) => !ENDED.includes(job.state);

/** Follows a job to its end; `changed(job)` each time it is heard of. Returns the job as it ended. */
export async function follow(job, changed) {
  let now = job;
  for (;;) {
    changed(now);
    if (!isAtWork(now)) return now;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    now = await request(`/api/jobs/${job.id}`);
  }
}

export const cancel = (job) => request(`/api/jobs/${job.id}/cancel`, {});
