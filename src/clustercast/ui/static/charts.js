// Small charts in SVG, drawn anew at every change. Width in CSS pixels, so that text keeps its size.

import { el, put, svg } from "./dom.js";
import { gib, people, percent, seconds, short, si, usd, whole } from "./format.js";

const ROW = 22;
const widths = new WeakMap();

// Read the widths of all containers at once, before any is drawn: reading between drawings lays the page out each time.
export function measure(containers) {
  for (const container of containers) widths.set(container, container.clientWidth || 320);
}

const wide = (text) => 7 * text.length;
const cut = (text, room) => (wide(text) <= room ? text : `${text.slice(0, Math.max(1, Math.floor(room / 7) - 1))}…`);
const text = (x, y, words, more = {}) => svg("text", { x, y, "dominant-baseline": "middle", ...more }, words);

function picture(width, height, label, ...children) {
  return svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, children);
}

// The same numbers as a table, made when somebody opens it.
export function numbers(head, rows) {
  const details = el("details", { class: "numbers" }, el("summary", {}, "Numbers"));
  details.addEventListener("toggle", () => {
    if (!details.open || details.childElementCount > 1) return;
    details.append(
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Numbers" },
        el("table", {},
          el("thead", {}, el("tr", {}, head.map((each) => el("th", { scope: "col" }, each)))),
          el("tbody", {}, rows.map(([first, ...rest]) =>
            el("tr", {}, el("th", { scope: "row" }, first), rest.map((each) => el("td", {}, each))))))),
    );
  });
  return details;
}

// Keep an opened table open when the chart is drawn again.
function show(container, drawn, head, rows) {
  const open = container.querySelector("details.numbers")?.open ?? false;
  const table = numbers(head, rows);
  put(container, drawn, table);
  if (open) table.open = true;
}

export function nothing(container, why) {
  put(container, el("p", { class: "fine" }, why));
}

const RESOURCES = [
  ["flops", "compute"], ["hbm_bandwidth", "HBM bandwidth"], ["hbm_capacity", "HBM capacity"], ["scale_up", "scale-up link"],
  ["scale_out", "NIC"], ["latency", "latency"], ["host", "host"], ["bubble", "pipeline bubble"],
];

// chips: [{label, place, slopes}]
export function planks(container, chips, what) {
  const known = chips.filter((each) => each.slopes);
  if (!known.length) return nothing(container, "No chip has an answer here.");
  const room = widths.get(container) ?? 320;
  const most = Math.max(1, Math.min(known.length, Math.floor(room / 230)));
  const columns = Math.ceil(known.length / Math.ceil(known.length / most));
  const width = Math.floor(room / columns) - 12;
  const largest = Math.max(0.05, ...known.flatMap((each) => RESOURCES.map(([key]) => each.slopes[key])));
  const left = 104;
  const scale = (value) => (Math.max(0, value) / largest) * Math.max(20, width - left - 52);
  const panels = known.map(({ label, place, slopes }) => {
    const shortest = RESOURCES.reduce((best, each) => (slopes[each[0]] > slopes[best[0]] ? each : best));
    const rows = RESOURCES.map(([key, name], index) => {
      const y = 34 + index * ROW;
      const marked = key === shortest[0];
      return [
        text(left - 6, y, name, { "text-anchor": "end", class: marked ? "strong" : "" }),
        svg("rect", { x: left, y: y - 7, width: Math.max(1, scale(slopes[key])), height: 14, class: marked ? `c${place}` : `c${place} pale`, rx: 1 }),
        text(left + scale(slopes[key]) + 5, y, short(Math.max(0, slopes[key]), 2), { class: marked ? "strong" : "" }),
      ];
    });
    const said = `${label}: the shortest plank is ${shortest[1]}, ${short(slopes[shortest[0]], 2)} per cent for one per cent more`;
    return picture(width, 40 + RESOURCES.length * ROW, `Planks in ${what}. ${said}.`,
      text(left, 12, cut(label, width - left), { class: "strong" }), rows,
      svg("line", { x1: left, x2: left, y1: 24, y2: 30 + RESOURCES.length * ROW - 8, class: "axis" }));
  });
  const line = el("p", { class: "fine" }, `Per cent more ${what === "training" ? "training" : what} throughput for one per cent more of each, at the same plan. The longest bar is the shortest plank.`);
  show(container, [el("div", { class: "panels" }, panels), line],
    ["", ...known.map((each) => each.label)],
    RESOURCES.map(([key, name]) => [name, ...known.map((each) => short(each.slopes[key], 3))]));
}

