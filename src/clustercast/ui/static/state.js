// What is asked, and its form in the address: everything after the # of the page.

export const MOST_CHIPS = 6;
export const NUMBERS = ["flops", "hbm_bandwidth", "hbm_capacity", "scale_up", "scale_out"];
export const UNITS = { flops: "FLOP/s", hbm_bandwidth: "B/s", hbm_capacity: "B", scale_up: "B/s", scale_out: "B/s" };
export const FIELDS = ["model", "count", "precision", "tokens", "seq", "gbs", "days", "isl", "osl", "tpot", "ttft", "batch", "engine"];
export const COUNTS = ["count", "tokens", "seq", "gbs", "isl", "osl", "batch"];
const CHOICES = { planks: ["training", "prefill", "decode"], terms: ["training", "decode"], memory: ["training", "serving"], phase: ["decode", "prefill"], basis: ["ratio", "ratio_per_usd"] };
const NAME = /^[A-Za-z0-9._-]{1,64}$/;

export function usual() {
  return {
    chips: [{ chip: "h20-96gb", changes: {} }, { chip: "h100-sxm5-80gb", changes: {} }],
    fields: { model: "llama-3.1-70b", count: "1024" },
    chosen: 0,
    versus: [0, 1],
    planks: "training",
    terms: "training",
    memory: "training",
    phase: "decode",
    basis: "ratio",
  };
}

// chip=h20-96gb~flops=2.96e14, once per chip; other fields by their name.
export function toText(state) {
  const parts = new URLSearchParams();
  for (const { chip, changes } of state.chips) {
    const changed = NUMBERS.filter((key) => key in changes).map((key) => `~${key}=${Number(changes[key].toPrecision(6))}`);
    parts.append("chip", chip + changed.join(""));
  }
  for (const key of FIELDS) if (state.fields[key]) parts.append(key, state.fields[key]);
  if (state.chosen) parts.append("chosen", state.chosen);
  if (state.versus.join() !== "0,1") parts.append("versus", state.versus.join());
  for (const [key, choices] of Object.entries(CHOICES)) if (state[key] !== choices[0]) parts.append(key, state[key]);
  return parts.toString().replaceAll("%7E", "~").replaceAll("%3D", "=");
}

export function fromText(text) {
  const state = usual();
  const parts = new URLSearchParams(text);
  if (!parts.has("chip") && !parts.has("model")) return state;
  const chips = parts.getAll("chip").slice(0, MOST_CHIPS).map(readChip).filter(Boolean);
  if (chips.length) state.chips = chips;
  state.fields = {};
  for (const key of FIELDS) {
    const value = parts.get(key);
    if (value) state.fields[key] = value.slice(0, 64);
  }
  state.fields.model ??= usual().fields.model;
  state.chosen = place(parts.get("chosen"), state.chips.length, 0);
  const [one, two] = (parts.get("versus") ?? "").split(",");
  state.versus = [place(one, state.chips.length, 0), place(two, state.chips.length, Math.min(1, state.chips.length - 1))];
  for (const [key, choices] of Object.entries(CHOICES)) if (choices.includes(parts.get(key))) state[key] = parts.get(key);
  return state;
}

function place(text, most, fallback) {
  return /^[0-5]$/.test(text ?? "") && Number(text) < most ? Number(text) : fallback;
}

function readChip(text) {
  const [chip, ...changed] = text.split("~");
  if (!NAME.test(chip)) return null;
  const changes = {};
  for (const each of changed) {
    const [key, value] = each.split("=");
    const number = Number(value);
    if (NUMBERS.includes(key) && number > 0 && number < 1e30) changes[key] = number;
  }
  return { chip, changes };
}

export const settings = (changes, owner = "chip") =>
  NUMBERS.filter((key) => key in changes).map((key) => `${owner}.${key}=${Number(changes[key].toPrecision(8))}${UNITS[key]}`);

// The question about one chip, as the server takes it.
export function question(state, { chip, changes }) {
  const { fields } = state;
  const asked = { chip, set: settings(changes), explain: false };
  asked.model = fields.model;
  for (const key of COUNTS) if (fields[key]) asked[key] = fields[key];
  for (const key of ["precision", "engine"]) if (fields[key]) asked[key] = fields[key];
  if (fields.tpot) asked.tpot = Number(fields.tpot) / 1e3;
  return asked;
}

export const layout = (plan) =>
  ["tp", "pp", "attention_dp", "ep", "etp", "chips"].map((key) => `${key}=${plan[key]}`).join(",");

export function crossing(state) {
  const [one, two] = state.versus.map((each) => state.chips[each]);
  const { fields } = state;
  const asked = {
    chip: one.chip, other: two.chip, model: fields.model,
    set: [...settings(one.changes), ...settings(two.changes, "other")],
    batches: [1, 4, 16, 64, 256, 1024], contexts: [1024, 4096, 16384, 65536],
  };
  for (const key of ["precision", "engine"]) if (fields[key]) asked[key] = fields[key];
  return asked;
}
