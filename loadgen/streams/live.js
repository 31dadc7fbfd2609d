"use strict";
// Draws what the run tells, second by second. Everything that comes is text, and set as text.
(() => {
  const KEPT = 900;  // seconds, as many as the server keeps
  const at = (id) => document.getElementById(id);
  const ink = getComputedStyle(document.body).color;
  const seconds = new Map();  // by the second of the run and its phase

  const CHARTS = [
    { title: "Latency of ok calls, seconds", log: true, series: [
      { label: "p50", at: 5, stroke: "#2f7ed8" },
      { label: "p95", at: 6, stroke: "#e08e0b", dash: [8, 4] },
      { label: "p99", at: 7, stroke: "#b42318", dash: [3, 3] },
      { label: "max", at: 8, stroke: "#8a8f98", width: 1 } ] },
    { title: "Calls per second", log: false, series: [
      { label: "planned", at: 2, stroke: "#8a8f98", dash: [8, 4] },
      { label: "started", at: 3, stroke: "#2f7ed8" },
      { label: "failed", at: 4, stroke: "#b42318", dash: [3, 3] } ] },
  ];

  const width = () => Math.max(280, at("charts").clientWidth);

  function chart({ title, log, series }) {
    const heading = document.createElement("h2");
    heading.textContent = title;
    const place = document.createElement("div");
    at("charts").append(heading, place);
    const axis = { stroke: ink, grid: { stroke: "#8886", width: 1 }, ticks: { stroke: "#8886" } };
    return new uPlot({
      width: width(), height: 240,
      scales: { x: { time: false }, y: log ? { distr: 3 } : { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
      axes: [
        { ...axis, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300], values: (_, ticks) => ticks.map((s) => `${s} s`) },
        { ...axis, size: 60 }],
      series: [{ label: "second" }, ...series.map(({ label, stroke, dash, width: w }) => (
        { label, stroke, dash, width: w || 2, spanGaps: false, points: { show: seconds.size < 3 } }))],
    }, [[], ...series.map(() => [])], place);
  }

  const drawn = CHARTS.map((each) => ({ ...each, plot: chart(each) }));

  function draw() {
    const kept = [...seconds.values()];
    const xs = [], rows = [];
    let last = null;
    for (const second of kept) {
      if (last && (second[1] !== last[1] || second[0] > last[0] + 1)) {  // another phase, or nothing was called: no line
        xs.push(Math.min(last[0] + 0.5, second[0]));
        rows.push([]);
      }
      xs.push(second[0]);
      rows.push(second);
      last = second;
    }
    for (const { plot, series } of drawn) {
      plot.setData([xs, ...series.map((each) => rows.map((row) => row[each.at] ?? null))]);
    }
  }

  function spans(place, pairs, named) {
    place.replaceChildren(...pairs.map(([text, value]) => {
      const span = document.createElement("span");
      span.textContent = named ? `${value}: ${text}` : `${text} ${value}`;
      if (named) span.className = value;
      return span;
    }));
  }

  function show(told) {
    document.title = `${told.name} – loadgen`;
    at("name").textContent = told.name;
    at("doing").textContent = told.doing;
    at("answer").textContent = [told.outcome ? told.outcome.toUpperCase() : "", told.answer].filter(Boolean).join(": ");
    at("tiles").replaceChildren(...told.tiles.map(([name, value]) => {
      const tile = document.createElement("div"), dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = name;
      dd.textContent = value;
      tile.append(dt, dd);
      return tile;
    }));
    spans(at("rules"), told.rules, true);
    spans(at("outcomes"), told.outcomes, false);
    if (told.all) seconds.clear();
    for (const second of told.seconds) seconds.set(`${second[0]} ${second[1]}`, second);
    for (const key of [...seconds.keys()].slice(0, -KEPT)) seconds.delete(key);
    if (told.seconds.length || told.all) draw();
    document.body.classList.toggle("over", told.over);
  }

  const TRIES = 3;
  const source = new EventSource("events");
  let lost = 0;
  source.onmessage = (event) => {
    const told = JSON.parse(event.data);
    lost = 0;
    show(told);
    if (told.over) source.close();
  };
  source.onerror = () => {
    lost += 1;
    at("doing").textContent = "The connection is lost; trying again.";
    if (lost < TRIES && source.readyState !== EventSource.CLOSED) return;
    source.close();
    at("doing").textContent = "The connection is lost: the run has ended, or too many pages are open.";
  };
  addEventListener("resize", () => drawn.forEach(({ plot }) => plot.setSize({ width: width(), height: 240 })));
})();