const NAMES = {
  compute: "compute", tp_comm: "tensor parallel", cp_comm: "context parallel", ep_comm: "experts", pp_comm: "pipeline",
  dp_comm: "data parallel", bubble: "bubble", optimizer: "optimizer", host: "host", straggler: "stragglers",
  weights: "weights", kv_cache: "KV cache", comm: "communication",
  gradients: "gradients", activations: "activations", workspace: "workspace",
};
const STYLES = {
  compute: "s0", tp_comm: "s1", cp_comm: "s2", ep_comm: "s3", pp_comm: "s4", dp_comm: "s5", bubble: "s6", optimizer: "s7",
  host: "s8", straggler: "s9", weights: "s7", kv_cache: "s3", comm: "s1", gradients: "s2", activations: "s0", workspace: "s8",
};

function patterns(name) {
  const hatch = (id, angle, gap) =>
    svg("pattern", { id: `${name}-${id}`, width: gap, height: gap, patternUnits: "userSpaceOnUse", patternTransform: `rotate(${angle})` },
      svg("rect", { width: gap, height: gap, class: `under-${id}` }), svg("line", { x1: 0, y1: 0, x2: 0, y2: gap, class: `over-${id}` }));
  return svg("defs", {}, hatch("s1", 45, 6), hatch("s2", -45, 6), hatch("s3", 90, 5), hatch("s4", 0, 5), hatch("s5", 45, 3));
}

const fill = (name, style) => (["s1", "s2", "s3", "s4", "s5"].includes(style) ? { fill: `url(#${name}-${style})` } : { class: style });

// Bars of parts, one per chip. chips: [{label, parts: {name: value}, limit?}]
function stacked(container, name, chips, shown, said, head) {
  const known = chips.filter((each) => each.parts);
  if (!known.length) return nothing(container, chips.map((each) => each.reason).find(Boolean) ?? "No chip has an answer here.");
  const width = widths.get(container) ?? 320;
  const keys = Object.keys(known[0].parts).filter((key) => known.some((each) => each.parts[key] > 0));
  const total = (parts) => keys.reduce((sum, key) => sum + Math.max(0, parts[key]), 0);
  const most = Math.max(...known.map((each) => Math.max(total(each.parts), each.limit ?? 0)));
  const right = 12;
  const scale = (value) => (value / most) * (width - right - 2);
  const bars = known.map(({ label, parts, limit }, index) => {
    const y = index * 52;
    let x = 1;
    const rects = keys.map((key) => {
      const value = Math.max(0, parts[key]);
      const long = scale(value);
      const start = x;
      x += long;
      const words = `${NAMES[key]} ${shown(value)}`;
      const inside = long > wide(NAMES[key]) + 8 && ["s0", "s6", "s7", "s8", "s9"].includes(STYLES[key]);
      return long < 0.3 ? null : [
        svg("rect", { x: start, y: y + 18, width: long, height: 22, ...fill(name, STYLES[key]), "stroke-width": 1, "data-edge": "" }, svg("title", {}, words)),
        inside ? text(start + 5, y + 29.5, NAMES[key], { class: `on-${STYLES[key]}` }) : null,
      ];
    });
    const bound = limit ? svg("path", { d: `M${scale(limit)} ${y + 13}v32`, class: "limit" }, svg("title", {}, `capacity ${shown(limit)}`)) : null;
    const ends = limit ? `${shown(total(parts))} of ${shown(limit)}` : shown(total(parts));
    return [text(1, y + 8, cut(`${label}: ${ends}`, width), {}), rects, bound];
  });
  const legend = el("ul", { class: "legend" }, keys.map((key) =>
    el("li", {}, svg("svg", { width: 14, height: 14, "aria-hidden": "true" }, svg("rect", { width: 14, height: 14, ...fill(name, STYLES[key]), "data-edge": "" })), NAMES[key])));
  const words = known.map((each) => `${each.label}: ${shown(total(each.parts))}${each.limit ? ` of ${shown(each.limit)}` : ""}`).join("; ");
  show(container, [legend, picture(width, known.length * 52, `${said}. ${words}.`, patterns(name), bars)],
    ["", ...known.map((each) => each.label)],
    [...keys.map((key) => [NAMES[key], ...known.map((each) => shown(each.parts[key]))]), [head, ...known.map((each) => shown(total(each.parts)))]]);
}

