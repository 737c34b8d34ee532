// The timeline: a row with a curve for every track, keyframes as handles, a ruler, the sound, and a playhead.
// Rows, keys and playhead are elements, which the keyboard reaches; curves are drawn on a canvas in each row.

const PAD = 14; // pixels on both sides of the film
const LANE_PAD = 9; // pixels above and below a curve
const MIN_SPAN = 8; // frames that fill the width at most zoom
const SNAP = 7; // pixels
const KEY_GAP = 6; // pixels between keys that have handles
const THROTTLE_MS = 60;
const SETTLE_MS = 250; // after the last arrow key, before a move is final
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600]; // seconds between labels
const MARKS = 0.02; // of the width: how far from an edge the playhead is kept in view

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function element(tag, name, parent, properties = {}) {
  const made = document.createElement(tag);
  made.className = name;
  for (const [key, value] of Object.entries(properties)) {
    if (key in made && !key.includes("-")) made[key] = value;
    else made.setAttribute(key, value);
  }
  parent?.append(made);
  return made;
}

/** The number of decimals that a step has: 3 for 0.001. */
const decimals = (step) => Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
const rounded = (value, step) => Number((Math.round(value / step) * step).toFixed(decimals(step)));
const isInBeats = (key) => /^bar|b$/.test(key.time);

/** The value of a track at a frame, as render.scene.tracks computes it. */
function valueAt(track, frame, easings, frames) {
  const keys = track.sorted;
  if (!keys.length) {
    const points = track.detail && frame >= track.detail.first && frame <= track.detail.last ? track.detail : null;
    const values = points ? points.values : track.values;
    const [first, last] = points ? [points.first, points.last] : [0, Math.max(frames - 1, 1)];
    const at = clamp(((frame - first) / (last - first)) * (values.length - 1), 0, values.length - 1);
    const i = Math.min(Math.floor(at), Math.max(values.length - 2, 0));
    const next = values[Math.min(i + 1, values.length - 1)];
    return values[i] + (next - values[i]) * (at - i);
  }
  let elapsed = 0;
  for (let high = keys.length; elapsed < high; ) {
    const middle = (elapsed + high) >> 1;
    if (keys[middle].frame <= frame) elapsed = middle + 1;
    else high = middle;
  }
  const a = keys[Math.max(elapsed - 1, 0)];
  const b = keys[Math.min(elapsed, keys.length - 1)];
  if (a === b || elapsed === 0 || a.frame === b.frame) return elapsed === 0 ? keys[0].value : a.value;
  const table = easings[b.easing] ?? easings.linear;
  const at = clamp((frame - a.frame) / (b.frame - a.frame), 0, 1) * (table.length - 1);
  const i = Math.min(Math.floor(at), table.length - 2);
  const share = table[i] + (table[i + 1] - table[i]) * (at - i);
  if (!track.is_geometric) return a.value + (b.value - a.value) * share;
  return Math.exp(Math.log(a.value) + (Math.log(b.value) - Math.log(a.value)) * share);
}

