// What was painted, kept in this browser: it outlives a reload, and the session that it was saved in.

const NAME = "segtween-labels", TABLE = "frames";

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function change(base, mode, work) {
  const one = (await base).transaction(TABLE, mode);
  return new Promise((resolve, reject) => {
    const request = work(one.objectStore(TABLE));
    one.oncomplete = () => resolve(request.result);
    one.onerror = one.onabort = () => reject(one.error || request.error);
  });
}

/** All frames that are not saved in the labelling `id`: of each video its name and frames, in words; and what forgets
 * them. */
export async function unsaved(id) {
  const base = opened(), keys = await change(base, "readonly", (table) => table.getAllKeys()), frames = new Map();
  const others = keys.filter((key) => key[2] !== id);
  for (const [key, frame] of others) frames.set(key, [...(frames.get(key) || []), frame]);
  const words = [...frames].map(([key, all]) =>
    `${key.split("|")[0]}, ${all.length > 1 ? "frames" : "frame"} ${all.join(", ")}`);
  const forget = () => change(base, "readwrite", (table) => others.map((key) => table.delete(key)).at(-1));
  return { words, forget };
}

/** What was painted of one video, which is known by its name, size, number of frames and classes; and in which
 * labelling it was saved, if in any. */
export class Drafts {
  constructor({ name, width, height, frames, classes }) {
    this.key = [name, width, height, frames, classes.map((one) => one.name).join()].join("|");
    this._base = opened();
    this._base.catch(() => {});
  }

  _of(frame) {
    return IDBKeyRange.bound([this.key, frame], [this.key, frame, []]);
  }

  /** The labels of a frame, undefined where there are none. */
  async get(frame) {
    return (await change(this._base, "readonly", (table) => table.getAll(this._of(frame), 1)))[0];
  }

  /** Labels of a frame, instead of those before; `id` is that of the labelling which they were saved in. */
  put(frame, labels, id = "") {
    return change(this._base, "readwrite", (table) => {
      table.delete(this._of(frame));
      return table.put(labels, [this.key, frame, id]);
    });
  }

  remove(frame) {
    return change(this._base, "readwrite", (table) => table.delete(this._of(frame)));
  }

  /** The frames that are not saved in the labelling `id`, in order. */
  async unsaved(id) {
    const range = IDBKeyRange.bound([this.key, -Infinity], [this.key, Infinity]);
    const keys = await change(this._base, "readonly", (table) => table.getAllKeys(range));
    return keys.filter((key) => key[2] !== id).map((key) => key[1]);
  }
}
