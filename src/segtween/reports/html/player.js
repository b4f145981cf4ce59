"use strict";

/** Starts the player whose elements are in the page; `data` is what `run_page.player_data` gives. Returns what stops it. */
function startPlayer(data) {
  const $ = (id) => document.getElementById(id);
  const stage = $("stage"), seek = $("frame"), now = $("now");
  const films = [$("film-picture"), $("film-labels")];
  const canvases = { picture: $("picture"), before: $("before"), after: $("after") };
  const off = new Set(); // numbers of classes
  const MOST_ZOOM = 8;
  let index = 0, wanted = null, playing = null, split = 0.5;
  // The picture is `zoom` times as large as the stage; its left upper corner lies at (left, top), in sizes of the stage.
  let zoom = 1, left = 0, top = 0;

  const seconds = (i) => (data.pts ? data.pts[i] : i * data.step) / 1000;
  const binOf = (i) => Math.min(data.bins - 1, Math.floor((i * data.bins) / data.frames));
  const percent = (value, digits = 1) => (value === null ? "\u2013" : (100 * value).toFixed(digits) + "%");
  const keyBefore = (i) => {
    let low = 0, high = data.keys.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (data.keys[middle] <= i) low = middle; else high = middle - 1;
    }
    return low;
  };

  function draw() {
    const [picture, labels] = films, half = labels.videoHeight / (data.before ? 2 : 1);
    for (const [name, canvas] of Object.entries(canvases)) {
      if (!canvas) continue;
      const [film, top, height] = name === "picture" ? [picture, 0, picture.videoHeight]
        : [labels, name === "after" && data.before ? half : 0, half];
      if (canvas.width !== film.videoWidth || canvas.height !== height) {
        canvas.width = film.videoWidth; canvas.height = height;
      }
      const context = canvas.getContext("2d");
      context.imageSmoothingEnabled = false;
      context.drawImage(film, 0, top, film.videoWidth, height, 0, 0, canvas.width, canvas.height);
    }
  }

  function tell() {
    const at = binOf(index), key = data.keys.length ? data.keys[keyBefore(index)] : null;
    const since = key === null || key > index ? "" : key === index ? ", key frame" : `, ${index - key} since key frame`;
    now.textContent = `Frame ${index + 1} of ${data.frames}, ${(seconds(index) - seconds(0)).toFixed(2)} s${since}, ` +
      `confidence ${percent(data.confidence[at])}, flicker ${percent(data.flicker[at], 2)}`;
    seek.value = index;
    const place = `${(100 * (index + 0.5)) / data.frames}%`;
    document.querySelectorAll(".cursor").forEach((cursor) => { cursor.style.left = place; });
    document.querySelectorAll("#legend button").forEach((button) => {
      button.querySelector(".share").textContent = percent(data.shares[button.dataset.id][at]);
    });
  }

  function seeked(film, time) {
    return new Promise((resolve) => {
      film.addEventListener("seeked", resolve, { once: true });
      film.currentTime = time;
    });
  }

  async function show(i) {
    const busy = wanted !== null;
    wanted = Math.max(0, Math.min(data.frames - 1, i));
    if (busy) return;
    while (wanted !== index || !show.drawn) {
      index = wanted;
      const time = seconds(index) - seconds(0) + data.step / 2000;
      if (films.every((film) => film.readyState > 0)) {
        await Promise.all(films.map((film) => seeked(film, time)));
        draw();
      }
      show.drawn = true;
      tell();
    }
    wanted = null;
  }

  function play(on) {
    clearInterval(playing);
    playing = on ? setInterval(() => {
      if (wanted === null) show(index + 1 < data.frames ? index + 1 : 0);
    }, data.step) : null;
    $("play").textContent = on ? "Pause" : "Play";
  }

  const step = (by) => { play(false); show((wanted === null ? index : wanted) + by); };
  function stepKey(by) {
    play(false);
    const at = keyBefore(index);
    const to = by > 0 ? at + (data.keys[at] <= index ? 1 : 0) : data.keys[at] < index ? at : at - 1;
    if (data.keys[to] !== undefined) show(data.keys[to]);
  }

  function divide(share) {
    split = Math.max(0, Math.min(1, share));
    stage.querySelector(".divider").style.left = `${100 * split}%`;
    const within = 100 * Math.max(0, Math.min(1, (split - left) / zoom));
    if (canvases.before) canvases.before.style.clipPath = `inset(0 ${100 - within}% 0 0)`;
    canvases.after.style.clipPath = `inset(0 0 0 ${within}%)`;
    $("split").value = Math.round(100 * split);
  }

  function moveTo(x, y) {
    left = Math.max(1 - zoom, Math.min(0, x));
    top = Math.max(1 - zoom, Math.min(0, y));
    for (const canvas of Object.values(canvases)) {
      if (canvas) canvas.style.transform = `translate(${100 * left}%, ${100 * top}%) scale(${zoom})`;
    }
    divide(split);
  }

  /** Enlarges by `factor` around a point of the stage, 0..1 in both directions. */
  function enlarge(factor, x = 0.5, y = 0.5) {
    const before = zoom;
    zoom = Math.max(1, Math.min(MOST_ZOOM, zoom * factor));
    $("zoom").textContent = `${Number(zoom.toFixed(1))}x`;
    moveTo(x - ((x - left) * zoom) / before, y - ((y - top) * zoom) / before);
  }

  const pan = (x, y) => moveTo(left - x / 8, top - y / 8);

  function paint() {
    const shown = data.classes.map((_, i) => (off.has(i) ? 0 : 1));
    if (data.levels) {
      ["R", "G", "B"].forEach((channel, c) => {
        const values = data.classes.map((one) => one.colour[c] / 255);
        $(`colour${channel}`).setAttribute("tableValues", [...values, 0].join(" "));
        $(`shown${channel}`).setAttribute("tableValues", [...shown, 0].join(" "));
      });
    }
    // A filter that is changed in place is not always applied anew: it gets another name each time.
    const filter = $("classes-filter") || document.querySelector("[data-filter]");
    if (!filter) return;
    filter.dataset.filter = "";
    filter.id = `classes-${paint.count = (paint.count || 0) + 1}`;
    [canvases.before, canvases.after].forEach((canvas) => { if (canvas) canvas.style.filter = `url(#${filter.id})`; });
  }

  const alpha = (value) => [canvases.before, canvases.after].forEach((c) => { if (c) c.style.opacity = value; });
  const shareAt = (event, box) => (event.clientX - box.left) / box.width;

  films.forEach((film, i) => {
    film.addEventListener("error", () => {
      $("missing").hidden = false;
      $("missing").textContent = `${film.getAttribute("src")} cannot be played: it belongs beside this page.`;
    });
    film.addEventListener("loadeddata", () => { if (films.every((f) => f.readyState > 1)) { show.drawn = false; show(index); } });
    film.load();
  });

  // The mouse or one finger moves the divider, with Shift the picture; two fingers enlarge the picture and move it.
  const pointers = new Map(); // those that are down, in pixels of the stage
  let splitBefore = split;
  const placeOf = ({ clientX, clientY }) => {
    const box = stage.getBoundingClientRect();
    return [clientX - box.left, clientY - box.top];
  };
  const shareOf = ([x, y]) => [x / stage.clientWidth, y / stage.clientHeight];
  const moveBy = ([x, y]) => moveTo(left + x, top + y);

  function press(event) {
    stage.setPointerCapture(event.pointerId);
    if (!pointers.size) splitBefore = split;
    pointers.set(event.pointerId, placeOf(event));
    if (pointers.size > 1) divide(splitBefore);
    else drag(event);
  }

  function drag(event) {
    const old = pointers.get(event.pointerId), place = placeOf(event);
    if (!old) return;
    const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    pointers.set(event.pointerId, place);
    if (other) pinch(old, place, other);
    else if (event.shiftKey) moveBy(shareOf([place[0] - old[0], place[1] - old[1]]));
    else divide(shareOf(place)[0]);
  }

  function pinch(old, place, other) {
    const [before, after] = [old, place].map((point) => Math.hypot(point[0] - other[0], point[1] - other[1]));
    moveBy(shareOf([(place[0] - old[0]) / 2, (place[1] - old[1]) / 2]));
    if (before > 0) enlarge(after / before, ...shareOf([(place[0] + other[0]) / 2, (place[1] + other[1]) / 2]));
  }

  /** The page is scrolled instead: the divider has not been meant. */
  function dismiss(event) {
    pointers.delete(event.pointerId);
    divide(splitBefore);
  }

  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // without it the page scrolls
    event.preventDefault();
    enlarge(2 ** (-event.deltaY / 200), ...shareOf(placeOf(event)));
  }, { passive: false });
  $("zoom-in").addEventListener("click", () => enlarge(1.5));
  $("zoom-out").addEventListener("click", () => enlarge(1 / 1.5));
  stage.addEventListener("pointerdown", press);
  stage.addEventListener("pointermove", drag);
  stage.addEventListener("pointerup", (event) => pointers.delete(event.pointerId));
  stage.addEventListener("pointercancel", dismiss);
  stage.addEventListener("touchmove", (event) => { // two fingers do not scroll the page
    if (event.touches.length > 1) event.preventDefault();
  }, { passive: false });
  $("split").addEventListener("input", (event) => divide(event.target.value / 100));
  $("alpha").addEventListener("input", (event) => alpha(event.target.value / 100));
  seek.addEventListener("input", () => { play(false); show(Number(seek.value)); });
  $("play").addEventListener("click", () => play(playing === null));
  $("back").addEventListener("click", () => step(-1));
  $("forward").addEventListener("click", () => step(1));
  $("key-back").addEventListener("click", () => stepKey(-1));
  $("key-forward").addEventListener("click", () => stepKey(1));
  const timeline = $("timeline");
  const jump = (event) => {
    if (event.buttons) { play(false); show(Math.floor(shareAt(event, timeline.getBoundingClientRect()) * data.frames)); }
  };
  timeline.addEventListener("pointerdown", jump);
  timeline.addEventListener("pointermove", jump);
  document.querySelectorAll("[data-frame]").forEach((button) => button.addEventListener("click", () => {
    play(false); show(Number(button.dataset.frame)); stage.scrollIntoView({ block: "center" });
  }));
  document.querySelectorAll("#legend button").forEach((button) => {
    const id = Number(button.dataset.id);
    if (button.getAttribute("aria-pressed") === "false") off.add(id);
    button.addEventListener("click", () => {
      const on = off.has(id);
      if (on) off.delete(id); else off.add(id);
      button.setAttribute("aria-pressed", on);
      paint();
    });
  });
  const pressed = (event) => {
    if (!stage.offsetParent || event.defaultPrevented || event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const does = {
      ArrowLeft: () => step(event.shiftKey ? -10 : -1), ArrowRight: () => step(event.shiftKey ? 10 : 1),
      ",": () => step(-1), ".": () => step(1), Home: () => step(-data.frames), End: () => step(data.frames),
      k: () => stepKey(1), j: () => stepKey(-1),
      "+": () => enlarge(1.5), "=": () => enlarge(1.5), "-": () => enlarge(1 / 1.5), 0: () => enlarge(1 / MOST_ZOOM),
      a: () => pan(-1, 0), d: () => pan(1, 0), w: () => pan(0, -1), s: () => pan(0, 1),
      " ": () => { if (!event.target.matches("button, summary")) play(playing === null); else return false; },
    }[event.key];
    if (does && does() !== false) event.preventDefault();
  };
  document.addEventListener("keydown", pressed);
  divide(0.5); alpha($("alpha").value / 100); paint(); tell();
  return () => { play(false); document.removeEventListener("keydown", pressed); };
}

// In a report the data stands in the page itself.
const given = document.getElementById("data");
if (given) startPlayer(JSON.parse(given.textContent));
