// The page: what is asked, the answers as they come, what is taken away.

import { ask, get } from "./api.js";
import * as charts from "./charts.js";
import { el, one, options, put } from "./dom.js";
import { Engine } from "./engine.js";
import { change, days, people, short } from "./format.js";
import { sliders } from "./sliders.js";
import { COUNTS, FIELDS, fromText, MOST_CHIPS, question, settings, toText } from "./state.js";
import * as tables from "./tables.js";

const SAVE_MS = 200;
const TYPED_MS = 350;
const state = fromText(location.hash.slice(1));
const engine = new Engine(state, changed);
let catalogue = { chips: [], models: [] };
let numbersOf = {}; // of chips, by name: what the sliders start from
let drawing = 0;
let everything = false; // to draw, or the map alone
let saving = 0;
let typing = 0;

start();

async function start() {
  theme();
  wire();
  buildFields();
  engine.refresh(); // with the names of the address: lists may come later
  try {
    const [chips, models, choices] = await Promise.all([get("chips"), get("models"), get("options")]);
    catalogue = { chips: chips.chips, models: models.models };
    options(one("precision"), [["", "the usual one"], ...choices.precisions.map((each) => [each, each])], state.fields.precision ?? "");
    options(one("engine"), [["", "vllm"], ...choices.engines.filter((each) => each !== "vllm").map((each) => [each, each])], state.fields.engine ?? "");
    options(one("export-tool"), choices.tools.map((each) => [each, each]));
    one("tpot").placeholder = String(1e3 * choices.tpot_s);
    put(one("models"), catalogue.models.map((each) => el("option", { value: each.name, label: `${each.full_name}, ${people(each.total_params)}` })));
  } catch (error) {
    note(`${error.message}${error.hint ? `; ${error.hint}` : ""}`);
  }
  buildChips();
  changed("live");
}

// ---- names

function labels() {
  const seen = {};
  return state.chips.map(({ chip, changes }) => {
    const known = catalogue.chips.find((each) => each.name === chip || each.aliases.includes(chip));
    const plain = known ? known.full_name.replace(/^(NVIDIA|Huawei|AMD|Intel|Google) /, "").replace(/ \(.*\)$/, "") : chip;
    const whole = Object.keys(changes).length ? `${plain}, changed` : plain;
    seen[whole] = (seen[whole] ?? 0) + 1;
    return seen[whole] > 1 ? `${whole} (${seen[whole]})` : whole;
  });
}

// ---- the question

function wire() {
  const form = one("question");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (!FIELDS.includes(event.target.name)) return;
    state.fields[event.target.name] = event.target.value.trim();
    clearTimeout(typing);
    typing = setTimeout(asked, event.target instanceof HTMLSelectElement ? 0 : TYPED_MS, event.target.name);
  });
  one("add-chip").addEventListener("change", (event) => {
    if (event.target.value && state.chips.length < MOST_CHIPS) {
      state.chips.push({ chip: event.target.value, changes: {} });
      state.chosen = state.chips.length - 1;
      if (state.chips.length === 2) state.versus = [0, 1];
    }
    event.target.value = "";
    restructure();
    one("add-chip").focus();
  });
  one("reset").addEventListener("click", () => {
    state.chips[state.chosen].changes = {};
    buildSliders();
    engine.move(state.chosen, performance.now());
    save();
  });
  for (const key of ["planks", "terms", "memory", "phase", "basis"]) {
    for (const button of document.querySelectorAll(`[data-${key}]`)) {
      button.addEventListener("click", () => { state[key] = button.dataset[key]; save(); changed("live"); if (key === "phase") engine.crossover(); });
    }
  }
  for (const [place, id] of ["one", "two"].entries()) {
    one(id).addEventListener("change", (event) => { state.versus[place] = Number(event.target.value); save(); engine.crossover(); changed("live"); });
  }
  one("share").addEventListener("click", share);
  one("export-json").addEventListener("click", () => keep("clustercast.json", JSON.stringify({ schema: "clustercast.page/1", state: toText(state), boards: engine.slots.map((each) => each.board) }, null, 1), "application/json"));
  one("export-chip").addEventListener("click", () => take("chip-file", { chip: state.chips[state.chosen].chip, set: settings(state.chips[state.chosen].changes) }));
  one("export-launch").addEventListener("click", () => take("launch", launchOf(one("export-tool").value)));
  one("export-report").addEventListener("click", () => take("report", reportOf()));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") one("export").open = false; });
  document.addEventListener("click", (event) => { if (!one("export").contains(event.target)) one("export").open = false; });
  window.addEventListener("hashchange", () => {
    if (location.hash.slice(1) === toText(state)) return;
    Object.assign(state, fromText(location.hash.slice(1)));
    buildFields();
    restructure();
  });
  new ResizeObserver(() => changed("live")).observe(one("results"));
}

