// What was painted and not saved yet, kept in this browser: it outlives a reload and the session on the server.

const NAME = "segtween-drafts", TABLE = "drafts";

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

const named = (frames) => `${frames.length > 1 ? "frames" : "frame"} ${frames.join(", ")}`;

async function change(base, mode, work) {
  const opened = await base;
  return new Promise((resolve, reject) => {
    const one = opened.transaction(TABLE, mode), request = work(one.objectStore(TABLE));
    one.oncomplete = () => resolve(request.result);
    one.onerror = one.onabort = () => reject(one.error || request.error);
  });
}

/** All drafts in words, one text for each video. */
export async function storedDrafts() {
  const frames = new Map();
  for (const [key, frame] of await change(opened(), "readonly", (table) => table.getAllKeys())) {
    const name = key.split("|")[0];
    frames.set(name, [...(frames.get(name) || []), frame]);
  }
  return [...frames].map(([name, all]) => `${name}, ${named(all)}`);
}

/** The drafts of one video, which is known by its name, size, number of frames and classes. */
export class Drafts {
  constructor({ name, width, height, frames, classes }) {
    this.key = [name, width, height, frames, classes.map((one) => one.name).join()].join("|");
    this._base = opened();
    this._base.catch(() => {});
  }

  _do(mode, work) {
    return change(this._base, mode, work);
  }

  /** The labels of a frame, undefined where there is no draft. */
  get(frame) {
    return this._do("readonly", (table) => table.get([this.key, frame]));
  }

  put(frame, labels) {
    return this._do("readwrite", (table) => table.put(labels, [this.key, frame]));
  }

  remove(frame) {
    return this._do("readwrite", (table) => table.delete([this.key, frame]));
  }

  /** The frames that have a draft, in order. */
  async frames() {
    const range = IDBKeyRange.bound([this.key, -Infinity], [this.key, Infinity]);
    const keys = await this._do("readonly", (table) => table.getAllKeys(range));
    return keys.map((key) => key[1]);
  }
}
