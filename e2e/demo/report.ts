import type { LossPoint } from "../harness/watched-run.ts";

/** Everything the demo learned, as the report shows it. Times are seconds since the run was created. */
export type DemoReport = Readonly<{
  commit: string;
  way: string;
  startedAt: string;
  losses: readonly LossPoint[];
  undisturbedLosses: readonly LossPoint[];
  interruptions: readonly Interruption[];
  attempts: readonly AttemptRow[];
  refused: readonly { step: number; attempt: number; reason: string; message: string; node: string }[];
  verified: readonly { step: number; attempt: number; bytes: number; digest: string }[];
  weights: { interrupted: string; undisturbed: string };
  scraped: readonly { query: string; value: string; expected: string; met: boolean }[];
  checks: readonly Check[];
}>;

/** One interruption as it was made and what came of it; null where the run never got that far. */
export type Interruption = Readonly<{
  kind: string;
  attempt: number;
  atStep: number;
  seconds: number;
  resumedFromStep: number | null;
  lostSteps: number | null;
  /** From the interruption to the next attempt's first new step. */
  recoverySeconds: number | null;
}>;

export type AttemptRow = Readonly<{
  number: number;
  node: string;
  cause: string;
  reason: string;
  exitCode: string;
  resumedFrom: string;
  lastStep: string;
  lostSteps: string;
  finalCheckpoint: string;
}>;

/** A promise of the demo and whether it was kept. */
export type Check = Readonly<{ what: string; held: boolean; seen: string }>;

/** The whole report as one HTML page that needs nothing else. */
export function renderReport(report: DemoReport): string {
  const held = report.checks.every((check) => check.held);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>TrainingRun demo</title><style>${style}</style></head><body><main>
<h1>One training, interrupted ${report.interruptions.length} times</h1>
<p class="lead">${held ? "Every promise held." : "<strong>Not every promise held.</strong>"}
The interrupted and the undisturbed training ended with ${
    report.weights.interrupted === report.weights.undisturbed ? "the same" : "different"
  } weights.</p>
<dl>${pair("interrupted", report.weights.interrupted)}${pair("undisturbed", report.weights.undisturbed)}
${pair("started", report.startedAt)}${pair("cluster", report.way)}${pair("commit", report.commit)}</dl>
<h2>Loss</h2>${lossChart(report)}
<h2>Interruptions</h2>
${table(
  ["#", "kind", "attempt", "at step", "resumed from", "lost steps", "recovery (s)"],
  report.interruptions.map((one, index) => [
    `${index + 1}`,
    one.kind,
    `${one.attempt}`,
    `${one.atStep}`,
    shown(one.resumedFromStep),
    shown(one.lostSteps),
    one.recoverySeconds === null ? "–" : one.recoverySeconds.toFixed(1),
  ]),
)}
<h2>Attempts</h2>
${table(
  ["attempt", "node", "cause", "reason", "exit", "resumed from", "last step", "lost steps", "final checkpoint"],
  report.attempts.map((row) => [
    `${row.number}`,
    row.node,
    row.cause,
    row.reason,
    row.exitCode,
    row.resumedFrom,
    row.lastStep,
    row.lostSteps,
    row.finalCheckpoint,
  ]),
)}
<h2>Checkpoints refused</h2>
${
  report.refused.length === 0
    ? "<p>None.</p>"
    : table(
        ["step", "attempt", "reason", "what was found", "node"],
        report.refused.map((one) => [`${one.step}`, `${one.attempt}`, one.reason, one.message, one.node]),
      )
}
<h2>Checkpoints verified</h2>
${table(
  ["step", "attempt", "bytes", "digest"],
  report.verified.map((one) => [`${one.step}`, `${one.attempt}`, one.bytes.toLocaleString("en"), one.digest]),
)}
<h2>Prometheus</h2>
${table(
  ["query", "value", "expected"],
  report.scraped.map((one) => [one.query, one.value, one.expected]),
)}
<h2>What had to hold</h2>
${table(
  ["", "promise", "seen"],
  report.checks.map((check) => [check.held ? "held" : "BROKEN", check.what, check.seen]),
)}
</main></body></html>
`;
}

const width = 880;
const height = 300;
const margin = { left: 48, right: 12, top: 24, bottom: 32 };

/** Loss over steps: the undisturbed run beneath, the interrupted one above it, a numbered line per interruption. */
function lossChart(report: DemoReport): string {
  const points = [...report.losses, ...report.undisturbedLosses];
  if (points.length === 0) return "<p>No loss was reported.</p>";
  const lastStep = Math.max(...points.map((point) => point.step), 1);
  const top = Math.max(...points.map((point) => point.loss)) * 1.05 || 1;
  const x = (step: number) => margin.left + (step / lastStep) * (width - margin.left - margin.right);
  const y = (loss: number) => height - margin.bottom - (loss / top) * (height - margin.top - margin.bottom);
  const line = (series: readonly LossPoint[], name: string) =>
    `<polyline class="${name}" points="${series.map((point) => `${x(point.step).toFixed(1)},${y(point.loss).toFixed(1)}`).join(" ")}"/>`;
  const attempts = [...new Set(report.losses.map((point) => point.attempt))];
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="Loss by step, interruptions marked">
${ticks.map((part) => `<text class="tick" x="${x(part * lastStep).toFixed(0)}" y="${height - 10}" text-anchor="middle">${Math.round(part * lastStep)}</text>`).join("")}
${ticks.map((part) => `<line class="grid" x1="${margin.left}" x2="${width - margin.right}" y1="${y(part * top).toFixed(0)}" y2="${y(part * top).toFixed(0)}"/><text class="tick" x="${margin.left - 6}" y="${(y(part * top) + 4).toFixed(0)}" text-anchor="end">${(part * top).toFixed(2)}</text>`).join("")}
${line(report.undisturbedLosses, "undisturbed")}
${attempts
  .map((attempt) =>
    line(
      report.losses.filter((point) => point.attempt === attempt),
      "interrupted",
    ),
  )
  .join("")}
${report.interruptions.map((one, index) => `<g class="cut"><line x1="${x(one.atStep).toFixed(1)}" x2="${x(one.atStep).toFixed(1)}" y1="${margin.top}" y2="${height - margin.bottom}"/><text x="${x(one.atStep).toFixed(1)}" y="${margin.top - 8}" text-anchor="middle">${index + 1}</text><title>${markup(`${one.kind} at step ${one.atStep}`)}</title></g>`).join("")}
</svg><p class="key"><span class="interrupted">interrupted</span> <span class="undisturbed">undisturbed</span> <span class="cut">interruption</span> (step across, loss up)</p>`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return `<div class="scroll"><table><thead><tr>${head.map((cell) => `<th>${markup(cell)}</th>`).join("")}</tr></thead><tbody>${rows
    .map((row) => `<tr>${row.map((cell) => `<td>${markup(cell)}</td>`).join("")}</tr>`)
    .join("")}</tbody></table></div>`;
}

