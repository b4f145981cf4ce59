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

/** The drafts of one video: those of another with the same key are taken for it, too. */
export class Drafts {
  constructor(key) {
    this.key = key;
    this._base = opened();
    this._base.catch(() => {});
  }

  async _do(mode, work) {
    const base = await this._base;
    return new Promise((resolve, reject) => {
      const change = base.transaction(TABLE, mode), request = work(change.objectStore(TABLE));
      change.oncomplete = () => resolve(request.result);
      change.onerror = change.onabort = () => reject(change.error || request.error);
    });
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