class Timeline {
  constructor(root, emit, easings) {
    this.emit = emit;
    this.easings = easings;
    this.data = { frames: 1, fps: 24, tracks: [], cuts: [], beats: [], bars: [] };
    this.sound = [];
    this.frame = 0;
    this.start = 0;
    this.end = 1;
    this.all = false;
    this.snaps = true;
    this.rows = [];
    this.selected = null; // {track: name, key: index or null}
    this.current = null; // name of the row that Tab reaches
    this.wanted = null; // a key that will be there, or gone
    this.pointers = new Map();
    this.build(root);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.onScheme = () => this.redraw();
    this.scheme.addEventListener("change", this.onScheme);
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.root);
  }

  destroy() {
    this.observer.disconnect();
    this.scheme.removeEventListener("change", this.onScheme);
    clearTimeout(this.settling);
    clearTimeout(this.ranging);
    cancelAnimationFrame(this.pending);
  }

  // Structure

  build(parent) {
    this.root = element("div", "tl", parent);
    const tools = element("div", "tl-tools", this.root, { role: "toolbar", "aria-label": "Timeline" });
    this.readout = element("output", "tl-readout", tools, { "aria-live": "off" });
    this.inspector = element("div", "tl-inspector", tools);
    element("span", "tl-space", tools);
    const button = (text, label, action) => {
      const made = element("button", "tl-button", tools, { type: "button", textContent: text, title: label, "aria-label": label });
      made.addEventListener("click", action);
      return made;
    };
    this.allButton = button("All tracks", "Also list the tracks that do not change", () => this.toggleAll());
    this.snapButton = button("Snap", "Snap to beats, cuts and the playhead; not while Alt is held", () => this.toggleSnap());
    button("−", "Zoom out", () => this.zoom(1.6));
    button("+", "Zoom in", () => this.zoom(1 / 1.6));
    button("Fit", "The whole film", () => this.fit());
    this.body = element("div", "tl-body", this.root);
    this.top = element("div", "tl-top", this.body);
    element("div", "tl-corner", this.top);
    this.time = element("div", "tl-time", this.top);
    this.ruler = element("canvas", "tl-ruler", this.time);
    this.playhead = element("div", "tl-playhead", this.body);
    this.handle = element("button", "tl-handle", this.time, { type: "button", role: "slider", "aria-label": "Playhead", "aria-valuemin": 0 });
    this.scroll = element("div", "tl-rows", this.body, { role: "list", "aria-label": "Tracks" });
    this.empty = element("div", "tl-empty", this.scroll, { textContent: "No track changes yet. All tracks lists those that can." });
    this.tip = element("div", "tl-tip", this.body, { hidden: true });
    this.snapLine = element("div", "tl-snap", this.body, { hidden: true });
    this.time.addEventListener("pointerdown", (event) => this.scrub(event));
    this.handle.addEventListener("keydown", (event) => this.playheadKey(event));
    this.body.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.scroll.addEventListener("scroll", () => this.redraw(), { passive: true });
    this.scroll.addEventListener("keydown", (event) => this.key(event));
    this.scroll.addEventListener("focusin", (event) => this.focused(event));
    this.scroll.addEventListener("pointerdown", (event) => this.pressed(event));
    this.scroll.addEventListener("dblclick", (event) => this.doubleClicked(event));
    this.showToggles();
  }

  showToggles() {
    this.allButton.setAttribute("aria-pressed", this.all);
    this.snapButton.setAttribute("aria-pressed", this.snaps);
  }

  toggleAll() {
    this.all = !this.all;
    this.showToggles();
    this.list();
  }

  toggleSnap() {
    this.snaps = !this.snaps;
    this.showToggles();
  }

  // Data

  show(data) {
    const isNew = !this.data.tracks.length || this.data.frames !== data.frames;
    this.data = data;
    for (const track of data.tracks) this.sort(track);
    if (this.drag?.key !== undefined) this.reapply();
    this.frame = clamp(this.frame, 0, data.frames - 1);
    this.beats = data.beats.map((time) => time * data.fps);
    this.bars = new Set(data.bars.map((time) => (time * data.fps).toFixed(3)));
    this.handle.setAttribute("aria-valuemax", data.frames - 1);
    this.list();
    if (isNew) this.fit();
    if (this.wanted) this.focusWanted();
    this.requestDetail();
  }

  /** Selects a key that was added, once it is there, or the row of one that was removed, once it is gone. */
  focusWanted() {
    const { track: name, frame, isRemoved } = this.wanted;
    const found = this.track(name)?.keys.find((key) => Math.abs(key.frame - frame) < 0.5);
    if (Boolean(found) === isRemoved) return;
    this.wanted = null;
    this.select(name, found?.index ?? null);
    this.draw();
    const row = this.rows.find((each) => each.track.name === name);
    (row?.keys.get(found?.index) ?? row?.head)?.focus({ preventScroll: true });
  }

  /** What was moved here and is not yet in the text stays as it is here. */
  reapply() {
    const track = this.track(this.drag.track);
    const key = track?.keys[this.drag.key];
    if (!key) return;
    key.frame = this.drag.frame;
    key.value = this.drag.value;
    this.sort(track);
  }

  sort(track) {
    track.sorted = track.keys.map((key, index) => Object.assign(key, { index })).sort((a, b) => a.frame - b.frame || a.index - b.index);
  }

  track(name) {
    return this.data.tracks.find((each) => each.name === name);
  }

  get hasSound() {
    return this.sound.length > 0 || this.data.beats.length > 0;
  }

  /** Rebuilds the rows; those that remain keep their elements, and so the focus. */
  list() {
    const old = new Map(this.rows.map((row) => [row.track.name, row]));
    const changes = (track) => track.keys.length || track.note || track.name === this.selected?.track;
    const tracks = this.data.tracks.filter((track) => this.all || changes(track));
    let group = null;
    const children = [];
    this.rows = tracks.map((track) => {
      const row = old.get(track.name) ?? this.makeRow();
      old.delete(track.name);
      this.fill(row, track);
      if (track.group !== group) {
        group = track.group;
        children.push(element("div", "tl-group", null, { textContent: group, role: "presentation" }));
      }
      children.push(row.element);
      return row;
    });
    const focused = document.activeElement;
    const place = this.scroll.scrollTop;
    const kept = [...this.scroll.querySelectorAll(".tl-row")].filter((each) => children.includes(each));
    const isSame = kept.length === old.size + kept.length && kept.length === this.rows.length;
    if (!isSame || this.scroll.querySelectorAll(".tl-group").length !== children.length - this.rows.length) {
      this.scroll.replaceChildren(this.empty, ...children);
      this.scroll.scrollTop = place;
      if (focused?.isConnected && this.scroll.contains(focused)) focused.focus({ preventScroll: true });
    }
    this.empty.hidden = this.rows.length > 0;
    if (!this.rows.some((row) => row.track.name === this.current)) this.current = this.rows[0]?.track.name ?? null;
    this.tab();
    this.inspect();
    this.redraw();
  }

  makeRow() {
    const row = { keys: new Map() };
    row.element = element("div", "tl-row", null, { role: "listitem" });
    row.head = element("button", "tl-head", row.element, { type: "button", tabIndex: -1 });
    row.label = element("span", "tl-label", row.head);
    row.badge = element("span", "tl-badge", row.head);
    row.value = element("span", "tl-value", row.head);
    row.lane = element("div", "tl-lane", row.element);
    row.canvas = element("canvas", "tl-curve", row.lane);
    row.canvas.setAttribute("aria-hidden", "true");
    row.element.row = row;
    return row;
  }

  fill(row, track) {
    row.track = track;
    const isFlat = !track.keys.length && !track.note;
    row.element.classList.toggle("tl-flat", isFlat);
    row.element.classList.toggle("tl-fixed", Boolean(track.note));
    row.label.textContent = track.label;
    row.head.title = track.note ? `${track.name} ${track.note}` : track.name;
    row.badge.textContent = track.note?.includes("expression") ? "ƒ" : track.note ? "•" : "";
    row.height = isFlat ? 30 : 58;
    row.element.style.height = `${row.height}px`;
    this.describe(row);
  }

  describe(row) {
    const { track } = row;
    const value = this.format(track, valueAt(track, this.frame, this.easings, this.data.frames));
    row.value.textContent = value;
    const count = track.keys.length ? `${track.keys.length} keyframes` : (track.note ?? "constant");
    row.head.setAttribute("aria-label", `${track.group} ${track.label}: ${value}, ${count}`);
  }

  format(track, value) {
    return `${Number(value.toFixed(Math.min(decimals(track.step), 6)))}${track.unit}`;
  }

  // Geometry

  get width() {
    return this.time.clientWidth;
  }

  x(frame) {
    return PAD + ((frame - this.start) / (this.end - this.start)) * (this.width - 2 * PAD);
  }

  frameAt(x) {
    return this.start + ((x - PAD) / Math.max(this.width - 2 * PAD, 1)) * (this.end - this.start);
  }

  y(row, value) {
    const [low, high] = this.range(row.track);
    return row.height - LANE_PAD - ((value - low) / (high - low)) * (row.height - 2 * LANE_PAD);
  }

  valueOf(row, y) {
    const [low, high] = this.range(row.track);
    return low + ((row.height - LANE_PAD - y) / (row.height - 2 * LANE_PAD)) * (high - low);
  }

  /** The displayed range of a track; what is dragged beyond it extends it. */
  range(track) {
    let { low, high } = track;
    for (const key of track.keys) {
      low = Math.min(low, key.value);
      high = Math.max(high, key.value);
    }
    return [low, high];
  }

  fit() {
    this.view(0, Math.max(this.data.frames - 1, 1));
  }

  zoom(factor, x = this.x(clamp(this.frame, this.start, this.end))) {
    const middle = this.frameAt(x);
    this.view(middle - (middle - this.start) * factor, middle + (this.end - middle) * factor);
  }

  view(start, end) {
    const last = Math.max(this.data.frames - 1, 1);
    const span = clamp(end - start, Math.min(MIN_SPAN, last), last);
    const middle = (start + end) / 2;
    this.start = clamp(middle - span / 2, 0, last - span);
    this.end = this.start + span;
    this.redraw();
    this.requestDetail();
  }

  /** Requests the values of expressions in the visible part, where those of the whole film are too coarse. */
  requestDetail() {
    clearTimeout(this.ranging);
    this.ranging = setTimeout(() => {
      const names = this.rows.filter((row) => row.track.note && row.track.values.length < this.data.frames).map((row) => row.track.name);
      if (names.length && this.end - this.start < this.data.frames / 2) {
        this.emit("range", { first: Math.floor(this.start), last: Math.ceil(this.end), tracks: names });
      }
    }, 150);
  }

  showDetail(first, last, values) {
    for (const [name, points] of Object.entries(values)) {
      const track = this.track(name);
      if (track && points.length > 1) track.detail = { first, last: Math.min(last, this.data.frames - 1), values: points };
    }
    this.redraw();
  }

  resized() {
    this.root.classList.toggle("tl-narrow", this.root.clientWidth < 560);
    this.redraw();
  }

  // Drawing

  redraw() {
    cancelAnimationFrame(this.pending);
    this.pending = requestAnimationFrame(() => this.draw());
  }

  draw() {
    const started = performance.now();
    const style = getComputedStyle(this.root);
    const names = ["accent", "text", "quiet", "line", "panel", "warning"];
    this.colors = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--tl-${name}`).trim()]));
    this.time.classList.toggle("tl-sound", this.hasSound);
    this.drawRuler();
    const top = this.scroll.scrollTop - 80;
    const bottom = top + this.scroll.clientHeight + 160;
    for (const row of this.rows) {
      const place = row.element.offsetTop;
      if (place + row.height >= top && place <= bottom) this.drawRow(row);
    }
    this.placePlayhead();
    this.drawMilliseconds = performance.now() - started;
  }

  context(canvas, width, height) {
    const scale = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  }

  drawRuler() {
    const { fps, frames } = this.data;
    const [width, height] = [this.width, this.hasSound ? 66 : 28];
    const context = this.context(this.ruler, width, height);
    const pixels = (width - 2 * PAD) / (this.end - this.start); // per frame
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    if (this.hasSound) this.drawSound(context, width);
    if (pixels * fps >= 64 * 4) this.ticks(context, Math.max(1, Math.ceil(44 / pixels)), (frame) => `${frame}`, pixels);
    else {
      const seconds = STEPS.find((step) => step * fps * pixels >= 64) ?? Math.ceil(64 / pixels / fps / 3600) * 3600;
      this.ticks(context, seconds * fps, (frame) => clock(frame / fps), pixels, Math.max(1, Math.round(fps)));
    }
    context.fillStyle = this.colors.line;
    context.fillRect(0, 27.5, width, 0.75);
    context.fillStyle = this.colors.warning;
    for (const cut of this.data.cuts) {
      const x = this.x(cut);
      context.beginPath();
      context.moveTo(x - 4, 20);
      context.lineTo(x + 4, 20);
      context.lineTo(x, 27);
      context.fill();
    }
    this.ruler.setAttribute("aria-hidden", "true");
    this.readout.textContent = `${Math.round(this.frame)} · ${(this.frame / fps).toFixed(2)} s`;
    this.handle.setAttribute("aria-valuenow", Math.round(this.frame));
    this.handle.setAttribute("aria-valuetext", `frame ${Math.round(this.frame)} of ${frames}, ${(this.frame / fps).toFixed(2)} seconds`);
  }

  ticks(context, step, label, pixels, minor = 1) {
    const first = Math.max(0, Math.floor(this.start / step) * step);
    context.fillStyle = this.colors.line;
    if (minor * pixels >= 5) {
      for (let frame = Math.max(0, Math.floor(this.start / minor) * minor); frame <= this.end; frame += minor) {
        context.fillRect(Math.round(this.x(frame)), 22, 1, 5);
      }
    }
    for (let frame = first; frame <= this.end + step; frame += step) {
      const x = Math.round(this.x(frame));
      context.fillStyle = this.colors.quiet;
      context.fillRect(x, 17, 1, 10);
      const text = label(Math.round(frame));
      if (x + 4 + context.measureText(text).width < this.width) context.fillText(text, x + 4, 11);
    }
  }

  drawSound(context, width) {
    const [top, bottom] = [30, 64];
    const middle = (top + bottom) / 2;
    const count = this.sound.length;
    if (count) {
      context.fillStyle = this.colors.quiet;
      context.globalAlpha = 0.55;
      for (let x = 0; x < width; x++) {
        const first = (this.frameAt(x) / this.data.frames) * count;
        const last = (this.frameAt(x + 1) / this.data.frames) * count;
        let [low, high] = [0, 0];
        for (let i = Math.max(0, Math.floor(first)); i < Math.min(count, Math.max(last, first + 1)); i++) {
          low = Math.min(low, this.sound[i][0]);
          high = Math.max(high, this.sound[i][1]);
        }
        if (high > low) context.fillRect(x, middle - high * 16, 1, Math.max(1, (high - low) * 16));
      }
      context.globalAlpha = 1;
    }
    for (const [frame, isBar] of this.visibleBeats(5)) {
      context.fillStyle = isBar ? this.colors.accent : this.colors.quiet;
      context.globalAlpha = isBar ? 0.9 : 0.6;
      context.fillRect(this.x(frame) - 0.5, isBar ? top : bottom - 10, 1, isBar ? bottom - top : 10);
    }
    context.globalAlpha = 1;
  }

  /** The visible beats that are at least some pixels apart, or else the bars. */
  visibleBeats(gap) {
    if (!this.beats?.length) return [];
    const pixels = (this.width - 2 * PAD) / (this.end - this.start);
    const apart = this.beats.length > 1 ? ((this.beats.at(-1) - this.beats[0]) / (this.beats.length - 1)) * pixels : gap;
    const visible = this.beats.filter((frame) => frame >= this.start - 1 && frame <= this.end + 1);
    const marked = visible.map((frame) => [frame, this.bars.has(frame.toFixed(3))]);
    if (apart >= gap) return marked;
    return apart * 4 >= gap ? marked.filter(([, isBar]) => isBar) : [];
  }

  drawRow(row) {
    const { track, height } = row;
    const { colors, width } = this;
    const context = this.context(row.canvas, width, height);
    context.fillStyle = colors.line;
    for (const [frame, isBar] of this.visibleBeats(9)) {
      context.globalAlpha = isBar ? 0.9 : 0.4;
      context.fillRect(this.x(frame) - 0.5, 0, 1, height);
    }
    context.globalAlpha = 0.8;
    context.fillStyle = colors.warning;
    for (const cut of this.data.cuts) {
      for (let y = 0; y < height; y += 6) context.fillRect(this.x(cut) - 0.5, y, 1, 3);
    }
    const beyond = this.x(this.data.frames - 1);
    context.globalAlpha = 0.35;
    context.fillStyle = colors.line;
    context.fillRect(beyond + 0.5, 0, Math.max(0, width - beyond), height);
    context.fillRect(0, 0, Math.max(0, this.x(0) - 0.5), height);
    context.globalAlpha = 1;
    this.drawCurve(context, row);
    this.placeKeys(row);
    this.describe(row);
  }

  drawCurve(context, row) {
    const { track, height } = row;
    const isFixed = Boolean(track.note);
    const isFlat = !track.keys.length && !isFixed;
    const points = isFlat ? this.flatPoints(row) : track.keys.length ? this.keyedPoints(row) : this.valuePoints(row);
    context.beginPath();
    points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.lineJoin = "round";
    context.lineWidth = isFlat ? 1 : 1.75;
    context.strokeStyle = isFlat || isFixed ? this.colors.quiet : this.colors.accent;
    context.stroke();
    if (isFlat || !points.length) return;
    context.lineTo(points.at(-1)[0], height);
    context.lineTo(points[0][0], height);
    context.globalAlpha = 0.09;
    context.fillStyle = context.strokeStyle;
    context.fill();
    context.globalAlpha = 1;
  }

  flatPoints(row) {
    const y = this.y(row, row.track.values[0]);
    return [[this.x(0), y], [this.x(this.data.frames - 1), y]];
  }

  keyedPoints(row) {
    const { track } = row;
    const points = [];
    const add = (frame, value) => points.push([this.x(frame), this.y(row, value)]);
    const keys = track.sorted;
    add(Math.min(0, keys[0].frame), keys[0].value);
    for (let i = 0; i < keys.length; i++) {
      const [a, b] = [keys[i], keys[i + 1]];
      add(a.frame, a.value);
      if (!b || b.frame < this.start || a.frame > this.end) continue;
      const pixels = this.x(b.frame) - this.x(a.frame);
      if (b.easing === "linear" && !track.is_geometric) continue;
      const first = Math.max(0, Math.floor((this.start - a.frame) / (b.frame - a.frame) * (pixels / 2)));
      const last = Math.min(pixels / 2, first + this.width);
      for (let j = first + 1; j < last; j++) {
        const frame = a.frame + (b.frame - a.frame) * ((2 * j) / pixels);
        if (frame < b.frame) add(frame, valueAt(track, frame, this.easings, this.data.frames));
      }
      const before = b.frame - 1e-6 * (b.frame - a.frame);
      if (before > a.frame) add(before, valueAt(track, before, this.easings, this.data.frames));
    }
    add(Math.max(this.data.frames - 1, keys.at(-1).frame), keys.at(-1).value);
    return points;
  }

  valuePoints(row) {
    const { track } = row;
    const { first, last, values } = track.detail ?? { first: 0, last: this.data.frames - 1, values: track.values };
    const isInside = track.detail && first <= this.start && last >= this.end - 1;
    const [from, to, shown] = isInside ? [first, last, values] : [0, this.data.frames - 1, track.values];
    const step = (to - from) / Math.max(shown.length - 1, 1);
    const points = [];
    for (let i = 0; i < shown.length; i++) {
      const frame = from + i * step;
      if (frame >= this.start - step && frame <= this.end + step) points.push([this.x(frame), this.y(row, shown[i])]);
    }
    return points;
  }

  /** Places a handle at each visible key that has room for one. */
  placeKeys(row) {
    const { track } = row;
    const placed = new Set();
    let last = -Infinity;
    for (const key of track.sorted) {
      const x = this.x(key.frame);
      const isSelected = this.selected?.track === track.name && this.selected.key === key.index;
      if (x < -20 || x > this.width + 20 || (x - last < KEY_GAP && !isSelected)) continue;
      last = x;
      placed.add(key.index);
      let handle = row.keys.get(key.index);
      if (!handle) {
        handle = element("button", "tl-key", row.lane, { type: "button" });
        handle.index = key.index;
        row.keys.set(key.index, handle);
      }
      handle.style.transform = `translate(${x}px, ${this.y(row, key.value)}px)`;
      handle.dataset.easing = key.easing === "linear" ? "linear" : key.easing === "hold" ? "hold" : "curve";
      handle.classList.toggle("tl-selected", isSelected);
      handle.tabIndex = this.isTabStop(track, key, isSelected) ? 0 : -1;
      const at = `frame ${Number(key.frame.toFixed(2))}, ${(key.frame / this.data.fps).toFixed(2)} seconds`;
      handle.setAttribute("aria-label", `${track.group} ${track.label}, keyframe at ${at}, value ${this.format(track, key.value)}, ${key.easing}`);
    }
    for (const [index, handle] of row.keys) {
      if (!placed.has(index)) {
        if (handle === document.activeElement) row.head.focus({ preventScroll: true });
        handle.remove();
        row.keys.delete(index);
      }
    }
  }

  isTabStop(track, key, isSelected) {
    if (track.name !== this.current) return false;
    return this.selected?.track === track.name && this.selected.key !== null ? isSelected : key === track.sorted[0];
  }

  placePlayhead() {
    const x = this.x(this.frame);
    const isVisible = x >= 0 && x <= this.width;
    this.handle.hidden = this.playhead.hidden = !isVisible;
    this.handle.style.transform = `translateX(${x}px)`;
    this.playhead.style.transform = `translateX(${this.time.offsetLeft + x}px)`;
  }

  // Playhead

  seek(frame, { isSilent = false } = {}) {
    const next = clamp(Math.round(frame), 0, this.data.frames - 1);
    if (next === this.frame && isSilent) return;
    this.frame = next;
    const margin = (this.end - this.start) * MARKS;
    if (next < this.start) this.view(next - margin, next - margin + this.end - this.start);
    else if (next > this.end) this.view(next + margin - this.end + this.start, next + margin);
    this.redraw();
    if (!isSilent) this.throttled("seek", { frame: next });
  }

  scrub(event) {
    if (event.button > 0) return;
    event.preventDefault();
    this.handle.focus({ preventScroll: true });
    const left = this.time.getBoundingClientRect().left;
    const move = (each) => this.seek(this.snapped(this.frameAt(each.clientX - left), each, { toPlayhead: false }));
    move(event);
    this.follow(event, move, () => this.flush());
  }

  playheadKey(event) {
    const second = Math.round(this.data.fps);
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -second, PageUp: second };
    if (event.key in moves) this.seek(this.frame + moves[event.key] * (event.shiftKey ? 10 : 1));
    else if (event.key === "Home") this.seek(0);
    else if (event.key === "End") this.seek(this.data.frames - 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Emits an event at most every THROTTLE_MS; the last one always arrives. */
  throttled(name, args) {
    this.waiting = { name, args };
    if (this.throttle) return;
    this.flush();
    this.throttle = setTimeout(() => {
      this.throttle = null;
      if (this.waiting) this.throttled(this.waiting.name, this.waiting.args);
    }, THROTTLE_MS);
  }

  flush() {
    if (this.waiting) this.emit(this.waiting.name, this.waiting.args);
    this.waiting = null;
  }

  snapped(frame, event, { toPlayhead = true, track = null, key = null } = {}) {
    const whole = Math.round(frame);
    this.snapLine.hidden = true;
    if (!this.snaps || event.altKey) return whole;
    const candidates = [...this.data.cuts, 0, this.data.frames - 1, ...(toPlayhead ? [this.frame] : [])];
    candidates.push(...this.visibleBeats(9).map(([at]) => at));
    const near = candidates.reduce((best, at) => (Math.abs(at - frame) < Math.abs(best - frame) ? at : best), Infinity);
    if (Math.abs(this.x(near) - this.x(frame)) > SNAP) return whole;
    const at = key && isInBeats(key) ? near : Math.round(near);
    if (track?.keys.some((other) => other !== key && Math.abs(other.frame - at) < 0.5)) return whole;
    this.snapLine.hidden = false;
    this.snapLine.style.transform = `translateX(${this.time.offsetLeft + this.x(at)}px)`;
    return at;
  }

  // Pointer

  follow(event, move, end) {
    const { pointerId } = event;
    const moved = (each) => each.pointerId === pointerId && move(each);
    const ended = (each) => {
      if (each.pointerId !== pointerId) return;
      window.removeEventListener("pointermove", moved);
      window.removeEventListener("pointerup", ended);
      window.removeEventListener("pointercancel", ended);
      this.snapLine.hidden = true;
      end(each);
    };
    window.addEventListener("pointermove", moved);
    window.addEventListener("pointerup", ended);
    window.addEventListener("pointercancel", ended);
  }

  pressed(event) {
    const row = event.target.closest(".tl-row")?.row;
    if (!row || event.button > 0) return;
    if (event.target.classList.contains("tl-key")) this.dragKey(event, row, event.target.index);
    else if (row.lane.contains(event.target)) this.pan(event, row);
  }

  dragKey(event, row, index) {
    event.preventDefault();
    const { track } = row;
    this.select(track.name, index);
    row.keys.get(index)?.focus({ preventScroll: true });
    if (!track.is_editable) return;
    const key = track.keys[index];
    const from = { x: event.clientX, y: event.clientY, frame: key.frame, value: key.value, range: this.range(track) };
    let isMoved = false;
    const move = (each) => {
      const [dx, dy] = [each.clientX - from.x, each.clientY - from.y];
      isMoved ||= Math.hypot(dx, dy) > 3;
      if (isMoved) this.moveTo(row, index, from, each, dx, dy);
    };
    this.follow(event, move, (each) => {
      this.tip.hidden = true;
      if (!isMoved) return;
      const { frame, value } = this.drag;
      if (each.type === "pointercancel") [this.drag.frame, this.drag.value] = [from.frame, from.value];
      this.waiting = null;
      this.emit("move-key", { track: track.name, key: index, frame, value, done: true });
      this.drag = null;
      this.redraw();
    });
  }

  moveTo(row, index, from, event, dx, dy) {
    const track = this.track(row.track.name) ?? row.track;
    const key = track.keys[index];
    if (!key) return;
    if (event.shiftKey) [dx, dy] = Math.abs(dx) > Math.abs(dy) ? [dx, 0] : [0, dy];
    const perFrame = (this.width - 2 * PAD) / (this.end - this.start);
    let frame = from.frame;
    if (Math.abs(dx) > 2) frame = clamp(this.snapped(from.frame + dx / perFrame, event, { track, key }), 0, this.data.frames - 1);
    if (track.keys.some((other) => other !== key && Math.abs(other.frame - frame) < 0.5)) frame = key.frame;
    let value = from.value;
    if (Math.abs(dy) > 2) value = from.value - (dy / (row.height - 2 * LANE_PAD)) * (from.range[1] - from.range[0]);
    this.change(track, index, frame, value);
    const box = this.body.getBoundingClientRect();
    const lane = row.lane.getBoundingClientRect();
    this.tip.hidden = false;
    this.tip.textContent = `${(key.frame / this.data.fps).toFixed(2)} s · ${this.format(track, key.value)}`;
    const x = clamp(lane.left - box.left + this.x(key.frame), 60, box.width - 60);
    this.tip.style.transform = `translate(${x}px, ${Math.max(4, lane.top - box.top + this.y(row, key.value) - 34)}px) translateX(-50%)`;
    this.throttled("move-key", { track: track.name, key: index, frame: key.frame, value: key.value, done: false });
  }

  /** Moves a key on the page. */
  change(track, index, frame, value) {
    const key = track.keys[index];
    key.frame = frame;
    key.value = value === key.value ? value : clamp(rounded(value, track.step), track.minimum, track.maximum);
    this.drag = { track: track.name, key: index, frame: key.frame, value: key.value };
    this.sort(track);
    this.inspect();
    this.redraw();
  }

  /** Drags the view; two fingers zoom. */
  pan(event, row) {
    this.pointers.set(event.pointerId, event.clientX);
    const left = this.time.getBoundingClientRect().left;
    let isMoved = false;
    let last = event.clientX;
    const move = (each) => {
      const others = [...this.pointers].filter(([id]) => id !== each.pointerId);
      if (others.length) {
        const other = others[0][1];
        const [before, after] = [Math.abs(last - other), Math.abs(each.clientX - other)];
        if (before > 8 && after > 8) this.zoom(before / after, (each.clientX + other) / 2 - left);
      } else if (isMoved || Math.abs(each.clientX - last) > 4) {
        isMoved = true;
        const frames = this.frameAt(last) - this.frameAt(each.clientX);
        this.view(this.start + frames, this.end + frames);
      } else return;
      last = each.clientX;
      this.pointers.set(each.pointerId, last);
    };
    this.follow(event, move, (each) => {
      this.pointers.delete(event.pointerId);
      if (!isMoved && each.type === "pointerup") {
        row.head.focus({ preventScroll: true });
        this.select(row.track.name, null);
      }
    });
  }

  wheel(event) {
    const isTime = this.time.contains(event.target);
    const overflows = this.scroll.scrollHeight > this.scroll.clientHeight + 1;
    const amount = event.deltaY || event.deltaX;
    const pixels = event.deltaMode ? amount * 16 : amount;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const frames = (pixels / this.width) * (this.end - this.start);
      this.view(this.start + frames, this.end + frames);
    } else if (event.ctrlKey || event.metaKey || isTime || !overflows) {
      const x = event.clientX - this.time.getBoundingClientRect().left;
      this.zoom(Math.exp(clamp(pixels, -60, 60) * (event.ctrlKey ? 0.01 : 0.004)), clamp(x, PAD, this.width - PAD));
    } else return;
    event.preventDefault();
  }

  doubleClicked(event) {
    const row = event.target.closest(".tl-row")?.row;
    if (!row || event.target.classList.contains("tl-key")) return;
    const isLane = row.lane.contains(event.target);
    const frame = this.frameAt(event.clientX - row.lane.getBoundingClientRect().left);
    this.addKey(row.track, isLane ? this.snapped(frame, event, { track: row.track }) : this.frame);
    this.snapLine.hidden = true;
  }

  // Keys of tracks

  addKey(track, frame) {
    const at = clamp(frame, 0, this.data.frames - 1);
    if (!track.is_editable) this.say(`${track.label} ${track.note}`);
    else if (track.keys.some((key) => Math.abs(key.frame - at) < 0.5)) this.select(track.name, this.nearest(track, at).index);
    else {
      const value = rounded(valueAt(track, at, this.easings, this.data.frames), track.step / 10);
      this.wanted = { track: track.name, frame: at, isRemoved: false };
      this.emit("add-key", { track: track.name, frame: at, value });
    }
  }

  removeKey(track, index) {
    if (!track.is_editable) return;
    this.wanted = { track: track.name, frame: track.keys[index].frame, isRemoved: true };
    this.emit("remove-key", { track: track.name, key: index });
  }

  nearest(track, frame) {
    return track.sorted.reduce((best, key) => (Math.abs(key.frame - frame) < Math.abs(best.frame - frame) ? key : best));
  }

  say(sentence) {
    this.tip.hidden = false;
    this.tip.textContent = sentence;
    this.tip.setAttribute("role", "status");
    this.tip.style.transform = `translate(${this.body.clientWidth / 2}px, 8px) translateX(-50%)`;
    clearTimeout(this.saying);
    this.saying = setTimeout(() => (this.tip.hidden = true), 2500);
  }

  select(name, key) {
    const isListed = this.rows.some((row) => row.track.name === name);
    this.selected = name === null ? null : { track: name, key };
    if (name !== null) this.current = name;
    if (!isListed && name !== null) this.list();
    this.tab();
    this.inspect();
    this.redraw();
  }

  // Keyboard

  tab() {
    for (const row of this.rows) {
      row.head.tabIndex = row.track.name === this.current ? 0 : -1;
      row.element.classList.toggle("tl-current", row.track.name === this.selected?.track);
    }
  }

  focused(event) {
    const row = event.target.closest(".tl-row")?.row;
    if (!row) return;
    const key = event.target.classList.contains("tl-key") ? event.target.index : null;
    if (this.selected?.track !== row.track.name || this.selected.key !== key) this.select(row.track.name, key);
  }

  key(event) {
    const row = event.target.closest(".tl-row")?.row;
    if (!row || event.ctrlKey || event.metaKey) return;
    const isKey = event.target.classList.contains("tl-key");
    const isDone = isKey ? this.keyOnKey(event, row, event.target.index) : this.keyOnRow(event, row);
    if (isDone || this.keyAnywhere(event, row)) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  keyAnywhere(event, row) {
    switch (event.key) {
      case "a":
        this.addKey(row.track, this.frame);
        return true;
      case "j":
      case "k":
        return this.step(row, event.key === "j" ? -1 : 1);
      case "+":
      case "=":
        this.zoom(1 / 1.6);
        return true;
      case "-":
        this.zoom(1.6);
        return true;
    }
    return false;
  }

  keyOnRow(event, row) {
    const at = this.rows.indexOf(row);
    const places = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: this.rows.length - 1 };
    if (event.key in places) {
      const next = this.rows[clamp(places[event.key], 0, this.rows.length - 1)];
      next.head.focus();
      next.element.scrollIntoView({ block: "nearest" });
      return true;
    }
    if (event.key === "ArrowRight") return this.step(row, 1);
    if (event.key === "Enter" || event.key === " ") {
      this.addKey(row.track, this.frame);
      return true;
    }
    return false;
  }

  keyOnKey(event, row, index) {
    const { track } = row;
    const key = track.keys[index];
    const amount = event.shiftKey ? 10 : 1;
    const moves = { ArrowLeft: [-amount, 0], ArrowRight: [amount, 0], ArrowUp: [0, amount], ArrowDown: [0, -amount] };
    if (event.key in moves) {
      if (track.is_editable) this.nudge(track, index, ...moves[event.key]);
      return true;
    }
    switch (event.key) {
      case "Delete":
      case "Backspace":
        this.removeKey(track, index);
        return true;
      case "Enter":
        this.seek(key.frame);
        return true;
      case "Escape":
        row.head.focus();
        return true;
    }
    return false;
  }

  /** Moves a key by frames and steps; the text changes once the key rests. */
  nudge(track, index, frames, steps) {
    const key = track.keys[index];
    const taken = (frame) => track.keys.some((other) => other !== key && Math.abs(other.frame - frame) < 0.5);
    let frame = frames ? Math.round(key.frame) + frames : key.frame;
    while (frames && taken(frame)) frame += Math.sign(frames);
    if (frame < 0 || (frame > this.data.frames - 1 && frames)) frame = key.frame;
    this.change(track, index, frame, key.value + steps * track.step);
    this.throttled("move-key", { ...this.drag, done: false });
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.settle(), SETTLE_MS);
  }

  settle() {
    this.waiting = null;
    if (this.drag) this.emit("move-key", { ...this.drag, done: true });
    this.drag = null;
  }

  step(row, direction) {
    const { sorted } = row.track;
    if (!sorted.length) return true;
    const at = this.selected?.key ?? null;
    const now = at === null ? null : sorted.findIndex((key) => key.index === at);
    const next = now === null ? this.nearest(row.track, this.frame) : sorted[clamp(now + direction, 0, sorted.length - 1)];
    this.reveal(next.frame);
    this.select(row.track.name, next.index);
    this.draw();
    row.keys.get(next.index)?.focus({ preventScroll: true });
    return true;
  }

  reveal(frame) {
    const span = this.end - this.start;
    if (frame < this.start || frame > this.end) this.view(frame - span / 2, frame + span / 2);
  }

  // The selected key, as numbers

  inspect() {
    const track = this.selected && this.track(this.selected.track);
    const index = this.selected?.key ?? null;
    const key = track && index !== null ? track.keys[index] : null;
    const kind = !track ? "" : key ? `${track.name} ${index}` : track.is_editable && !track.keys.length ? track.name : "";
    if (kind !== this.inspected) this.buildInspector(kind && track, key);
    if (!kind) return;
    const set = (input, value) => input && input !== document.activeElement && (input.value = value);
    set(this.fields.frame, key ? Number(key.frame.toFixed(3)) : "");
    set(this.fields.value, Number((key ? key.value : track.values[0]).toFixed(decimals(track.step) + 2)));
    set(this.fields.easing, key?.easing ?? "linear");
    this.inspected = kind;
  }

  buildInspector(track, key) {
    this.inspector.replaceChildren();
    this.fields = {};
    this.inspected = "";
    if (!track) return;
    const name = track.name;
    const index = key?.index;
    element("span", "tl-name", this.inspector, { textContent: track.label, title: name });
    const field = (label, step, change) => {
      const box = element("label", "tl-field", this.inspector, { textContent: label });
      const input = element("input", "", box, { type: "number", step });
      input.addEventListener("change", () => input.value !== "" && Number.isFinite(input.valueAsNumber) && change(input.valueAsNumber));
      return input;
    };
    const now = () => this.track(name)?.keys[index];
    if (key) this.fields.frame = field("frame", 1, (frame) => this.enter(name, index, frame, now().value));
    this.fields.value = field("value", track.step, (value) =>
      key ? this.enter(name, index, now().frame, value) : this.emit("set-constant", { track: name, value }));
    if (!key) return;
    const box = element("label", "tl-field", this.inspector, { textContent: "easing" });
    this.fields.easing = element("select", "", box);
    for (const easing of Object.keys(this.easings)) element("option", "", this.fields.easing, { value: easing, textContent: easing.replaceAll("_", " ") });
    this.fields.easing.addEventListener("change", () => this.emit("set-easing", { track: name, key: index, easing: this.fields.easing.value }));
    const remove = element("button", "tl-button", this.inspector, { type: "button", textContent: "Remove", "aria-label": "Remove the keyframe" });
    remove.addEventListener("click", () => this.removeKey(this.track(name), index));
  }

  enter(name, index, frame, value) {
    const track = this.track(name);
    if (!track?.keys[index]) return;
    this.change(track, index, clamp(frame, 0, this.data.frames - 1), clamp(value, track.minimum, track.maximum));
    this.settle();
  }
}

/** Seconds as a clock: 5s, 1:05, 1:00:05. */
function clock(seconds) {
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours) return `${hours}:${two(minutes)}:${two(whole % 60)}`;
  return minutes ? `${minutes}:${two(whole % 60)}` : `${whole}s`;
}

export default {
  template: `<div></div>`,
  props: { timeline: String, sound: String, easings: String },
  mounted() {
    this.view = new Timeline(this.$el, (name, args) => this.$emit(name, args), JSON.parse(this.easings));
    this.$el.timeline = this.view;
    this.readSound();
    if (this.timeline) this.view.show(JSON.parse(this.timeline));
  },
  unmounted() {
    this.view.destroy();
  },
  watch: {
    timeline(text) {
      this.view.show(JSON.parse(text));
    },
    sound() {
      this.readSound();
    },
  },
  methods: {
    readSound() {
      this.view.sound = this.sound ? JSON.parse(this.sound) : [];
      this.view.redraw();
    },
    restore() {
      this.view.wanted = null;
      this.view.show(JSON.parse(this.timeline));
    },
    seek(frame) {
      this.view.seek(frame, { isSilent: true });
    },
    showDetail(first, last, values) {
      this.view.showDetail(first, last, values);
    },
  },
};