function pair(name: string, value: string): string {
  return `<dt>${markup(name)}</dt><dd>${markup(value)}</dd>`;
}

function shown(value: number | null): string {
  return value === null ? "–" : `${value}`;
}

function markup(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

const style = `
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#667;--line:#d8dde3;--paper:#fff;--a:#0b62c4;--b:#9aa4b0;--cut:#c8431f}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ea;--soft:#9aa4b0;--line:#343a42;--paper:#15181c;--a:#6cb0ff;--b:#5b6570;--cut:#ff8a65}}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}main{max-width:920px;margin:auto;padding:32px 20px}
h1{font-size:26px;margin:0 0 8px}h2{font-size:18px;margin:32px 0 8px}.lead{font-size:17px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;font-size:13px}dt{color:var(--soft)}dd{margin:0;font-family:ui-monospace,monospace;overflow-wrap:anywhere}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13px}th{text-align:left;color:var(--soft);font-weight:500}
th,td{padding:4px 10px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}td{font-variant-numeric:tabular-nums}
svg{width:100%;height:auto}polyline{fill:none;stroke-width:1.6}polyline.interrupted{stroke:var(--a)}polyline.undisturbed{stroke:var(--b);stroke-width:4;opacity:.6}
.grid{stroke:var(--line)}.tick{fill:var(--soft);font-size:11px}g.cut line{stroke:var(--cut);stroke-dasharray:3 3}g.cut text{fill:var(--cut);font-size:12px}
.key{font-size:13px;color:var(--soft)}.key span::before{content:"";display:inline-block;width:18px;height:3px;margin-right:6px;vertical-align:middle;background:currentColor}
.key .interrupted{color:var(--a)}.key .undisturbed{color:var(--b)}.key .cut{color:var(--cut)}
`;
