// Asking for the chips side by side: at once with the plan held while a number moves, searched again when it rests.

import { ask } from "./api.js";
import { crossing, layout, question } from "./state.js";

const REST_MS = 400;
const MOST_EMPTY = 0.25; // of a crossover map
const MORE = 4; // times the chips where too much of it is empty
const MOST_COUNT = 512;

export class Engine {
  // changed(kind): something can be drawn; "map": the map alone, "rest": nothing more comes, "live", "busy"
  constructor(state, changed) {
    this.state = state;
    this.changed = changed;
    this.slots = [];
    this.known = new Map(); // boards of unchanged chips by question
    this.map = { found: null, error: null, running: false, again: false, control: null, turns: null, count: null };
    this.version = 0;
    this.resting = null;
    this.answered = []; // when numbers moved that are not drawn yet
  }

  drawn() {
    return this.answered.splice(0);
  }

  // Ask everything anew: the question or the chips have changed.
  refresh() {
    this.version += 1;
    const before = this.slots;
    for (const slot of before) slot.control?.abort();
    this.map.control?.abort();
    Object.assign(this.map, { running: false, again: false, turns: null, count: null });
    clearTimeout(this.resting);
    this.slots = this.state.chips.map((asked) => ({
      asked, board: before.find((each) => each.asked === asked)?.board ?? null, base: null, held: null, error: null,
      busy: true, note: "", control: null, running: false, again: false,
    }));
    const all = this.slots.map((slot) => this.search(slot));
    const { version } = this;
    this.changed("busy");
    Promise.all(all).then(() => {
      this.changed("rest");
      if (version === this.version) this.crossover(); // after the answers that are looked at first
    });
  }

  // A number of one chip has moved; `since` is when.
  move(place, since) {
    const slot = this.slots[place];
    slot.note = "";
    if (slot.held) this.live(slot, since);
    const drawn = this.state.versus.includes(place);
    if (drawn) this.crossover(false);
    clearTimeout(this.resting);
    const version = this.version;
    this.resting = setTimeout(() => {
      if (version !== this.version) return;
      this.search(slot).then(() => this.changed("rest"));
      if (drawn) this.crossover();
    }, REST_MS);
  }

  async live(slot, since) {
    slot.since = since;
    slot.again = true;
    if (slot.running) return;
    slot.running = true;
    const version = this.version;
    try {
      while (slot.again && version === this.version && slot.held) {
        slot.again = false;
        const asked = slot.since;
        const board = await ask("board", { ...question(this.state, slot.asked), ...slot.held });
        if (version !== this.version) return;
        Object.assign(slot, { board, error: null, isHeld: true });
        this.answered.push(asked);
        this.changed("live");
      }
    } catch (error) {
      if (version !== this.version || error.name === "AbortError") return;
      slot.held = null; // it does not fit any more: the search that follows finds another, or says why there is none
      this.search(slot).then(() => this.changed("rest"));
    } finally {
      slot.running = false;
    }
  }

  async search(slot) {
    slot.control?.abort();
    const control = (slot.control = new AbortController());
    const version = this.version;
    const asked = question(this.state, slot.asked);
    const before = slot.held?.plan;
    slot.busy = true;
    try {
      const board = await ask("board", asked, control.signal);
      if (version !== this.version) return;
      const { training, serving } = board.estimate;
      const held = {};
      if (training) held.plan = training.plan_text;
      if (serving) held.serving_plan = layout(serving.plan);
      const other = before && held.plan && before !== held.plan;
      Object.assign(slot, { board, held, error: null, isHeld: false, note: other ? "plan searched again: another is best" : before ? "plan searched again: the same is best" : "" });
      if (!asked.set.length) this.known.set(JSON.stringify(asked), board);
      this.base(slot, asked);
    } catch (error) {
      if (error.name === "AbortError" || version !== this.version) return;
      Object.assign(slot, { error, board: null, held: null });
    } finally {
      if (slot.control === control) slot.busy = false;
    }
    this.changed("live");
  }

  // The same chip as its datasheet has it, to say what a change makes of it.
  async base(slot, asked) {
    const plain = { ...asked, set: [] };
    const key = JSON.stringify(plain);
    if (!asked.set.length) {
      slot.base = slot.board;
      return;
    }
    if (slot.base && slot.baseKey === key) return;
    try {
      const found = this.known.get(key) ?? (await ask("board", plain));
      this.known.set(key, found);
      Object.assign(slot, { base: found, baseKey: key });
      this.changed("live");
    } catch {
      slot.base = null;
    }
  }

  // settled: all layouts are tried; while a number moves, those that were best somewhere
  async crossover(settled = true) {
    const { map } = this;
    map.settled = settled;
    if (this.state.chips.length < 2 || this.state.versus[0] === this.state.versus[1]) {
      map.found = null;
      return;
    }
    map.again = true;
    if (map.running) return;
    map.running = true;
    const version = this.version;
    const control = (map.control = new AbortController());
    try {
      while (map.again && version === this.version) {
        map.again = false;
        const found = await ask("map", { ...crossing(this.state), count: map.count, phase: this.state.phase, settled: map.settled }, control.signal);
        if (version !== this.version) return;
        const empty = found.cells.filter((each) => !each.chip_fits && !each.other_fits).length;
        if (empty > MOST_EMPTY * found.cells.length && found.count * MORE <= MOST_COUNT) {
          map.count = found.count * MORE; // so few chips hold hardly any of these requests
          map.again = true;
          continue;
        }
        Object.assign(map, { found, error: null });
        this.changed("map");
      }
    } catch (error) {
      if (error.name === "AbortError" || version !== this.version) return;
      Object.assign(map, { found: null, error });
      this.changed("map");
    } finally {
      if (map.control === control) map.running = false;
    }
    if (version === this.version && map.settled) this.turns();
  }

  // Where decode turns from bandwidth to compute: slower to find, so only at rest.
  async turns() {
    const { map } = this;
    const version = this.version;
    clearTimeout(this.turning);
    map.turns = null;
    this.turning = setTimeout(async () => {
      if (version !== this.version || !map.found) return;
      const asked = crossing(this.state);
      try {
        const found = await ask("crossover", { ...asked, count: map.found.count, batches: [1], contexts: [4096] });
        if (version !== this.version || JSON.stringify(asked.set) !== JSON.stringify(crossing(this.state).set)) return;
        map.turns = found;
        this.changed("map");
      } catch {
        map.turns = null;
      }
    }, REST_MS);
  }
}
