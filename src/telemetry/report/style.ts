/** Legible in light and dark, on a phone and on paper. Contrasts are WCAG AA's and the lines differ without colour too. */
export const STYLE = `
:root { color-scheme: light dark; --text: #1b1f24; --quiet: #57606a; --back: #fff; --line: #d0d7de; --p50: #0550ae; --p95: #a04100; --ok: #1a7f37; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --quiet: #9da7b1; --back: #0d1117; --line: #30363d; --p50: #79c0ff; --p95: #ffa657; --ok: #56d364; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
header p, footer { color: var(--quiet); } a { color: var(--p50); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; } .scroll { overflow-x: auto; }
th, td { padding: .3rem .75rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; } th:first-child { text-align: left; } th[scope=row] { font-weight: 500; }
tfoot th[scope=row], tfoot td { font-weight: 700; border-bottom: 0; }
.u-legend { font-size: .85rem; } .u-legend th, .u-legend td { border: 0; padding: 0 .25rem; }
.charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); }
figure { margin: 0; min-width: 0; } figcaption { font-weight: 600; } .chart { min-height: 15rem; }
details { margin: .75rem 0; } summary { cursor: pointer; } :focus-visible { outline: 2px solid var(--p50); outline-offset: 2px; }
@media print { details { display: none; } section { break-inside: avoid; } }
`;