export function terms(container, chips, what) {
  stacked(container, "terms", chips, seconds, `Where a ${what} step's time goes`, "step");
}

export function memory(container, chips) {
  stacked(container, "memory", chips, gib, "Memory of the fullest chip by what it holds", "all");
}

const SHAPES = { training: "circle", prefill: "triangle", decode: "square" };

function marker(shape, x, y, attributes) {
  const more = { class: "marker", ...attributes };
  if (shape === "circle") return svg("circle", { cx: x, cy: y, r: 5, ...more });
  if (shape === "square") return svg("rect", { x: x - 4.5, y: y - 4.5, width: 9, height: 9, ...more });
  return svg("path", { d: `M${x} ${y - 6}l6 10.5h-12z`, ...more });
}

// chips: [{label, place, roofline}]; operations are those of the chosen one
export function roofline(container, chips, chosen) {
  const known = chips.filter((each) => each.roofline?.roofs.length);
  const own = known.find((each) => each.place === chosen) ?? known[0];
  const points = (own?.roofline.operations ?? []).filter((each) => each.flop > 0 && each.hbm_bytes > 0 && each.time_s > 0)
    .map((each) => ({ ...each, x: each.flop / each.hbm_bytes, y: each.flop / each.time_s }));
  if (!points.length) return nothing(container, "No operation to show.");
  const width = widths.get(container) ?? 320;
  const height = 300;
  const box = { left: 64, right: width - 8, top: 10, bottom: height - 36 };
  const roofs = known.map((each) => ({ ...each, roof: each.roofline.roofs[0] }));
  const ridges = roofs.map(({ roof }) => roof.flop_per_s / roof.hbm_bytes_per_s);
  const lowX = Math.min(...points.map((each) => each.x), 1) / 2;
  const highX = Math.max(...points.map((each) => each.x), ...ridges) * 3;
  const highY = Math.max(...roofs.map(({ roof }) => roof.flop_per_s)) * 2.2;
  const lowY = Math.min(...points.map((each) => each.y)) / 2.5;
  const atX = (value) => box.left + (Math.log(value / lowX) / Math.log(highX / lowX)) * (box.right - box.left);
  const atY = (value) => box.bottom - (Math.log(value / lowY) / Math.log(highY / lowY)) * (box.bottom - box.top);
  const tens = (low, high) => Array.from({ length: Math.floor(Math.log10(high)) - Math.ceil(Math.log10(low)) + 1 }, (_, index) => 10 ** (Math.ceil(Math.log10(low)) + index));
  const grid = [
    tens(lowX, highX).map((value) => [
      svg("line", { x1: atX(value), x2: atX(value), y1: box.top, y2: box.bottom, class: "grid" }),
      text(atX(value), box.bottom + 11, value >= 1 ? people(value) : String(value), { "text-anchor": "middle" }),
    ]),
    tens(lowY, highY).map((value) => [
      svg("line", { x1: box.left, x2: box.right, y1: atY(value), y2: atY(value), class: "grid" }),
      text(box.left - 5, atY(value), si(value, "", 3), { "text-anchor": "end" }),
    ]),
    text((box.left + box.right) / 2, height - 9, "FLOP per byte of HBM traffic", { "text-anchor": "middle" }),
    text(11, (box.top + box.bottom) / 2, "FLOP/s per chip", { "text-anchor": "middle", transform: `rotate(-90 11 ${(box.top + box.bottom) / 2})` }),
  ];
  const lines = roofs.map(({ place, roof, label }, index) => {
    const start = Math.max(lowX, lowY / roof.hbm_bytes_per_s);
    return svg("path", {
      d: `M${atX(start)} ${atY(start * roof.hbm_bytes_per_s)}L${atX(ridges[index])} ${atY(roof.flop_per_s)}H${box.right}`,
      class: `roof l${place}${place === own.place ? " strong" : ""}`,
    }, svg("title", {}, `${label}: ${si(roof.flop_per_s, "FLOP/s")}, ${si(roof.hbm_bytes_per_s, "B/s")}`));
  });
  const taken = points.map((each) => ({ x: atX(each.x) - 6, y: atY(each.y), long: 12 }));
  const free = (x, y, long) => taken.every((each) => x + long < each.x || x > each.x + each.long || Math.abs(y - each.y) > 11);
  const marks = points.sort((a, b) => b.share - a.share).map((each) => {
    const x = atX(each.x);
    const y = atY(each.y);
    const words = each.kind;
    const long = wide(words);
    const beside = [[x + 9, y], [x - 9 - long, y], [x + 9, y + 11], [x - 9 - long, y + 11], [x + 9, y - 11], [x - 9 - long, y - 11]]
      .find(([at, down]) => at > box.left && at + long < box.right && down > box.top && down < box.bottom && free(at, down, long));
    if (beside) taken.push({ x: beside[0], y: beside[1], long });
    return beside ? text(beside[0], beside[1], words, { class: "halo" }) : null;
  });
  const shapes = points.map((each) => marker(SHAPES[each.phase], atX(each.x), atY(each.y), { class: `marker c${own.place}` }));
  const phases = Object.keys(SHAPES).filter((phase) => points.some((each) => each.phase === phase));
  const legend = el("ul", { class: "legend" },
    phases.map((phase) => el("li", {}, svg("svg", { width: 14, height: 14, "aria-hidden": "true" }, marker(SHAPES[phase], 7, 7, { class: `marker c${own.place}` })), phase)),
    roofs.map(({ place, label }) => el("li", {}, svg("svg", { width: 24, height: 14, "aria-hidden": "true" }, svg("path", { d: "M0 7H24", class: `roof l${place}` })), label)));
  show(container, [legend, picture(width, height, `Roofline of ${own.label}: ${points.length} operations`, grid, lines, shapes, marks), el("p", { class: "fine" }, `Operations of ${own.label}; roofs are dense datasheet peaks.`)],
    ["operation", "phase", "FLOP per byte", "FLOP/s", "share of kernels"],
    points.map((each) => [each.kind, each.phase, short(each.x), si(each.y, "FLOP/s"), percent(each.share)]));
}