function asked(name) {
  note("");
  const value = state.fields[name];
  const wrong = ["days", "tpot", "ttft"].includes(name) && value && !(Number(value) > 0);
  one(name).toggleAttribute("aria-invalid", Boolean(wrong));
  save();
  if (wrong) return note(`${name}: expected a number, got ${value}`);
  if (name === "days" || name === "ttft") return changed("live");
  if (name === "model" && !value) return undefined;
  return engine.refresh();
}

function buildFields() {
  for (const key of FIELDS) {
    const field = one(key);
    if (field instanceof HTMLSelectElement && !field.options.length) options(field, [["", "the usual one"], ...(state.fields[key] ? [[state.fields[key], state.fields[key]]] : [])]);
    field.value = state.fields[key] ?? "";
    field.removeAttribute("aria-invalid");
  }
}

function restructure() {
  state.chosen = Math.min(state.chosen, state.chips.length - 1);
  state.versus = state.versus.map((each, place) => (each < state.chips.length ? each : Math.min(place, state.chips.length - 1)));
  save();
  buildChips();
  engine.refresh();
}

function byVendor() {
  const vendors = [...new Set(catalogue.chips.map((each) => each.vendor))].sort();
  return vendors.map((vendor) => el("optgroup", { label: vendor }, catalogue.chips.filter((each) => each.vendor === vendor).map((each) => el("option", { value: each.name }, each.full_name.replace(`${vendor} `, "")))));
}

function buildChips() {
  const names = labels();
  put(one("chips"), state.chips.map((each, place) => {
    const select = el("select", { id: `chip-${place}`, "aria-label": `Chip ${place + 1}` }, byVendor());
    const known = catalogue.chips.find((one) => one.name === each.chip || one.aliases.includes(each.chip));
    if (known) each.chip = known.name; // found sooner than an alias
    if (!known) select.prepend(el("option", { value: each.chip }, each.chip));
    select.value = known?.name ?? each.chip;
    select.addEventListener("change", () => {
      state.chips[place] = { chip: select.value, changes: {} };
      restructure();
      one(`chip-${place}`).focus();
    });
    const button = (id, words, label, pressed, action, disabled) => el("button", { type: "button", id: `${id}-${place}`, "aria-label": label, "aria-pressed": pressed, disabled, title: label, onclick: action }, words);
    return el("li", { class: place === state.chosen ? "chosen" : "" },
      el("span", { class: `swatch b${place}`, "aria-hidden": "true" }), select,
      el("span", { class: "buttons" },
        button("choose", "What if", `Change the numbers of ${names[place]}`, String(place === state.chosen), () => { state.chosen = place; save(); buildChips(); changed("live"); one(`choose-${place}`).focus(); }),
        button("copy", "Copy", `A second ${names[place]} beside it`, null, () => { state.chips.splice(place + 1, 0, { chip: each.chip, changes: { ...each.changes } }); state.chosen = place + 1; restructure(); one(`copy-${place}`)?.focus(); }, state.chips.length >= MOST_CHIPS),
        button("remove", "×", `Remove ${names[place]}`, null, () => { state.chips.splice(place, 1); restructure(); one("add-chip").focus(); }, state.chips.length < 2)));
  }));
  put(one("add-chip"), el("option", { value: "" }, state.chips.length < MOST_CHIPS ? "Add a chip …" : "Six are the most"), byVendor());
  one("add-chip").value = "";
  one("add-chip").disabled = state.chips.length >= MOST_CHIPS;
  versusLists();
  buildSliders();
}

function versusLists() {
  const names = labels();
  for (const [place, id] of ["one", "two"].entries()) {
    options(one(id), names.map((each, index) => [String(index), each]), String(state.versus[place]));
  }
}

async function buildSliders() {
  const { chip } = state.chips[state.chosen];
  if (!(chip in numbersOf)) {
    const unchanged = engine.slots.find((slot) => slot.asked.chip === chip && slot.board && !Object.keys(slot.asked.changes).length);
    try {
      numbersOf[chip] = unchanged?.board.numbers ?? (await get(`chips/${encodeURIComponent(chip)}`)).numbers;
    } catch {
      numbersOf[chip] = null;
    }
  }
  const own = state.chips[state.chosen];
  if (own.chip !== chip) return;
  sliders(labels()[state.chosen].replace(/, changed$/, ""), numbersOf[chip], own.changes, (key, value, since) => {
    if (value === null) delete own.changes[key];
    else own.changes[key] = value;
    engine.move(state.chips.indexOf(own), since);
    save();
  });
}

