// The answers side by side, the rules' verdicts, plans and assumptions.

import { el, put } from "./dom.js";
import { change, days, people, percent, short, si, usd, whole } from "./format.js";

const LIMITS = {
  compute: "compute", hbm_bandwidth: "HBM bandwidth", hbm_capacity: "HBM capacity", scale_up: "scale-up link",
  scale_out: "NIC", latency: "latency", host: "host", bubble: "pipeline bubble",
};
const ms = (value) => `${short(value)} ms`;
export const limit = (name) => LIMITS[name] ?? name;

export function verdict(rules) {
  const caught = rules.verdicts.filter((each) => each.applies && each.caught && each.kind !== "bill");
  return caught.length ? `caught by ${caught.map((each) => each.rule).join("; ")}` : "not caught";
}

// Each row: name, value to compare (best: -1 least, 1 most), what is shown, the small line, the objective.
const ROWS = [
  ["Training", null],
  ["Days", (e) => e.training?.days, days, -1, (e) => `80 %: ${days(e.training.days_low)} to ${days(e.training.days_high)}`, (state) => Number(state.fields.days) || null],
  ["Tokens per second", (e) => e.training?.tokens_per_s, people, 1, (e) => `${short(e.training.tokens_per_s_per_chip)} per chip`],
  ["Model FLOPs utilisation", (e) => e.training?.mfu, percent, 1],
  ["Shortest plank", (e) => e.training && limit(e.training.limiting), String, 0],
  ["Cost of the run", (e) => e.training?.cost_usd, usd, -1, (e) => e.training.energy_mwh && `${people(e.training.energy_mwh)} MWh`],
  ["Serving", null],
  ["Answer tokens per second and chip", (e) => e.serving?.output_tokens_per_s_per_chip, short, 1, (e) => `${people(e.serving.batch)} requests in flight`],
  ["Prompt tokens per second and chip", (e) => e.serving?.prefill_tokens_per_s_per_chip, short, 1],
  ["Time per token", (e) => e.serving?.tpot_ms, ms, -1, (e) => `80 %: ${short(e.serving.tpot_ms_low)} to ${short(e.serving.tpot_ms_high)} ms`, (state) => Number(state.fields.tpot) || 50],
  ["Time to first token", (e) => e.serving?.ttft_ms, ms, -1, (e) => `80 %: ${short(e.serving.ttft_ms_low)} to ${short(e.serving.ttft_ms_high)} ms`, (state) => Number(state.fields.ttft) || null],
  ["Shortest plank, prefill", (e) => e.serving && limit(e.serving.limiting_prefill), String, 0],
  ["Shortest plank, decode", (e) => e.serving && limit(e.serving.limiting_decode), String, 0],
  ["A million answer tokens", (e) => e.serving?.cost_usd_per_million_output_tokens, usd, -1, () => "with their prompts"],
];

export function sideBySide(table, state, slots, labels) {
  const estimates = slots.map((slot) => slot.board?.estimate ?? null);
  const head = el("thead", {}, el("tr", {}, el("td", {}),
    slots.map((slot, place) => el("th", { scope: "col" }, el("span", { class: `swatch b${place}`, "aria-hidden": "true" }), labels[place],
      el("small", {}, estimates[place] ? `${whole(estimates[place].count)} chips, ${estimates[place].precision}` : slot.busy ? "searching …" : "no answer")))));
  const body = el("tbody", {});
  for (const [name, value, shown, best, small, objective] of ROWS) {
    if (value === null) {
      body.append(el("tr", { class: "part" }, el("th", { scope: "rowgroup", colspan: slots.length + 1 }, name)));
      continue;
    }
    const values = estimates.map((each) => (each ? value(each) : null));
    const numbers = values.filter((each) => typeof each === "number");
    const top = best && numbers.length > 1 ? (best > 0 ? Math.max(...numbers) : Math.min(...numbers)) : null;
    const bound = objective?.(state);
    body.append(el("tr", {}, el("th", { scope: "row" }, name), slots.map((slot, place) => cell(slot, place))));

    function cell(slot, place) {
      const now = values[place];
      if (now === null || now === undefined || now === false) return el("td", { class: "none" }, estimates[place] ? "–" : slot.busy ? "…" : "–");
      const base = slot.base && slot.asked && Object.keys(slot.asked.changes).length ? value(slot.base.estimate) : null;
      const moved = typeof now === "number" && base ? change(now, base) : typeof now === "string" && base && base !== now ? `was ${base}` : "";
      const isBest = top !== null && now === top;
      return el("td", { class: isBest ? "best" : "" },
        el("span", { class: "value" }, shown(now), isBest ? el("span", { class: "unseen" }, " (best)") : ""),
        bound ? el("span", { class: now <= bound ? "meets" : "misses" }, now <= bound ? " ✓ meets it" : ` ✗ over ${short(bound)}`) : "",
        moved ? el("span", { class: "moved" }, moved) : "",
        small && small(estimates[place]) ? el("small", {}, small(estimates[place])) : "");
    }
  }
  body.append(el("tr", {}, el("th", { scope: "row" }, "Export rules today"), slots.map((slot) =>
    el("td", {}, slot.board ? el("span", { class: verdict(slot.board.rules) === "not caught" ? "free" : "caught" }, verdict(slot.board.rules)) : "–"))));
  body.append(el("tr", {}, el("th", { scope: "row" }, "Evidence"), estimates.map((each) => el("td", {}, each?.training?.evidence ?? each?.serving?.evidence ?? "–"))));
  const why = slots.map((slot) => slot.error ? [slot.error.message, slot.error.hint].filter(Boolean).join("; ") : [slot.board?.estimate.training_reason, slot.board?.estimate.serving_reason].filter(Boolean).join("; "));
  if (why.some(Boolean)) body.append(el("tr", {}, el("th", { scope: "row" }, "Why there is none"), why.map((each) => el("td", { class: "why" }, each || "–"))));
  put(table, el("caption", { class: "unseen" }, "The answers, a column per chip"), head, body);
}