const STEPS = [1.02, 1.2, 1.6, 2.5];

export function crossover(container, found, names, basis) {
  const width = widths.get(container) ?? 320;
  const left = 62;
  const { batches, contexts } = found;
  const cell = Math.floor((width - left) / batches.length);
  const high = 34;
  const cells = found.cells.map((each) => {
    const x = left + batches.indexOf(each.batch) * cell;
    const y = 24 + contexts.indexOf(each.context) * high;
    const ratio = each[basis];
    const step = ratio ? STEPS.filter((bound) => Math.max(ratio, 1 / ratio) > bound).length : 0;
    const side = !ratio ? "none" : ratio > 1 ? "win" : "lose";
    const words = ratio ? (ratio < 10 ? ratio.toFixed(2) : short(ratio, 3)) : each.chip_fits ? "only" : each.other_fits ? "not" : "–";
    const said = ratio ? `${names[0]} gives ${short(ratio)} times ${names[1]}` : each.chip_fits ? `only ${names[0]} holds it` : each.other_fits ? `only ${names[1]} holds it` : "neither holds it";
    return [
      svg("rect", { x: x + 1, y: y + 1, width: cell - 2, height: high - 2, rx: 2, class: `map ${side}${step}` },
        svg("title", {}, `batch ${people(each.batch)}, context ${people(each.context)}: ${said}`)),
      text(x + cell / 2, y + high / 2, words, { "text-anchor": "middle", class: `map-text ${side}${step}` }),
    ];
  });
  const axes = [
    batches.map((each, index) => text(left + (index + 0.5) * cell, 13, people(each), { "text-anchor": "middle" })),
    contexts.map((each, index) => text(left - 6, 24 + (index + 0.5) * high, each >= 1024 ? `${each / 1024}k` : String(each), { "text-anchor": "end" })),
    text(2, 13, "context", {}),
    text(left + (batches.length * cell) / 2, 24 + contexts.length * high + 12, `requests in flight on ${whole(found.count)} chips`, { "text-anchor": "middle" }),
  ];
  const wins = found.cells.filter((each) => each[basis] > 1.02).length;
  const per = basis === "ratio" ? "per chip" : "per dollar";
  const said = `${names[0]} is faster ${per} at ${wins} of ${found.cells.length} points`;
  const line = el("p", { class: "fine" }, `Tokens per second ${per}: ${names[0]} over ${names[1]}. Above 1 ${names[0]} is faster; below, in a dashed frame, ${names[1]}. A dash: memory holds it on neither.`);
  show(container, [picture(width, 24 + contexts.length * high + 22, `${said}.`, axes, cells), line],
    ["context \\ in flight", ...batches.map((each) => people(each))],
    contexts.map((context) => [people(context), ...batches.map((batch) => short(found.cells.find((each) => each.batch === batch && each.context === context)?.[basis]))]));
  return said;
}