// ---- answers

function changed(kind) {
  if (kind === "rest") announce();
  everything ||= kind !== "map";
  if (drawing) return;
  drawing = requestAnimationFrame(() => {
    drawing = 0;
    if (engine.slots.length !== state.chips.length) return;
    if (everything) draw();
    else drawMap(labels());
    everything = false;
    for (const since of engine.drawn()) performance.measure("update", { start: since, end: performance.now() });
  });
}

function draw() {
  const { slots } = engine;
  const names = labels();
  charts.measure(["planks", "terms", "memory", "roofline", "crossover", "cost"].map(one));
  const estimates = slots.map((slot) => slot.board?.estimate ?? null);
  const chips = names.map((label, place) => ({ label, place, estimate: estimates[place], board: slots[place].board }));
  one("results").setAttribute("aria-busy", String(slots.some((slot) => slot.busy)));
  for (const key of ["planks", "terms", "memory", "phase", "basis"]) {
    for (const button of document.querySelectorAll(`[data-${key}]`)) button.setAttribute("aria-pressed", String(button.dataset[key] === state[key]));
  }
  tables.sideBySide(one("table"), state, slots, names);
  tables.rules(one("rules"), slots, names);
  tables.plans(one("plans"), slots, names);
  const slopes = { training: (e) => e?.training?.elasticity, prefill: (e) => e?.serving?.elasticity_prefill, decode: (e) => e?.serving?.elasticity }[state.planks];
  charts.planks(one("planks"), chips.map((each) => ({ ...each, slopes: slopes(each.estimate) })), state.planks);
  const thousandth = (parts) => parts && Object.fromEntries(Object.entries(parts).map(([key, value]) => [key, value / 1e3]));
  charts.terms(one("terms"), chips.map((each) => ({
    ...each, parts: state.terms === "training" ? each.estimate?.training?.time_s : thousandth(each.estimate?.serving?.decode_time_ms),
    reason: each.estimate?.[state.terms === "training" ? "training_reason" : "serving_reason"],
  })), state.terms);
  charts.memory(one("memory"), chips.map((each) => {
    const found = each.estimate?.[state.memory]?.memory_bytes;
    if (!found) return { ...each, reason: each.estimate?.[`${state.memory}_reason`] };
    const { total, capacity, ...parts } = found;
    return { ...each, parts, limit: capacity };
  }));
  charts.roofline(one("roofline"), chips.map((each) => ({ ...each, roofline: each.board?.roofline })), state.chosen);
  drawMap(names);
  charts.cost(one("cost"), chips.map((each) => ({ ...each, training: each.estimate?.training?.cost_usd, tokens: each.estimate?.serving?.cost_usd_per_million_output_tokens })));
  put(one("warnings"), [...new Set(estimates.flatMap((each) => each?.warnings ?? []))].map((each) => el("li", {}, each)));
  put(one("live-line"), liveLine(slots[state.chosen]));
  put(one("export-of"), `Chip and launch flags: ${names[state.chosen]}`);
  refusals(slots);
  for (const [place, id] of ["one", "two"].entries()) {
    for (const option of one(id).options) option.textContent = names[Number(option.value)];
    one(id).value = String(state.versus[place]);
  }
}

function drawMap(names) {
  const part = one("crossover");
  const { map } = engine;
  one("crossover-part").hidden = state.chips.length < 2;
  const pair = state.versus.map((each) => names[each]);
  if (!map.found) {
    const why = state.versus[0] === state.versus[1] ? "Two chips are needed." : map.error?.message ?? "…";
    return charts.nothing(part, why);
  }
  charts.crossover(part, map.found, pair, state.basis);
  const turns = state.phase === "decode" ? map.turns?.turns : null;
  if (turns) {
    const said = turns.map((each, place) => `${pair[place]} ${!each.batch ? "never" : each.batch > 1 ? `at ${short(each.batch)} requests in flight` : "from the first request on"}`);
    part.append(el("p", { class: "fine" }, `With 4k tokens of context decoding turns from bandwidth to compute: ${said.join(", ")}.`));
  }
  return undefined;
}