export function rules(table, slots, labels) {
  const known = slots.map((slot) => slot.board?.rules ?? null);
  const names = [...new Set(known.flatMap((each) => (each ? each.verdicts.filter((one) => one.applies).map((one) => one.rule) : [])))];
  const row = (name, cells) => el("tr", {}, el("th", { scope: "row" }, name), cells.map((each) => el("td", {}, each)));
  put(table,
    el("caption", { class: "unseen" }, "Verdicts of the export rules in force, a column per chip"),
    el("thead", {}, el("tr", {}, el("td", {}), labels.map((each) => el("th", { scope: "col" }, each)))),
    el("tbody", {},
      row("TPP (TOPS × bits)", known.map((each) => (each ? short(each.tpp, 4) : "–"))),
      row("TPP per mm²", known.map((each) => (each?.pd ? short(each.pd) : "unknown"))),
      row("Memory and I/O bandwidth", known.map((each) => (each ? `${si(each.dram_bytes_per_s, "B/s")}, ${si(each.io_bytes_per_s, "B/s")}` : "–"))),
      names.map((name) => row(name, known.map((each) => {
        const one = each?.verdicts.find((verdict) => verdict.rule === name);
        if (!one || !one.applies) return "not about it";
        return [el("span", { class: one.caught ? "caught" : "free" }, one.caught ? `caught: ${one.clause ?? ""}` : "not caught"), el("small", {}, one.margin ?? "")];
      })))));
}

export function plans(container, slots, labels) {
  put(container, slots.map((slot, place) => {
    const found = slot.board?.estimate;
    if (!found) return null;
    const line = (name, ...value) => [el("dt", {}, name), el("dd", {}, ...value)];
    return el("details", {}, el("summary", {}, labels[place]),
      el("dl", {},
        found.training ? line("Training plan", el("code", {}, found.training.plan_text), slot.isHeld ? " (held while a number moves)" : slot.note ? ` (${slot.note})` : "") : null,
        found.training ? line("Its chips", `${whole(found.training.plan.chips)} used, ${whole(found.training.plan.idle)} idle; goodput ${percent(found.training.goodput)}`) : null,
        found.training ? line("Price", found.training.price_basis) : null,
        found.serving ? line("A serving replica", el("code", {}, ["tp", "pp", "attention_dp", "ep", "etp"].map((key) => `${key}=${found.serving.plan[key]}`).join(",")), ` on ${found.serving.plan.chips} chips, ${whole(found.serving.replicas)} of them, ${whole(found.serving.batch_per_replica)} requests in flight each`) : null,
        line("Model", `${found.model_name}, ${people(found.total_params)} parameters, ${people(found.active_params)} active (${found.model_resolved_as})`),
        line("Fabric", found.fabric_name)),
      el("table", {}, el("thead", {}, el("tr", {}, ["assumed", "value", "kind", "source"].map((each) => el("th", { scope: "col" }, each)))),
        el("tbody", {}, found.assumptions.map((each) => el("tr", {}, el("th", { scope: "row" }, each.name), el("td", {}, typeof each.value === "number" ? people(each.value, 4) : String(each.value)), el("td", {}, each.kind), el("td", {}, each.source))))));
  }));
}