// chips: [{label, place, training, tokens}], in USD
export function cost(container, chips) {
  const width = widths.get(container) ?? 320;
  const parts = [["training", "Training run, rented"], ["tokens", "A million answer tokens"]];
  const drawn = [];
  let y = 0;
  for (const [key, title] of parts) {
    const known = chips.filter((each) => each[key]);
    if (!known.length) continue;
    drawn.push(text(1, y + 9, title, { class: "strong" }));
    y += 20;
    const most = Math.max(...known.map((each) => each[key]));
    const left = Math.min(170, width * 0.45, Math.max(60, ...known.map((each) => wide(each.label) + 8)));
    for (const { label, place, ...each } of known) {
      const long = Math.max(1, (each[key] / most) * (width - left - 66));
      drawn.push(text(left - 6, y + 9, cut(label, left - 8), { "text-anchor": "end" }),
        svg("rect", { x: left, y: y + 1, width: long, height: 16, class: `c${place}`, rx: 1 }),
        text(left + long + 5, y + 9, usd(each[key]), {}));
      y += 22;
    }
    y += 8;
  }
  if (!drawn.length) return nothing(container, "No price is known.");
  const words = chips.map((each) => `${each.label}: ${usd(each.training)} to train, ${usd(each.tokens)} for a million tokens`).join("; ");
  show(container, picture(width, y, `Cost. ${words}.`, drawn),
    ["", ...chips.map((each) => each.label)],
    parts.map(([key, title]) => [title, ...chips.map((each) => usd(each[key]))]));
}
