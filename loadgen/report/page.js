// Makes the page's drawings readable by pointer and keys: charts over time become uPlot's, marks say what they are.
// Without it everything is in the page as tables and drawings. Texts are set as text, never as HTML.
const loadgen = (() => {
  "use strict";
  const root = document.documentElement;
  const HINT = "hover to read, drag to zoom, double-click for all; keys: ← → read, + − zoom, Esc all";
  const COLOURS = { p50: "light", p95: "data", p99: "deep", max: "grey", a: "data", b: "second", c: "third", bad: "break", plan: "grey" };
  const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
  const colour = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const of = (style) => colour(COLOURS[style] || "data");

  function three(number) {
    if (number >= 100) return number.toFixed(0);
    return number >= 10 ? number.toFixed(1) : number.toPrecision(3);
  }
  function time(ns) {
    for (const [unit, name] of [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]]) if (ns >= unit * 0.9995) return three(ns / unit) + "\u00a0" + name;
    return Math.round(ns) + "\u00a0ns";
  }
  function span(s) {
    const whole = Math.floor(s + 1e-9), h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60, rest = +(s - 3600 * h - 60 * m).toFixed(2);
    return [h && h + "\u00a0h", m && m + "\u00a0min", (rest || !(h || m)) && rest + "\u00a0s"].filter(Boolean).join(" ");
  }
  const said = (panel, value) => value == null ? "—" : panel.unit === "ns" ? time(value) : (value === 0 ? "0" : three(value)) + "/s";

  // All series of a panel on one sorted axis; null where a series has no value, so that lines break there.
  function table(panel) {
    const xs = [...new Set(panel.series.flatMap((series) => series.x))].sort((a, b) => a - b);
    const rows = panel.series.map((series) => {
      const known = new Map();
      series.x.forEach((x, i) => { if (!known.has(x) || series.y[i] !== null) known.set(x, series.y[i]); });
      const breaks = series.x.filter((x, i) => series.y[i] === null);
      return xs.map((x) => known.has(x) ? known.get(x) : breaks.includes(x) ? null : undefined);
    });
    return [xs, ...rows];
  }
  function alone(values) {
    const known = (i) => values[i] !== null && values[i] !== undefined;
    return values.map((_, i) => i).filter((i) => known(i) && !known(i - 1) && !known(i + 1));
  }

  function options(spec, panel, data, width, last) {
    const narrow = width < 520;
    const lines = (u) => {
      const { ctx } = u, ratio = uPlot.pxRatio, { left, top, width: wide, height } = u.bbox;
      const X = (v) => u.valToPos(v, "x", true), Y = (v) => u.valToPos(v, "y", true);
      ctx.save();
      ctx.beginPath(); ctx.rect(left, top, wide, height); ctx.clip();
      ctx.strokeStyle = colour("grey") + "99"; ctx.lineWidth = 4 * ratio;
      for (const [at, low, high] of panel.open) { ctx.beginPath(); ctx.moveTo(X(at), Y(Math.max(low, panel.low))); ctx.lineTo(X(at), Y(high)); ctx.stroke(); }
      ctx.font = FONT.replace("12px", 12 * ratio + "px");
      ctx.textAlign = "right";
      for (const [name, value, start, end] of panel.limits) {
        const from = Math.max(left, start === null ? left : X(start)), to = Math.min(left + wide, end === null ? left + wide : X(end));
        ctx.strokeStyle = colour("break"); ctx.lineWidth = 1.5 * ratio; ctx.setLineDash([6 * ratio, 4 * ratio]);
        ctx.beginPath(); ctx.moveTo(from, Y(value)); ctx.lineTo(to, Y(value)); ctx.stroke();
        ctx.fillStyle = colour("bad"); ctx.fillText(name, to - 6 * ratio, Y(value) - 6 * ratio);
      }
      ctx.restore();
      // the name of a line stands at its end, those of near ones apart
      const ends = [];
      panel.series.forEach((series, k) => {
        if (series.mark !== "line" || panel.unit !== "ns") return;
        const values = data[k + 1];
        for (let i = data[0].length - 1; i >= 0; i--) {
          if (values[i] == null || data[0][i] > u.scales.x.max) continue;
          ends.push([Y(values[i]), series, X(data[0][i])]);
          break;
        }
      });
      ends.sort((a, b) => a[0] - b[0]);
      for (let i = 1; i < ends.length; i++) ends[i][0] = Math.max(ends[i][0], ends[i - 1][0] + 13 * ratio);
      ctx.save();
      ctx.font = "600 " + FONT.replace("12px", 12 * ratio + "px"); ctx.textAlign = "left"; ctx.textBaseline = "middle";
      for (const [y, series, x] of ends) {
        ctx.fillStyle = of(series.style);
        ctx.fillText(series.name, x < left + 0.9 * wide ? x + 8 * ratio : left + wide + 6 * ratio, y);
      }
      ctx.restore();
    };
    const phases = (u) => {
      const { ctx } = u, ratio = uPlot.pxRatio, { left, top, width: wide, height } = u.bbox;
      ctx.save();
      ctx.beginPath(); ctx.rect(left, 0, wide, top + height); ctx.clip();
      spec.bands.forEach(([name, start, end, muted], i) => {
        const from = u.valToPos(start, "x", true), to = u.valToPos(end, "x", true);
        if (muted || i % 2) { ctx.fillStyle = colour(muted ? "rule" : "band"); ctx.fillRect(from, top, to - from, height); }
        if (panel.height < 200) return;
        const seen = Math.max(from, left);
        ctx.fillStyle = colour("faint"); ctx.font = FONT.replace("12px", 11.5 * ratio + "px"); ctx.textAlign = "left";
        let text = muted ? name + " (not counted)" : name;
        while (text && ctx.measureText(text).width > Math.min(to, left + wide) - seen - 8 * ratio) text = text.slice(0, -2).replace(/…?$/, text.length > 3 ? "…" : "");
        if (text) ctx.fillText(text, seen + 4 * ratio, top - 5 * ratio);
      });
      ctx.restore();
    };
    const stroke = (name) => () => colour(name);
    const axis = { font: FONT, stroke: stroke("soft"), grid: { stroke: stroke("rule"), width: 1 }, ticks: { stroke: stroke("grey"), width: 1, size: 4 } };
    return {
      width, height: panel.height, padding: [panel.height < 200 ? 8 : 20, panel.unit === "ns" && !narrow ? 38 : narrow ? 34 : 38, 0, 0], legend: { show: false },
      cursor: { sync: { key: "run" }, drag: { x: true, y: false, dist: 5 }, y: false, points: { size: 7 } },
      scales: { x: { time: false, min: 0, max: spec.end }, y: { distr: panel.log ? 3 : 1, range: [panel.low, panel.high] } },
      axes: [
        { ...axis, size: 26, space: narrow ? 70 : 90, incrs: [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200],
          values: (u, splits) => splits.map(span), label: last ? "time since the run began" : undefined, labelFont: FONT, labelSize: 18, labelGap: 2 },
        { ...axis, size: 62, splits: () => panel.ticks.map((tick) => tick[0]), filter: (u, splits) => splits, values: () => panel.ticks.map((tick) => tick[1]) },
      ],
      series: [{}, ...panel.series.map((series, k) => {
        const isolated = alone(data[k + 1]);
        const dots = series.mark === "dots";
        return {
          label: series.name, scale: "y", stroke: () => of(series.style), width: dots ? 0 : 1.8, spanGaps: false,
          dash: series.style === "plan" ? [5, 4] : undefined, paths: dots ? () => null : undefined,
          fill: series.mark === "area" ? () => of(series.style) + "66" : undefined,
          points: { show: true, size: dots ? 4 : 5, width: 0, fill: () => of(series.style), stroke: () => of(series.style), filter: dots ? undefined : () => isolated },
        };
      })],
      hooks: { drawClear: [phases], draw: [lines] },
    };
  }

  function timePlot(figure, spec) {
    const host = figure.querySelector(".plot"), readout = figure.querySelector(".readout");
    figure.classList.add("live");
    readout.textContent = HINT;
    const tables = spec.panels.map(table), plots = [];
    let at = null, zooming = false;
    const read = (idx) => {
      at = idx;
      if (idx === null || idx === undefined) { readout.textContent = HINT; return; }
      const x = tables[0][0][idx];
      const phase = spec.bands.filter(([, start, end]) => x >= start && x <= end).map((band) => band[0]);
      const parts = [span(+x.toFixed(1)) + (phase.length ? " · " + phase[phase.length - 1] : "")];
      spec.panels.forEach((panel, p) => {
        panel.series.forEach((series) => parts.push(series.name + " " + said(panel, valueAt(series, x, spec.width))));
        const open = panel.open.filter((stroke) => Math.abs(stroke[0] - x) < spec.width / 2);
        if (open.length) parts.push("left open by the generator: " + open.map(([, low, high]) => time(low) + "–" + time(high)).join(", "));
      });
      const [, calls] = spec.calls.reduce((best, each) => Math.abs(each[0] - x) < Math.abs(best[0] - x) ? each : best);
      readout.textContent = [...parts, "of " + calls + " calls"].join(" · ");
    };
    const zoom = (from, min, max) => {
      if (zooming) return;
      zooming = true;
      for (const other of all) if (other !== from) other.setScale("x", { min, max });
      zooming = false;
    };
    spec.panels.forEach((panel, p) => {
      const opts = options(spec, panel, tables[p], Math.max(280, host.clientWidth), p === spec.panels.length - 1);
      opts.hooks.setScale = [(u, key) => { if (key === "x") zoom(u, u.scales.x.min, u.scales.x.max); }];
      if (p === 0) opts.hooks.setCursor = [(u) => read(u.cursor.idx)];
      const u = new uPlot(opts, tables[p], host);
      plots.push(u);
      all.push(u);
    });
    const first = plots[0];
    const move = (idx) => {
      const xs = tables[0][0], k = Math.max(0, Math.min(xs.length - 1, idx));
      first.setCursor({ left: first.valToPos(xs[k], "x"), top: 10 });
    };
    host.tabIndex = 0;
    host.setAttribute("role", "application");
    host.setAttribute("aria-label", figure.getAttribute("aria-label") + " Left and right arrow keys read values, plus and minus zoom, Escape shows all.");
    host.addEventListener("keydown", (event) => {
      const { min, max } = first.scales.x, middle = at === null || at === undefined ? (min + max) / 2 : tables[0][0][at];
      const keys = {
        ArrowRight: () => move(at === null || at === undefined ? nearest(tables[0][0], min) : at + 1),
        ArrowLeft: () => move(at === null || at === undefined ? nearest(tables[0][0], max) : at - 1),
        Home: () => move(nearest(tables[0][0], min)), End: () => move(nearest(tables[0][0], max)),
        "+": () => first.setScale("x", { min: middle - (middle - min) / 2, max: middle + (max - middle) / 2 }),
        "-": () => first.setScale("x", { min: Math.max(0, middle - (middle - min) * 2), max: Math.min(spec.end, middle + (max - middle) * 2) }),
        Escape: () => first.setScale("x", { min: 0, max: spec.end }),
      };
      const act = keys[event.key === "=" ? "+" : event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      readout.setAttribute("aria-live", "polite");
      act();
    });
    host.addEventListener("dblclick", () => first.setScale("x", { min: 0, max: spec.end }));
    new ResizeObserver(() => plots.forEach((u, p) => {
      const width = Math.max(280, host.clientWidth);
      if (host.clientWidth && width !== u.width) u.setSize({ width, height: spec.panels[p].height });
    })).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach((u) => u.redraw(false, true)));
    return plots;
  }
  function nearest(xs, x) {
    let best = 0;
    for (let i = 1; i < xs.length; i++) if (Math.abs(xs[i] - x) < Math.abs(xs[best] - x)) best = i;
    return best;
  }

  // What a series has at an instant: the value of the point that covers it; of a plan, which is lines, what lies between.
  function valueAt(series, x, width) {
    const { x: xs, y: ys } = series;
    if (series.style === "plan") {
      for (let i = 1; i < xs.length; i++) {
        const [a, b] = [ys[i - 1], ys[i]];
        if (a !== null && b !== null && xs[i - 1] <= x && x <= xs[i]) return xs[i] > xs[i - 1] ? a + (b - a) * (x - xs[i - 1]) / (xs[i] - xs[i - 1]) : b;
      }
      return null;
    }
    const known = xs.map((_, i) => i).filter((i) => Math.abs(xs[i] - x) <= width / 2 && ys[i] !== null);
    return known.length ? ys[known.reduce((best, i) => Math.abs(xs[i] - x) < Math.abs(xs[best] - x) ? i : best)] : null;
  }

  // The marks of a drawing: the nearest to the pointer, or the next by arrow keys, says what it stands for.
  function marks(figure) {
    const tip = label(figure);
    let at = -1;
    const shown = () => [...figure.querySelectorAll("svg .mark")].filter((mark) => mark.getClientRects().length);
    const centre = (mark) => {
      const box = mark.querySelector(".shape").getBoundingClientRect(), own = figure.getBoundingClientRect();
      return [box.left + box.width / 2 - own.left, box.top + box.height / 2 - own.top];
    };
    const show = (list, k) => {
      figure.querySelectorAll(".mark.at").forEach((mark) => mark.classList.remove("at"));
      at = k;
      if (k < 0) { tip.hide(); return; }
      list[k].classList.add("at");
      tip.show(list[k].dataset.tip, ...centre(list[k]));
    };
    figure.addEventListener("pointermove", (event) => {
      const list = shown(), own = figure.getBoundingClientRect();
      let best = -1, far = 30;
      list.forEach((mark, k) => {
        const [x, y] = centre(mark), d = Math.hypot(event.clientX - own.left - x, event.clientY - own.top - y);
        if (d < far) { far = d; best = k; }
      });
      show(list, best);
    });
    figure.addEventListener("pointerleave", () => show([], -1));
    figure.tabIndex = 0;
    figure.addEventListener("blur", () => show([], -1));
    figure.addEventListener("keydown", (event) => {
      const list = shown(), step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") show([], -1);
      if (!step || !list.length || event.target !== figure) return;
      event.preventDefault();
      show(list, (at + step + list.length + (at < 0 && step < 0 ? 1 : 0)) % list.length);
    });
  }

  // How many calls are in the tile below the pointer; the arrow keys go from tile to tile.
  function heat(figure, map) {
    const tip = label(figure), edge = { left: 62, right: 14, top: 24, bottom: 44 };
    const step = Math.log(map.high / map.low) / map.rows;
    const drawn = () => [...figure.querySelectorAll("svg")].find((svg) => svg.getClientRects().length);
    let at = null;
    const place = () => {
      const svg = drawn(), box = svg.getBoundingClientRect(), own = figure.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
      return { left: box.left - own.left + edge.left * scale, top: box.top - own.top + edge.top * scale,
        width: box.width - (edge.left + edge.right) * scale, height: box.height - (edge.top + edge.bottom) * scale };
    };
    const show = (found) => {
      at = found;
      if (!found) { tip.hide(); return; }
      const [column, row] = found, [start, end, rows] = map.columns[column], n = rows[row] || 0, box = place();
      const low = map.low * Math.exp(row * step), high = low * Math.exp(step);
      tip.show(`${span(+start.toFixed(1))} to ${span(+end.toFixed(1))}, ${time(low)} to ${time(high)}: ${n} call${n === 1 ? "" : "s"}`,
        box.left + (start + end) / 2 / map.end * box.width, box.top + (1 - (row + 0.5) / map.rows) * box.height);
    };
    figure.addEventListener("pointermove", (event) => {
      const own = figure.getBoundingClientRect(), box = place();
      const x = (event.clientX - own.left - box.left) / box.width * map.end, row = Math.floor((1 - (event.clientY - own.top - box.top) / box.height) * map.rows);
      const column = map.columns.findIndex(([start, end]) => x >= start && x < end);
      show(column >= 0 && row >= 0 && row < map.rows ? [column, row] : null);
    });
    figure.addEventListener("pointerleave", () => show(null));
    figure.addEventListener("blur", () => show(null));
    figure.tabIndex = 0;
    figure.addEventListener("keydown", (event) => {
      const move = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (event.key === "Escape") show(null);
      if (!move) return;
      event.preventDefault();
      const fullest = (column) => +Object.entries(map.columns[column][2]).reduce((a, b) => b[1] > a[1] ? b : a)[0];
      const column = Math.max(0, Math.min(map.columns.length - 1, at ? at[0] + move[0] : 0));
      show([column, at && !move[0] ? Math.max(0, Math.min(map.rows - 1, at[1] + move[1])) : fullest(column)]);
    });
  }

  // A small text over a figure.
  function label(figure) {
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.setAttribute("aria-live", "polite");
    figure.append(tip);
    return {
      hide: () => tip.classList.remove("on"),
      show: (text, x, y) => {
        tip.classList.add("on");
        tip.textContent = text;
        tip.style.left = Math.max(4, Math.min(x - tip.offsetWidth / 2, figure.clientWidth - tip.offsetWidth - 4)) + "px";
        tip.style.top = (y > tip.offsetHeight + 16 ? y - tip.offsetHeight - 12 : y + 14) + "px";
      },
    };
  }

  const all = [];
  function start() {
    const data = document.getElementById("plots"), specs = data ? JSON.parse(data.textContent) : {};
    for (const figure of document.querySelectorAll("figure")) {
      const spec = specs[figure.dataset.plot];
      if (spec) timePlot(figure, spec);
      else if (specs[figure.dataset.heat]) heat(figure, specs[figure.dataset.heat]);
      else if (figure.querySelector("svg .mark")) marks(figure);
    }
    let closed = [];
    addEventListener("beforeprint", () => {
      closed = [...document.querySelectorAll("details:not([open])")];
      closed.forEach((each) => { each.open = true; });
    });
    addEventListener("afterprint", () => closed.forEach((each) => { each.open = false; }));
    const opened = () => {
      const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
      const fold = target && target.closest("details");
      if (fold) fold.open = true;
    };
    addEventListener("hashchange", opened);
    opened();
  }
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
  return { timePlot, all };
})();