function liveLine(slot) {
  const found = slot.board?.estimate;
  if (!found) return slot.busy ? "searching …" : "";
  const base = slot.base?.estimate;
  const said = [];
  if (found.training) said.push(`${days(found.training.days)} days${moved(found.training.days, base?.training?.days)}`);
  if (found.serving) said.push(`${short(found.serving.output_tokens_per_s_per_chip)} answer tokens/s per chip${moved(found.serving.output_tokens_per_s_per_chip, base?.serving?.output_tokens_per_s_per_chip)}`);
  said.push(tables.verdict(slot.board.rules));
  const plan = slot.isHeld ? "plan held" : slot.note;
  return [el("strong", {}, said.join(" · ")), plan ? el("small", {}, plan) : ""];
}

const moved = (now, before) => (before && Math.abs(now / before - 1) > 5e-4 ? ` (${change(now, before)})` : "");

function announce() {
  const names = labels();
  const said = engine.slots.map((slot, place) => {
    const found = slot.board?.estimate;
    if (!found) return slot.error ? `${names[place]}: ${slot.error.message}` : "";
    const training = found.training ? `${days(found.training.days)} days, limited by ${tables.limit(found.training.limiting)}` : "no training plan";
    const serving = found.serving ? `${short(found.serving.output_tokens_per_s_per_chip)} answer tokens per second and chip, limited by ${tables.limit(found.serving.limiting_decode)}` : "no serving plan";
    return `${names[place]}: ${training}; ${serving}; ${tables.verdict(slot.board.rules)}${slot.note ? `; ${slot.note}` : ""}.`;
  });
  one("status").textContent = said.filter(Boolean).join(" ");
}

function refusals(slots) {
  const wrong = slots.map((slot) => slot.error).find((error) => error && (error.status === 400 || error.status === 0));
  for (const key of COUNTS) one(key).toggleAttribute("aria-invalid", Boolean(wrong?.message.startsWith(`${key}:`)));
  if (wrong) note(`${wrong.message}${wrong.hint ? `; ${wrong.hint}` : ""}`);
  else if (one("note").dataset.of === "refusal") note("");
  if (wrong) one("note").dataset.of = "refusal";
}

function note(words) {
  const place = one("note");
  delete place.dataset.of;
  if (place.textContent !== words) place.textContent = words;
  place.hidden = !words;
}

// ---- to take away

function save() {
  clearTimeout(saving);
  saving = setTimeout(() => history.replaceState(null, "", `#${toText(state)}`), SAVE_MS);
}

async function share() {
  clearTimeout(saving);
  history.replaceState(null, "", `#${toText(state)}`);
  try {
    await navigator.clipboard.writeText(location.href);
    said("Link copied");
  } catch {
    note(location.href);
  }
}

function said(words) {
  one("status").textContent = words;
  const button = one("share");
  button.textContent = words;
  setTimeout(() => { button.textContent = "Copy link"; }, 1500);
}

function launchOf(tool) {
  const chip = state.chips[state.chosen];
  const asked = question(state, chip);
  delete asked.explain;
  return { ...asked, ...(engine.slots[state.chosen].held ?? {}), tool };
}

// The chosen chip first, each chip once: a report tells chips apart by their names.
function reportOf() {
  const asked = question(state, state.chips[state.chosen]);
  for (const key of ["chip", "explain", "tpot"]) delete asked[key];
  const order = [state.chips[state.chosen], ...state.chips];
  const once = order.filter((each, place) => order.findIndex((one) => one.chip === each.chip) === place);
  return { ...asked, chips: once.map((each) => each.chip), set: once.flatMap((each) => settings(each.changes, once.length > 1 ? each.chip : "chip")) };
}

async function take(verb, fields) {
  try {
    const { name, text } = await ask(verb, fields);
    keep(name, text, name.endsWith(".html") ? "text/html" : "text/plain");
    one("status").textContent = `${name} saved`;
  } catch (error) {
    note(`${error.message}${error.hint ? `; ${error.hint}` : ""}`);
  }
  one("export").open = false;
}

function keep(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = el("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

// ---- colours

function theme() {
  const select = one("theme");
  let kept = "";
  try {
    kept = localStorage.getItem("theme") ?? "";
  } catch { /* no memory: the system's colours */ }
  const set = (value) => { document.documentElement.dataset.theme = value; };
  select.value = ["light", "dark"].includes(kept) ? kept : "";
  set(select.value);
  select.addEventListener("change", () => {
    set(select.value);
    try {
      localStorage.setItem("theme", select.value);
    } catch { /* as above */ }
  });
}
