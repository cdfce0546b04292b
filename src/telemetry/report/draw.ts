/** Runs in the page. Charts are drawn when they come into view: a report may have a thousand tenants. */
export const DRAW = `
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const drawn = new Map();
  // Seconds between ticks, text of a tick, what is added where a year, a month, a day begins. Months by name: 1/2 is January
  // to some and February to others.
  const day = '\\n{D} {MMM}';
  const times = [
    [86400 * 365, '{YYYY}', null, null, null, null, null, null, 1],
    [86400 * 28, '{MMM}', '\\n{YYYY}', null, null, null, null, null, 1],
    [86400, '{D} {MMM}', '\\n{YYYY}', null, null, null, null, null, 1],
    [60, '{HH}:{mm}', day + ' {YYYY}', null, day, null, null, null, 1],
    [1, '{HH}:{mm}:{ss}', day + ' {YYYY}', null, day, null, null, null, 1],
  ];
  const options = (kind, width) => {
    const text = colour('--quiet');
    const grid = { stroke: colour('--line'), width: 1 };
    const axis = { stroke: text, grid, ticks: grid, font: '12px system-ui, sans-serif' };
    const line = (label, name, dash, unit) => ({
      label,
      stroke: colour(name),
      width: 2,
      dash,
      spanGaps: false,
      points: { size: 5 },
      value: (_, v) => (v === null ? '–' : v.toFixed(unit === '%' ? 2 : 1) + ' ' + unit),
    });
    const utc = { label: 'UTC', value: '{YYYY}-{MM}-{DD} {HH}:{mm}' };
    return {
      width,
      height: 240,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
      scales: { y: kind === 'success' ? { range: (_, min) => [Math.max(0, Math.min(95, min - 2)), 100.5] } : { range: (_, min, max) => [0, max * 1.1 || 1] } },
      axes: [{ ...axis, values: times }, axis],
      series:
        kind === 'success'
          ? [utc, line('success', '--ok', undefined, '%')]
          : [utc, line('P50', '--p50', undefined, 'ms'), line('P95', '--p95', [6, 4], 'ms')],
    };
  };
  const draw = (box) => {
    const { at, p50, p95, success } = data[Number(box.dataset.tenant)];
    const kind = box.dataset.chart;
    drawn.get(box)?.destroy();
    drawn.set(box, new uPlot(options(kind, box.clientWidth), kind === 'success' ? [at, success] : [at, p50, p95], box));
  };
  const boxes = document.querySelectorAll('.chart');
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries)
      if (isIntersecting) {
        seen.unobserve(target);
        draw(target);
      }
  }, { rootMargin: '600px' });
  boxes.forEach((box) => seen.observe(box));
  const again = () => drawn.forEach((_, box) => draw(box));
  addEventListener('resize', again);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', again);
  addEventListener('beforeprint', () => boxes.forEach((box) => drawn.has(box) || draw(box)));
})();
`;
